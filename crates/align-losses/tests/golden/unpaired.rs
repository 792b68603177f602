//! Answers without a partner: `kto.*`, `bco`; and BCO's `util.running_moments`.

use align_losses::{
    RunningMoments, apo_zero_unpaired, bco, density_ratio_weights, desirability_weighted, kto, kto_kl,
    masked_mean,
};
use align_testkit::Array;
use candle_core::{DType, Device, Result, Tensor, bail};
use serde_json::Value;

use crate::inputs::{Computed, Inputs};

pub(crate) fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    Ok(Some(match inputs.case.loss.as_str() {
        "kto.kto" => with_kl(inputs, &kto_kl(&inputs.tensor("KL_logps")?, &inputs.tensor("ref_KL_logps")?)?)?,
        "kto.apo_zero_unpaired" => with_kl(inputs, &inputs.tensor("logps")?.zeros_like()?.sum_all()?)?,
        "bco" => classified(inputs)?,
        "util.running_moments" => running_moments(inputs)?,
        _ => return Ok(None),
    }))
}

fn with_kl(inputs: &Inputs<'_>, kl: &Tensor) -> Result<Computed> {
    let (log_probs, desirable) = (inputs.var("logps")?, inputs.tensor("label")?);
    let ratios = (log_probs.as_tensor() - inputs.tensor("ref_logps")?)?;
    let beta = inputs.number("beta")?;
    let losses = match inputs.case.loss.as_str() {
        "kto.kto" => kto(&ratios, &desirable, kl, beta)?,
        _ => apo_zero_unpaired(&ratios, &desirable, beta)?,
    };
    let (weight, other) = (inputs.number("desirable_weight")?, inputs.number("undesirable_weight")?);
    let losses = desirability_weighted(&losses, &desirable, weight, other)?;
    let rewards = (ratios.detach() * beta)?;
    let chosen = || masked_mean(&rewards, &desirable);
    let rejected = || masked_mean(&rewards, &desirable.affine(-1.0, 1.0)?);
    Computed::of(losses.mean_all()?, &[("logps", &log_probs)])?
        .with(inputs.case, "per_sequence", || Ok(losses))?
        .with(inputs.case, "kl", || Ok(kl.clone()))?
        .with(inputs.case, "rewards/chosen", chosen)?
        .with(inputs.case, "rewards/rejected", rejected)?
        .with(inputs.case, "rewards/margins", || chosen()? - rejected()?)
}

fn classified(inputs: &Inputs<'_>) -> Result<Computed> {
    let (log_probs, desirable) = (inputs.var("logps")?, inputs.tensor("label")?);
    let ratios = (log_probs.as_tensor() - inputs.tensor("ref_logps")?)?;
    let beta = inputs.number("beta")?;
    let mut running = RunningMoments::default();
    running.update(&(ratios.detach().to_dtype(DType::F64)? * beta)?.to_vec1::<f64>()?);
    let losses = bco(&ratios, &desirable, beta, running.mean)?;
    let labels = desirable.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let losses = (losses * weights(inputs, &labels, &desirable)?)?;
    // The file has the desirable ones first.
    let mut order: Vec<u32> = (0u32..).take(labels.len()).collect();
    order.sort_by_key(|&i| labels[i as usize] == 0.0);
    Computed::of(losses.mean_all()?, &[("logps", &log_probs)])?
        .with(inputs.case, "delta", || Tensor::new(running.mean, &Device::Cpu))?
        .with(inputs.case, "per_sequence_chosen_then_rejected", || {
            losses.index_select(&Tensor::new(order, &Device::Cpu)?, 0)
        })
}

/// The file has probabilities of the undesirable answers only.
fn weights(inputs: &Inputs<'_>, labels: &[f64], desirable: &Tensor) -> Result<Tensor> {
    if !inputs.flag("udm") {
        return desirable.ones_like();
    }
    let Some(given) = inputs.case.params.get("prob_desirable_of_rejected") else { bail!("no probabilities") };
    let mut of_undesirable = Array::parse(given)?.values.into_iter();
    let spread = labels
        .iter()
        .map(|&label| if label == 0.0 { of_undesirable.next().unwrap_or(f64::NAN) } else { 0.5 });
    let probabilities = Tensor::from_iter(spread, &Device::Cpu)?.to_dtype(desirable.dtype())?;
    let (min, max) = (inputs.number("min_density_ratio")?, inputs.number("max_density_ratio")?);
    density_ratio_weights(&probabilities, desirable, min, max)
}

/// Compared here, since a trace is a list of states and no tensor.
fn running_moments(inputs: &Inputs<'_>) -> Result<Computed> {
    let mut running = RunningMoments::default();
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for state in inputs.case.outputs.get("trace").and_then(Value::as_array).into_iter().flatten() {
        running.update(&Array::parse(&state["xs"])?.values);
        found.extend([running.mean, running.var, running.std, running.count]);
        expected.extend(["mean", "var", "std", "count"].map(|name| state[name].as_f64().unwrap_or(f64::NAN)));
    }
    let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-12 * b.abs());
    if found.is_empty() || !close {
        bail!("expected {expected:?}, got {found:?}");
    }
    Ok(Computed::default())
}
