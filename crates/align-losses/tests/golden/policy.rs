//! Reinforcement learning: `ppo.*`, `grpo.*`, `gmpo`, `rloo.*`, `reinforce*`, `a2po.*`, `kl.*`, `util.masked_whiten`.

mod advantages;
mod critic;
mod divergence;
mod group;

use align_testkit::{Array, Case};
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

/// Whether PyTorch computed a result with a factor in f32, although its inputs are f64.
pub(crate) fn holds_single(case: &Case, name: &str) -> bool {
    let single = |value: f64| f64::from(value as f32) == value;
    match case.loss.as_str() {
        // The correction n/(n − 1) of an unbiased variance, of integers.
        "util.masked_whiten" | "ppo.rewards_gae" | "grpo.advantages" | "rloo.advantages" => true,
        // `torch.where` of two numbers.
        "grpo.sapo" | "grpo.vespo" if !name.starts_with("clip") => {
            case.params.values().any(|value| value.as_f64().is_some_and(|value| !single(value)))
        }
        _ => name.contains("clip_ratio"),
    }
}

/// Whether no digit of a result means anything: rewards of 10¹² that differ by 1, whitened, mean added back.
pub(crate) fn is_noise(case: &Case, name: &str) -> bool {
    const NO_DIGIT_LEFT: f64 = 1e9;
    let rewards = || case.output("rewards").map(|rewards| rewards.values).unwrap_or_default();
    case.loss == "ppo.rewards_gae"
        && name == "advantages"
        && case.params["whiten_rewards"] == true
        && rewards().iter().any(|reward| reward.abs() > NO_DIGIT_LEFT)
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
