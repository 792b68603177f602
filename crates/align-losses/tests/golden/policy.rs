//! Reinforcement learning: `ppo.*`, `grpo.*`, `gmpo`, `rloo.*`, `reinforce*`, `a2po.*`, `kl.*`, `util.masked_whiten`.

mod advantages;
mod critic;
mod divergence;
mod group;

use align_testkit::{Array, Case, Tolerance};
use candle_core::{DType, Device, Result, Tensor};

use crate::inputs::{Computed, Inputs};

pub(crate) fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    Ok(Some(match inputs.case.loss.as_str() {
        "kl.estimators" => divergence::estimators(inputs)?,
        "kl.exact" => divergence::exact(inputs)?,
        "kl.adaptive_controller" => divergence::adaptive_controller(inputs)?,
        "util.masked_whiten" => critic::whitening(inputs)?,
        "ppo.rewards_gae" => critic::rewards_and_advantages(inputs)?,
        "ppo.gae" => critic::episodes(inputs)?,
        "ppo.loss" => critic::loss(inputs)?,
        "ppo.dual_clip" => critic::dual_clip(inputs)?,
        "grpo.advantages" => advantages::grpo(inputs)?,
        "rloo.advantages" => advantages::rloo(inputs)?,
        "reinforce_pp.advantages" => advantages::reinforce_pp(inputs)?,
        "grpo.gspo_token" => group::gspo_token(inputs)?,
        loss if loss.starts_with("grpo.") => group::grpo(inputs)?,
        "gmpo" => group::gmpo_of_rows(inputs)?,
        "rloo.loss" => group::rloo_of_rows(inputs)?,
        "reinforce.loss" => group::reinforce_of_rows(inputs)?,
        "a2po.regression" => group::a2po_of_rows(inputs)?,
        _ => return Ok(None),
    }))
}

/// What PyTorch computed with a factor in f32, although its inputs are f64.
pub(crate) fn coarser(case: &Case, name: &str) -> Option<(Tolerance, &'static str)> {
    let single = |value: f64| f64::from(value as f32) == value;
    let why = match case.loss.as_str() {
        "util.masked_whiten" | "ppo.rewards_gae" | "grpo.advantages" | "rloo.advantages" => {
            "PyTorch takes the correction n/(n - 1) of a variance in f32"
        }
        "grpo.sapo" | "grpo.vespo" if !name.starts_with("clip") => {
            case.params.values().find(|value| value.as_f64().is_some_and(|value| !single(value)))?;
            "PyTorch's `where` of two numbers is in f32"
        }
        _ if name.contains("clip_ratio") => "PyTorch divides counts in f32",
        _ => return None,
    };
    let rounding = whitened_around(case, name).map_or(0.0, |mean| 8.0 * f64::EPSILON * mean);
    Some((Tolerance { relative: 2e-7, absolute: rounding.max(2e-7) }, why))
}

/// Why f32 has no digit of a result, if it has none.
pub(crate) fn lost_in_single(case: &Case, name: &str) -> Option<&'static str> {
    let mean = whitened_around(case, name)?;
    (mean * f64::from(f32::EPSILON) > 1.0).then_some("f32 cannot tell the rewards from their mean")
}

/// The size of the mean that whitened rewards are around, for the advantages made of them: these are of the size 1,
/// with whatever the rewards lost when the mean was added back. 10¹² beside differences of 1 leaves f64 four digits.
fn whitened_around(case: &Case, name: &str) -> Option<f64> {
    if case.loss != "ppo.rewards_gae" || name != "advantages" || case.params["whiten_rewards"] != true {
        return None;
    }
    let rewards = case.output("rewards").ok()?;
    Some(rewards.values.iter().fold(0.0, |largest, reward| f64::max(largest, reward.abs())))
}

/// Results without a gradient.
fn reported(values: Vec<(&'static str, Tensor)>) -> Computed {
    Computed { values, ..Computed::default() }
}

fn scalar(value: f64) -> Result<Tensor> {
    Tensor::new(value, &Device::Cpu)
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// An array among the parameters.
fn parameter(inputs: &Inputs<'_>, name: &str) -> Result<Vec<f64>> {
    numbers(&inputs.rounded(&Array::parse(&inputs.case.params[name])?)?)
}
