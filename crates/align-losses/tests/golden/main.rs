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

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};

use align_testkit::{Case, GoldenFile, Tolerance, worst_mismatch};
use candle_core::{DType, Result, Tensor, bail};
use inputs::{Computed, Inputs, Precision};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/losses.json");

/// f64 against the file.
const DOUBLE: Tolerance = Tolerance { relative: 1e-9, absolute: 1e-12 };
/// f32 against f64 on the same inputs, those that f32 holds. (Against the file a log-prob of −9000 would already
/// be off by 5e-4 when it is read.) Absolute: β·(−300 + 280) and the like cancel.
const SINGLE: Tolerance = Tolerance { relative: 2e-5, absolute: 2e-6 };
/// From here on a type counts as overflowed, which it may do into infinity or into something large.
const OVERFLOW: f64 = 1e290;
const OVERFLOW_OF_SINGLE: f64 = 1e28;

/// What a file does not hold in f64 to the last digit: how close it can be met, and why no closer.
fn coarser(case: &Case, name: &str) -> Option<(Tolerance, &'static str)> {
    let divergence = case.params.get("f_divergence").and_then(|name| name.as_str());
    match (case.loss.as_str(), divergence) {
        ("dpo.rdpo_length", _) => {
            let why = "PyTorch multiplies a tensor of lengths (integers) with a number in f32";
            Some((Tolerance { relative: 2e-7, ..DOUBLE }, why))
        }
        ("dpo24.sigmoid", Some("js_divergence")) => {
            let why = "PyTorch's softplus of x is x itself beyond 20, where e^-20 is left";
            Some((Tolerance { absolute: 4e-9, ..DOUBLE }, why))
        }
        _ => policy::coarser(case, name),
    }
}

#[test]
fn values_and_gradients_equal_pytorch() {
    let replayed = replay(&GoldenFile::read(SHIPPED).unwrap());
    println!("{replayed}");
    assert_eq!(replayed.unknown, [""; 0], "cases without a function here");
    assert_eq!(replayed.failures, [""; 0]);
    // The whole file: less of it would prove less.
    let (cases, losses) = (replayed.cases, replayed.losses.len());
    assert!(cases >= 750 && losses >= 90, "only {cases} cases of {losses} losses");
}

#[test]
fn another_file_of_the_format_replays() {
    let Ok(path) = std::env::var("ALIGN_GOLDEN_LOSSES") else { return };
    let replayed = replay(&GoldenFile::read(&path).unwrap());
    println!("{path}: {replayed}");
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
    compared: BTreeMap<&'static str, Compared>,
}

/// What became of values in f64, of gradients in f64, and so on.
#[derive(Default)]
struct Compared {
    /// At the common tolerance.
    tensors: usize,
    /// The worst relative error among them, where what is near 0 counts as 10⁻³.
    worst: f64,
    /// How many at another tolerance or not at all, by the reason.
    exempted: BTreeMap<&'static str, usize>,
}

impl Display for Replayed {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cases of {} losses", self.cases, self.losses.len())?;
        for (kind, Compared { tensors, worst, exempted }) in &self.compared {
            write!(f, "\n{kind}: {tensors} compared, worst relative error {worst:.1e}")?;
            for (why, count) in exempted {
                write!(f, "\n  {count} more not at this tolerance: {why}")?;
            }
        }
        self.failures.iter().try_for_each(|failure| write!(f, "\n{failure}"))
    }
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
        replayed.compare(case, "f64 value", name, value, &expected)?;
    }
    for (name, grad) in &double.grads {
        let expected = double.where_compared(&case.grad(name)?.tensor(DType::F64)?)?;
        replayed.compare(case, "f64 gradient", name, grad, &expected)?;
    }
    double.check_complete(case)?;
    for (kind, singles, doubles) in
        [("f32 value", &single.values, &rounded.values), ("f32 gradient", &single.grads, &rounded.grads)]
    {
        for ((name, single), (_, double)) in singles.iter().zip(doubles) {
            replayed.compare_single(case, kind, name, &single.to_dtype(DType::F64)?, double)?;
        }
    }
    Ok(true)
}

/// What is beyond the limit in size becomes it.
fn overflowed(values: &Tensor, limit: f64) -> Result<Tensor> {
    let limits = (values.ones_like()? * limit)?;
    let values = values.ge(limit)?.where_cond(&limits, values)?;
    values.le(-limit)?.where_cond(&limits.neg()?, &values)
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
    /// f64 with the file.
    fn compare(
        &mut self,
        case: &Case,
        kind: &'static str,
        name: &str,
        found: &Tensor,
        expected: &Tensor,
    ) -> Result<()> {
        let (tolerance, exempted) =
            coarser(case, name).map_or((DOUBLE, None), |(tolerance, why)| (tolerance, Some(why)));
        let (found, expected) = (overflowed(found, OVERFLOW)?, overflowed(expected, OVERFLOW)?);
        self.note(case, kind, name, (&found, &expected), tolerance, exempted)
    }

    /// f32 with f64.
    fn compare_single(
        &mut self,
        case: &Case,
        kind: &'static str,
        name: &str,
        single: &Tensor,
        double: &Tensor,
    ) -> Result<()> {
        if let Some(why) = policy::lost_in_single(case, name) {
            *self.compared.entry(kind).or_default().exempted.entry(why).or_default() += 1;
            return Ok(());
        }
        let limit = OVERFLOW_OF_SINGLE;
        let (single, double) = (overflowed(single, limit)?, overflowed(double, limit)?);
        self.note(case, kind, name, (&single, &double), SINGLE, None)
    }

    fn note(
        &mut self,
        case: &Case,
        kind: &'static str,
        name: &str,
        (found, expected): (&Tensor, &Tensor),
        tolerance: Tolerance,
        exempted: Option<&'static str>,
    ) -> Result<()> {
        let Some(worst) = worst_mismatch(found, expected, tolerance)? else { bail!("{name} is empty") };
        if worst.severity > 1.0 {
            self.failures.push(format!("{} {kind} {name} {worst}", case.id));
        }
        let compared = self.compared.entry(kind).or_default();
        match exempted {
            Some(why) => *compared.exempted.entry(why).or_default() += 1,
            None => {
                compared.tensors += 1;
                compared.worst = compared.worst.max(worst.severity * tolerance.relative);
            }
        }
        Ok(())
    }
}
