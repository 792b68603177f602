//! Values and gradients against PyTorch: replays `fixtures/golden/losses.json`, in f64 and in f32.
//!
//! `ALIGN_GOLDEN_LOSSES=FILE` replays another file of that format and prints what it covered; cases of losses
//! that this crate does not have are counted there, while the shipped file may contain none.

use std::collections::BTreeSet;

use align_losses::{
    PairLogProbs, cdpo, dpo, k1, k2, k3, label_log_probs, log_sigmoid, masked_mean,
    masked_sequence_log_probs, nll, sequence_log_probs, shift_mask, shifted_log_probs,
};
use align_testkit::{Array, Case, GoldenFile, Tolerance, worst_mismatch};
use candle_core::{DType, Device, Result, Tensor, Var, bail};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/losses.json");

/// f64 against the file.
const DOUBLE: Tolerance = Tolerance { relative: 1e-9, absolute: 1e-12 };
/// f32 against f64 on the same inputs, those that f32 holds. (Against the file a log-prob of −9000 would already
/// be off by 5e-4 when it is read.) Absolute: β·(−300 + 280) and the like cancel.
const SINGLE: Tolerance = Tolerance { relative: 2e-5, absolute: 2e-6 };

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
    println!("{path}: {} cases replayed, {} not known here", replayed.cases, replayed.unknown.len());
    println!("worst relative error of a value in f64: {:.1e}", replayed.worst_value);
    println!("worst relative error of a gradient in f64: {:.1e}", replayed.worst_gradient);
    let unknown: BTreeSet<_> = replayed.unknown.iter().map(|id| id.split('#').next()).collect();
    println!("not known here: {unknown:?}");
    assert_eq!(replayed.failures, [""; 0]);
    assert!(replayed.cases > 0, "no case of the file has a function here");
}

/// What became of a file.
#[derive(Default)]
struct Replayed {
    cases: usize,
    unknown: Vec<String>,
    failures: Vec<String>,
    worst_value: f64,
    worst_gradient: f64,
}

fn replay(file: &GoldenFile) -> Replayed {
    let mut replayed = Replayed::default();
    for case in &file.cases {
        match check(file, case, &mut replayed) {
            Ok(true) => replayed.cases += 1,
            Ok(false) => replayed.unknown.push(case.id.clone()),
            Err(error) => replayed.failures.push(format!("{}: {error}", case.id)),
        }
    }
    replayed
}

/// Whether the case has a function here; what is wrong with it goes into `replayed`.
fn check(file: &GoldenFile, case: &Case, replayed: &mut Replayed) -> Result<bool> {
    let input = |name: &str| file.input(case, name)?.tensor(DType::F64);
    let single = |name: &str| file.input(case, name)?.tensor(DType::F32);
    let rounded = |name: &str| single(name)?.to_dtype(DType::F64);
    let (Some(double), Some(single), Some(rounded)) =
        (run(case, &input)?, run(case, &single)?, run(case, &rounded)?)
    else {
        return Ok(false);
    };
    for (name, value) in &double.values {
        let worst =
            replayed.compare(case, "value", name, value, &case.output(name)?.tensor(DType::F64)?, DOUBLE)?;
        replayed.worst_value = replayed.worst_value.max(worst);
    }
    for (name, grad) in &double.grads {
        let worst =
            replayed.compare(case, "gradient", name, grad, &case.grad(name)?.tensor(DType::F64)?, DOUBLE)?;
        replayed.worst_gradient = replayed.worst_gradient.max(worst);
    }
    for (kind, singles, doubles) in
        [("f32 value", &single.values, &rounded.values), ("f32 gradient", &single.grads, &rounded.grads)]
    {
        for ((name, single), (_, double)) in singles.iter().zip(doubles) {
            // What overflows f32 is infinite there, and should be.
            replayed.compare(case, kind, name, single, &double.to_dtype(DType::F32)?, SINGLE)?;
        }
    }
    Ok(true)
}

impl Replayed {
    /// The worst relative error, of what the absolute tolerance does not cover.
    fn compare(
        &mut self,
        case: &Case,
        kind: &str,
        name: &str,
        found: &Tensor,
        expected: &Tensor,
        tolerance: Tolerance,
    ) -> Result<f64> {
        let Some(worst) = worst_mismatch(found, expected, tolerance)? else { bail!("{name} is empty") };
        if worst.severity > 1.0 {
            self.failures.push(format!("{} {kind} {name} {worst}", case.id));
        }
        Ok(if worst.expected.abs() > tolerance.absolute { worst.relative } else { 0.0 })
    }
}

