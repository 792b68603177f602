//! Values and gradients against PyTorch: replays `fixtures/golden/losses.json`, in f64 and in f32.
//!
//! `ALIGN_GOLDEN_LOSSES=FILE` replays another file of that format and prints what it covered. A case of a loss
//! that this crate does not have fails, in either file.

mod inputs;
mod likelihood;
mod policy;
mod preference;
mod tokens;
mod unpaired;

use std::collections::BTreeSet;

use align_testkit::{Case, GoldenFile, Tolerance, worst_mismatch};
use candle_core::{DType, Result, Tensor, bail};
use inputs::{Computed, Inputs, Precision};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/losses.json");

/// f64 against the file.
const DOUBLE: Tolerance = Tolerance { relative: 1e-9, absolute: 1e-12 };
/// f32 against f64 on the same inputs, those that f32 holds. (Against the file a log-prob of −9000 would already
/// be off by 5e-4 when it is read.) Absolute: β·(−300 + 280) and the like cancel.
const SINGLE: Tolerance = Tolerance { relative: 2e-5, absolute: 2e-6 };
/// From here on f32 counts as overflowed, which it may do into infinity or into something large.
const OVERFLOW: f64 = 1e30;

/// [`DOUBLE`], but for what a file holds in less than f64.
fn tolerance(case: &Case, name: &str) -> Tolerance {
    let divergence = case.params.get("f_divergence").and_then(|name| name.as_str());
    match (case.loss.as_str(), divergence) {
        // A number times a tensor of lengths (integers) is f32 in PyTorch.
        ("dpo.rdpo_length", _) => Tolerance { relative: 2e-7, ..DOUBLE },
        // PyTorch's softplus of x is x itself beyond 20, where e^−20 is left.
        ("dpo24.sigmoid", Some("js_divergence")) => Tolerance { absolute: 4e-9, ..DOUBLE },
        _ if policy::holds_single(case, name) => Tolerance { relative: 2e-7, absolute: 2e-7 },
        _ => DOUBLE,
    }
}

#[test]
fn values_and_gradients_equal_pytorch() {
    let replayed = replay(&GoldenFile::read(SHIPPED).unwrap());
    assert_eq!(replayed.unknown, [""; 0], "cases without a function here");
    assert!(replayed.cases > 40, "only {} cases", replayed.cases);
    assert_eq!(replayed.failures, [""; 0]);
}

#[test]
fn another_file_of_the_format_replays() {
    let Ok(path) = std::env::var("ALIGN_GOLDEN_LOSSES") else { return };
    let replayed = replay(&GoldenFile::read(&path).unwrap());
    println!("{path}: {} cases replayed of {} losses", replayed.cases, replayed.losses.len());
    println!("worst relative error of a value in f64: {:.1e}", replayed.worst_value);
    println!("worst relative error of a gradient in f64: {:.1e}", replayed.worst_gradient);
    for failure in &replayed.failures {
        println!("{failure}");
    }
    assert_eq!(replayed.unknown, [""; 0], "cases without a function here");
    assert_eq!(replayed.failures, [""; 0]);
    assert!(replayed.cases > 0, "the file has no cases");
}

/// What became of a file.
#[derive(Default)]
struct Replayed {
    cases: usize,
    losses: BTreeSet<String>,
    unknown: Vec<String>,
    failures: Vec<String>,
    worst_value: f64,
    worst_gradient: f64,
}

fn replay(file: &GoldenFile) -> Replayed {
    let mut replayed = Replayed::default();
    for case in &file.cases {
        match check(file, case, &mut replayed) {
            Ok(true) => {
                replayed.cases += 1;
                replayed.losses.insert(case.loss.clone());
            }
            Ok(false) => replayed.unknown.push(case.id.clone()),
            Err(error) => replayed.failures.push(format!("{}: {error}", case.id)),
        }
    }
    replayed
}

/// Whether the case has a function here; what is wrong with it goes into `replayed`.
fn check(file: &GoldenFile, case: &Case, replayed: &mut Replayed) -> Result<bool> {
    let compute = |precision| run(&Inputs { file, case, precision });
    let Some(double) = compute(Precision::Double)? else { return Ok(false) };
    let (Some(single), Some(rounded)) = (compute(Precision::Single)?, compute(Precision::Rounded)?) else {
        bail!("known in f64 only");
    };
    for (name, value) in &double.values {
        let expected = case.output(name)?.tensor(DType::F64)?;
        let worst = replayed.compare(case, "value", name, value, &expected, tolerance(case, name))?;
        replayed.worst_value = replayed.worst_value.max(worst);
    }
    for (name, grad) in &double.grads {
        let expected = double.where_compared(&case.grad(name)?.tensor(DType::F64)?)?;
        let worst = replayed.compare(case, "gradient", name, grad, &expected, tolerance(case, name))?;
        replayed.worst_gradient = replayed.worst_gradient.max(worst);
    }
    double.check_complete(case)?;
    for (kind, singles, doubles) in
        [("f32 value", &single.values, &rounded.values), ("f32 gradient", &single.grads, &rounded.grads)]
    {
        for ((name, single), (_, double)) in singles.iter().zip(doubles) {
            let (single, double) = (overflowed(&single.to_dtype(DType::F64)?)?, overflowed(double)?);
            replayed.compare(case, kind, name, &single, &double, SINGLE)?;
        }
    }
    Ok(true)
}

/// What is beyond [`OVERFLOW`] in size becomes it.
fn overflowed(values: &Tensor) -> Result<Tensor> {
    let limit = (values.ones_like()? * OVERFLOW)?;
    let values = values.ge(OVERFLOW)?.where_cond(&limit, values)?;
    values.le(-OVERFLOW)?.where_cond(&limit.neg()?, &values)
}

/// The case in one precision; `None` if it needs a function that this crate does not have.
fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    for family in [preference::run, tokens::run, unpaired::run, likelihood::run, policy::run] {
        if let Some(computed) = family(inputs)? {
            return Ok(Some(computed));
        }
    }
    Ok(None)
}

impl Replayed {
    /// The worst relative error at the common tolerance, where what is near 0 counts as 10⁻³.
    fn compare(
        &mut self,
        case: &Case,
        kind: &str,
        name: &str,
        found: &Tensor,
        expected: &Tensor,
        tolerance: Tolerance,
    ) -> Result<f64> {
        if policy::is_noise(case, name) {
            return Ok(0.0);
        }
        let Some(worst) = worst_mismatch(found, expected, tolerance)? else { bail!("{name} is empty") };
        if worst.severity > 1.0 {
            self.failures.push(format!("{} {kind} {name} {worst}", case.id));
        }
        let common = tolerance.relative == DOUBLE.relative && tolerance.absolute == DOUBLE.absolute;
        Ok(if common { worst.severity * DOUBLE.relative } else { 0.0 })
    }
}
