//! `ppo.*` and `util.masked_whiten`: TRL's padded rows, whose values count one position more than their tokens.

use align_losses::{
    Clip, Gae, Sequences, clipped_value_loss, dual_clip_surrogate, gae, k1, k2, k3, log_ratios, ppo_clip,
    token_mean, token_moments, token_rewards, whiten, whiten_around_mean,
};
use candle_core::{Device, Result, Tensor};

use super::{numbers, reported, scalar};
use crate::inputs::{Computed, Inputs};

pub(super) fn whitening(inputs: &Inputs<'_>) -> Result<Computed> {
    let (values, counted) = (inputs.tensor("values")?, Sequences::padded(&inputs.tensor("mask")?)?);
    let moments = token_moments(&values, &counted)?;
    let whiten = if inputs.flag("shift_mean") { whiten } else { whiten_around_mean };
    Ok(reported(vec![
        ("whitened", whiten(&values, &counted)?),
        ("mean", scalar(moments.mean)?),
        ("var", scalar(moments.variance)?),
    ]))
}

pub(super) fn rewards_and_advantages(inputs: &Inputs<'_>) -> Result<Computed> {
    let counted = |mask: &str| Sequences::padded(&inputs.tensor(mask)?.eq(0f64)?);
    let (tokens, valued) = (counted("padding_mask")?, counted("padding_mask_p1")?);
    let (policy, reference) = (inputs.tensor("logprobs")?, inputs.tensor("ref_logprobs")?);
    let kl = match inputs.word("kl_estimator") {
        "k1" => k1(&policy, &reference)?,
        _ => k3(&policy, &reference)?,
    };
    let scores = numbers(&inputs.tensor("scores")?)?;
    let mut rewards = token_rewards(&kl, &scores, &valued, inputs.number("kl_coef")?)?;
    if inputs.flag("whiten_rewards") {
        rewards = valued.counted(&whiten_around_mean(&rewards, &valued)?)?;
    }
    let ended = vec![0.0; scores.len()];
    let (gamma, lam) = (inputs.number("gamma")?, inputs.number("lam")?);
    let Gae { advantages, returns } = gae(&rewards, &inputs.tensor("values")?, &valued, &ended, gamma, lam)?;
    let whitened = tokens.counted(&whiten(&advantages, &tokens)?)?;
    Ok(reported(vec![
        ("rewards", rewards),
        ("advantages_unwhitened", advantages),
        ("returns", returns),
        ("advantages", whitened),
    ]))
}

/// Rows of steps, where `dones` end episodes: packed, an episode being a sequence.
pub(super) fn episodes(inputs: &Inputs<'_>) -> Result<Computed> {
    let (rewards, values) = (inputs.tensor("rewards")?, inputs.tensor("values")?);
    let (rows, width) = values.dims2()?;
    let dones = numbers(&inputs.tensor("dones")?)?;
    let last_values = numbers(&inputs.tensor("last_values")?)?;
    let (mut ids, mut bootstrap) = (Vec::new(), Vec::new());
    for (step, &done) in dones.iter().enumerate() {
        ids.push(bootstrap.len() as u32);
        let cut_off = step % width == width - 1;
        if done != 0.0 || cut_off {
            bootstrap.push(if done == 0.0 { last_values[step / width] } else { 0.0 });
        }
    }
    let episodes = Sequences::packed(&ids, bootstrap.len(), &Device::Cpu)?;
    let (gamma, lam) = (inputs.number("gamma")?, inputs.number("lam")?);
    let Gae { advantages, returns } =
        gae(&rewards.flatten_all()?, &values.flatten_all()?, &episodes, &bootstrap, gamma, lam)?;
    let in_rows = |steps: Tensor| steps.reshape((rows, width));
    Ok(reported(vec![("advantages", in_rows(advantages)?), ("returns", in_rows(returns)?)]))
}

pub(super) fn loss(inputs: &Inputs<'_>) -> Result<Computed> {
    let (tokens, valued) = rows(inputs)?;
    let (log_probs, values) = (inputs.var("new_logprobs")?, inputs.var("vpred")?);
    let (new, old) = (tokens.counted(&log_probs)?, tokens.counted(&inputs.tensor("old_logprobs")?)?);
    let policy =
        ppo_clip(&new, &old, &inputs.tensor("advantages")?, Clip::symmetric(inputs.number("cliprange")?))?;
    let value = clipped_value_loss(
        &valued.counted(&values)?,
        &inputs.tensor("old_values")?,
        &inputs.tensor("returns")?,
        inputs.number("cliprange_value")?,
    )?;
    let policy_loss = token_mean(&policy.losses, &tokens, tokens.tokens())?;
    let value_loss = token_mean(&value.losses, &valued, valued.tokens())?;
    let loss = (&policy_loss + (&value_loss * inputs.number("vf_coef")?)?)?;
    let clipped = policy.token_clip_ratios(&tokens)?;
    Computed::of(loss, &[("new_logprobs", &log_probs), ("vpred", &values)])?
        .with(inputs.case, "pg_loss", || Ok(policy_loss))?
        .with(inputs.case, "vf_loss", || Ok(value_loss))?
        .with(inputs.case, "pg_clipfrac", || scalar(clipped.region_mean))?
        .with(inputs.case, "vf_clipfrac", || token_mean(&value.clipped, &valued, valued.tokens()))?
        // TRL's mean is over padding too.
        .with(inputs.case, "approxkl", || k2(&new, &old)?.mean_all())
}

pub(super) fn dual_clip(inputs: &Inputs<'_>) -> Result<Computed> {
    let (tokens, _) = rows(inputs)?;
    let log_probs = inputs.var("new_logprobs")?;
    let ratios = log_ratios(&log_probs, &inputs.tensor("old_logprobs")?, &tokens)?;
    let clip = Clip::symmetric(inputs.number("cliprange")?);
    let surrogate =
        dual_clip_surrogate(&ratios, &inputs.tensor("advantages")?, clip, inputs.number("dual_clip")?)?;
    let loss = token_mean(&surrogate.losses, &tokens, tokens.tokens())?;
    Computed::of(loss, &[("new_logprobs", &log_probs)])
}

/// The tokens of an update's rows, whose padding has the log-prob 1, and those of their values: one more each.
fn rows(inputs: &Inputs<'_>) -> Result<(Sequences, Sequences)> {
    let tokens = inputs.tensor("old_logprobs")?.ne(1f64)?;
    let before = tokens.narrow(1, 0, tokens.dim(1)? - 1)?.pad_with_zeros(1, 1, 0)?;
    Ok((Sequences::padded(&tokens)?, Sequences::padded(&tokens.maximum(&before)?)?))
}