/// Results by the names they have in the file.
#[derive(Default)]
struct Computed {
    values: Vec<(&'static str, Tensor)>,
    grads: Vec<(&'static str, Tensor)>,
}

/// The case on inputs of one precision; `None` if it needs a function that this crate does not have.
fn run(case: &Case, input: &dyn Fn(&str) -> Result<Tensor>) -> Result<Option<Computed>> {
    let computed = match case.loss.as_str() {
        "dpo.sigmoid" | "dpo24.sigmoid" if has_reverse_kl(case) => preference(case, input)?,
        "kl.estimators" => estimators(input)?,
        "sft.nll" => likelihood(case, input)?,
        "util.selective_log_softmax" => labels(case, input)?,
        "sequence.log_probs" => sequences(input)?,
        "numerics.log_sigmoid" => {
            let x = Var::from_tensor(&input("x")?)?;
            let y = log_sigmoid(&x)?;
            Computed { grads: vec![("x", gradient(&y, &x)?)], values: vec![("y", y)] }
        }
        _ => return Ok(None),
    };
    Ok(Some(computed))
}

/// DPO's own divergence; f-DPO's others are other losses.
fn has_reverse_kl(case: &Case) -> bool {
    case.params.get("f_divergence").is_none_or(|value| value == "reverse_kl")
}

fn preference(case: &Case, input: &dyn Fn(&str) -> Result<Tensor>) -> Result<Computed> {
    let (chosen, rejected) =
        (Var::from_tensor(&input("chosen_logps")?)?, Var::from_tensor(&input("rejected_logps")?)?);
    let policy = PairLogProbs { chosen: chosen.as_tensor().clone(), rejected: rejected.as_tensor().clone() };
    let reference =
        PairLogProbs { chosen: input("ref_chosen_logps")?, rejected: input("ref_rejected_logps")? };
    let (beta, smoothing) = (case.number("beta")?, case.number("label_smoothing")?);
    // Without a reference in the loss the rewards still compare with it.
    let reference_free = case.params.get("reference_free").is_some_and(|value| value == true);
    let zero = PairLogProbs { chosen: chosen.zeros_like()?, rejected: rejected.zeros_like()? };
    let in_loss = if reference_free { &zero } else { &reference };
    let (losses, rewards) = if smoothing == 0.0 {
        (dpo(&policy, in_loss, beta)?.losses, dpo(&policy, &reference, beta)?)
    } else {
        (cdpo(&policy, in_loss, beta, smoothing)?.losses, cdpo(&policy, &reference, beta, smoothing)?)
    };
    let loss = losses.mean_all()?;
    let grads = loss.backward()?;
    let mut computed = Computed {
        values: vec![("loss", loss), ("per_sequence", losses)],
        grads: vec![
            ("chosen_logps", grads.get(&chosen).expect("the loss depends on the policy").clone()),
            ("rejected_logps", grads.get(&rejected).expect("the loss depends on the policy").clone()),
        ],
    };
    let margins = (&rewards.chosen_rewards - &rewards.rejected_rewards)?;
    for (name, value) in [
        ("rewards/chosen", rewards.chosen_rewards.mean_all()?),
        ("rewards/rejected", rewards.rejected_rewards.mean_all()?),
        ("rewards/margins", margins.mean_all()?),
        ("chosen_rewards", rewards.chosen_rewards),
        ("rejected_rewards", rewards.rejected_rewards),
    ] {
        // TRL 1.x reports means, 0.24 the rewards themselves.
        if case.outputs.contains_key(name) {
            computed.values.push((name, value));
        }
    }
    Ok(computed)
}

type Estimator = fn(&Tensor, &Tensor) -> Result<Tensor>;

fn estimators(input: &dyn Fn(&str) -> Result<Tensor>) -> Result<Computed> {
    let (policy, reference) = (Var::from_tensor(&input("logp")?)?, input("ref_logp")?);
    let mut computed = Computed::default();
    for (name, estimator) in [("k1", k1 as Estimator), ("k2", k2), ("k3", k3)] {
        let value = estimator(&policy, &reference)?;
        computed.grads.push((name, gradient(&value, &policy)?));
        computed.values.push((name, value));
    }
    Ok(computed)
}

/// The file's labels are PyTorch's: −100 does not count.
fn likelihood(case: &Case, input: &dyn Fn(&str) -> Result<Tensor>) -> Result<Computed> {
    let logits = Var::from_tensor(&input("logits")?)?;
    let labels = Array::parse(&case.params["labels"])?.tensor(DType::I64)?;
    let mask = labels.ge(0i64)?;
    let labels = mask.where_cond(&labels, &labels.zeros_like()?)?;
    let log_probs = label_log_probs(&logits, &labels)?;
    let loss = masked_mean(&nll(&log_probs, &mask)?, &mask)?;
    Ok(Computed { grads: vec![("logits", gradient(&loss, &logits)?)], values: vec![("loss", loss)] })
}

fn labels(case: &Case, input: &dyn Fn(&str) -> Result<Tensor>) -> Result<Computed> {
    let logits = Var::from_tensor(&input("logits")?)?;
    let targets = input("targets")?.to_dtype(DType::U32)?;
    let log_probs = label_log_probs(&(logits.as_tensor() / case.number("temperature")?)?, &targets)?;
    let grad = gradient(&log_probs, &logits)?;
    Ok(Computed { grads: vec![("logits_from_sum_logps", grad)], values: vec![("logps", log_probs)] })
}

/// Padded and packed must agree with the file, so with each other.
fn sequences(input: &dyn Fn(&str) -> Result<Tensor>) -> Result<Computed> {
    let logits = Var::from_tensor(&input("logits")?)?;
    let log_probs = shifted_log_probs(&logits, &input("tokens")?.to_dtype(DType::U32)?)?;
    let mask = shift_mask(&input("mask")?)?;
    let padded = masked_sequence_log_probs(&log_probs, &mask)?;
    let (rows, width) = mask.dims2()?;
    let counted = mask.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let places: Vec<u32> = (0..counted.len()).filter(|&i| counted[i] != 0.0).map(|i| i as u32).collect();
    let ids: Vec<u32> = places.iter().map(|place| place / width as u32).collect();
    let tokens = log_probs.flatten_all()?.index_select(&Tensor::new(places, &Device::Cpu)?, 0)?;
    let packed = sequence_log_probs(&tokens, &ids, rows)?;
    Ok(Computed {
        grads: vec![("logits", gradient(&padded, &logits)?), ("logits", gradient(&packed, &logits)?)],
        values: vec![("per_sequence", padded), ("per_sequence", packed)],
    })
}

fn gradient(result: &Tensor, input: &Var) -> Result<Tensor> {
    match result.sum_all()?.backward()?.remove(input) {
        Some(gradient) => Ok(gradient),
        None => bail!("no gradient arrived"),
    }
}
