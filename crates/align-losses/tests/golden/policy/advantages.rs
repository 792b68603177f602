//! `*.advantages`: rewards of completions in, advantages out.

use align_losses::{
    batch_scaled_advantages, clipped_rewards, dr_grpo_advantages, group_centered, group_normalized_rewards,
    grpo_advantages, kl_penalized_rewards, leave_one_out, normalized_advantages, reinforce_pp_advantages,
    rloo_advantages, weighted_rewards,
};
use align_testkit::Array;
use candle_core::{DType, Device, Result, Tensor, bail};

use super::{numbers, parameter, reported};
use crate::inputs::{Computed, Inputs};

pub(super) fn grpo(inputs: &Inputs<'_>) -> Result<Computed> {
    let (rewards, weights, generations) = rewards(inputs)?;
    let summed = || weighted_rewards(&rewards, &weights);
    let (rewards, advantages) = match (inputs.word("aggregation"), inputs.word("scale_rewards")) {
        ("normalize_then_sum", _) => {
            let rewards = group_normalized_rewards(&rewards, &weights, generations)?;
            (rewards.clone(), normalized_advantages(&rewards)?)
        }
        (_, "group") => (summed()?, grpo_advantages(&summed()?, generations)?),
        (_, "batch") => (summed()?, batch_scaled_advantages(&summed()?, generations)?),
        (_, "none") => (summed()?, dr_grpo_advantages(&summed()?, generations)?),
        (_, other) => bail!("unknown scale {other}"),
    };
    computed(Some(rewards), advantages)
}

pub(super) fn rloo(inputs: &Inputs<'_>) -> Result<Computed> {
    let (rewards, weights, generations) = rewards(inputs)?;
    let mut rewards = weighted_rewards(&rewards, &weights)?;
    if !inputs.case.params["reward_clip_range"].is_null() {
        let range = parameter(inputs, "reward_clip_range")?;
        rewards = clipped_rewards(&rewards, range[0], range[1])?;
    }
    let beta = inputs.number("beta")?;
    if beta != 0.0 {
        let drift = Array::parse(&inputs.case.params["old_minus_ref_logps"])?.tensor(DType::F64)?;
        rewards = kl_penalized_rewards(&rewards, &numbers(&drift.sum(1)?)?, beta)?;
    }
    let advantages = if inputs.flag("normalize_advantages") {
        normalized_advantages(&leave_one_out(&rewards, generations)?)?
    } else {
        rloo_advantages(&rewards, generations)?
    };
    computed(Some(rewards), advantages)
}

pub(super) fn reinforce_pp(inputs: &Inputs<'_>) -> Result<Computed> {
    let mut rewards = numbers(&inputs.tensor("rewards")?)?;
    if inputs.flag("baseline") {
        // Groups of unequal size here, each in one piece.
        let groups = numbers(&inputs.tensor("groups")?)?;
        let centered: Result<Vec<Vec<f64>>> = groups
            .chunk_by(|a, b| a == b)
            .scan(0, |start, group| {
                let of_group = &rewards[*start..*start + group.len()];
                *start += group.len();
                Some(group_centered(of_group, group.len()))
            })
            .collect();
        rewards = centered?.concat();
    }
    computed(None, reinforce_pp_advantages(&rewards)?)
}

/// Rewards by function, weights, group size.
fn rewards(inputs: &Inputs<'_>) -> Result<(Vec<Vec<f64>>, Vec<f64>, usize)> {
    let by_function = inputs.tensor("rewards_per_func")?.to_dtype(DType::F64)?.t()?.to_vec2()?;
    let generations = numbers(&inputs.tensor("num_generations")?)?[0] as usize;
    Ok((by_function, parameter(inputs, "reward_weights")?, generations))
}

fn computed(rewards: Option<Vec<f64>>, advantages: Vec<f64>) -> Result<Computed> {
    let column = |values: Vec<f64>| Tensor::new(values, &Device::Cpu);
    let mut values = vec![("advantages", column(advantages)?)];
    if let Some(rewards) = rewards {
        values.push(("rewards", column(rewards)?));
    }
    Ok(reported(values))
}
