//! What golden numbers of our own making cannot show. Where no other code computes a loss, the numbers in
//! `fixtures/golden/losses.json` are this project's own reading of the paper, once in PyTorch and once in Rust: a sign that
//! was read wrong is wrong in both. Each of these losses has a test here, or beside it, that does not use its formula: the
//! optimum of a small problem that is known by itself, a law, another loss that it must become, a value at a point.
//!
//! `fixtures/golden/README.md` says which test is which loss's, and [`every_transcription_has_a_test`] holds it to that.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pairs;
mod policy;
mod rewards;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use align_testkit::GoldenFile;
use candle_core::{DType, Device, Result, Tensor, Var};

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn number(tensor: &Tensor) -> f64 {
    let [number] = values(tensor)[..] else { panic!("{tensor} is not one number") };
    number
}

/// The gradient of a function at a point, 0 where it does not depend on it.
fn gradient(at: &Tensor, function: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    let at = Var::from_tensor(at).unwrap();
    let grads = function(at.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
    grads.get(&at).map_or_else(|| vec![0.0; at.elem_count()], values)
}

/// Where gradient descent from zeros ends, `rate` being about one over the curvature.
fn minimum(size: usize, rate: f64, loss: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    let mut at = vec![0.0; size];
    for _ in 0..400 {
        let slope = gradient(&tensor(&at), &loss);
        at.iter_mut().zip(&slope).for_each(|(x, slope)| *x -= rate * slope);
    }
    at
}

#[track_caller]
fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{found:?} is not {expected:?}");
    }
}

/// The rows of the README's table "A test of another kind": losses and tests.
fn table() -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
    let readme = std::fs::read_to_string(Path::new(CRATE).join("../../fixtures/golden/README.md")).unwrap();
    let section = readme.split("### A test of another kind").nth(1).unwrap().split("\n#").next().unwrap();
    let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let cells = |line: &str| -> Option<_> {
        let cells: Vec<&str> = line.split('|').collect();
        let [_, losses, _, tests, _] = cells[..] else { return None };
        Some((code(losses), code(tests)))
    };
    section.lines().filter(|line| line.contains('`')).filter_map(cells).collect()
}

/// All source text of this crate's tests.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false => std::fs::read_to_string(path).unwrap(),
    };
    entries.map(text).collect()
}

#[test]
fn every_transcription_has_a_test() {
    let file = GoldenFile::read(format!("{CRATE}/../../fixtures/golden/losses.json")).unwrap();
    let transcribed = |source: &str| source.contains("transcription") || source.starts_with("formula");
    let losses: BTreeMap<&str, &str> = file
        .cases
        .iter()
        .filter(|case| transcribed(&case.source))
        .map(|case| (case.loss.as_str(), case.source.as_str()))
        .collect();
    assert!(losses.len() >= 20, "the file no longer says what is transcribed: {losses:?}");

    let table = table();
    let named: BTreeSet<&str> = table.iter().flat_map(|(losses, _)| losses).map(String::as_str).collect();
    let missing: Vec<_> = losses.iter().filter(|(loss, _)| !named.contains(**loss)).collect();
    assert!(missing.is_empty(), "fixtures/golden/README.md names no test for {missing:?}");

    let sources = sources(&Path::new(CRATE).join("tests"));
    for (losses, tests) in &table {
        assert!(!tests.is_empty(), "no test for {losses:?}");
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "{losses:?}: there is no test {test}");
        }
    }
}
