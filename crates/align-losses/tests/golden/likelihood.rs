//! Tokens and scores: `sft.*`, `gkd.*`, `reward.*`, `sequence.*`, `numerics.*`, `util.selective_log_softmax`.

use align_losses::{
    bradley_terry, bradley_terry_with_margin, dft, entropy, generalized_jsd, label_log_probs,
    label_smoothed_nll, log_sigmoid, log_sum_sq_probs, masked_mean, masked_sequence_log_probs, nll,
    pairwise_ranking, plackett_luce, reward_centering, reward_regression, shift_mask, shifted_log_probs,
};
use align_testkit::Array;
use candle_core::{D, DType, Result, Tensor, Var, bail};

use crate::inputs::{Computed, Inputs};

pub(crate) fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    Ok(Some(match inputs.case.loss.as_str() {
        "numerics.log_sigmoid" => {
            let x = inputs.var("x")?;
            named("y", log_sigmoid(&x)?, "x", &x)?
        }
        "util.selective_log_softmax" => token_values(inputs)?,
        "sequence.log_probs" => {
            let logits = inputs.var("logits")?;
            let log_probs = shifted_log_probs(&logits, &inputs.tensor("tokens")?.to_dtype(DType::U32)?)?;
            let mask = shift_mask(&inputs.tensor("mask")?)?;
            named("per_sequence", masked_sequence_log_probs(&log_probs, &mask)?, "logits", &logits)?
        }
        "sft.nll" => on_labels(inputs, |logits, labels, mask| nll(&of_counted(logits, labels, mask)?, mask))?,
        "sft.dft" => on_labels(inputs, |logits, labels, mask| dft(&of_counted(logits, labels, mask)?, mask))?,
        "sft.label_smoothing" => {
            let epsilon = inputs.number("epsilon")?;
            on_labels(inputs, |logits, labels, mask| label_smoothed_nll(logits, labels, mask, epsilon))?
        }
        "gkd.jsd" => distillation(inputs)?,
        "reward.bradley_terry" => scored_pairs(inputs)?,
        "reward.plackett_luce" => ranked(inputs, plackett_luce)?,
        "reward.pairwise_ranking" => ranked(inputs, pairwise_ranking)?,
        "reward.regression" => {
            let scores = inputs.var("rewards")?;
            let losses = reward_regression(&scores, &inputs.tensor("targets")?)?;
            Computed::of(losses.mean_all()?, &[("rewards", &scores)])?.with(
                inputs.case,
                "per_example",
                || Ok(losses),
            )?
        }
        _ => return Ok(None),
    }))
}

/// A result that is not called `loss`, and the gradient of its sum.
fn named(name: &'static str, value: Tensor, grad: &'static str, variable: &Var) -> Result<Computed> {
    let mut computed = Computed::of(value, &[(grad, variable)])?;
    computed.values[0].0 = name;
    Ok(computed)
}

fn token_values(inputs: &Inputs<'_>) -> Result<Computed> {
    let logits = inputs.var("logits")?;
    let scaled = (logits.as_tensor() / inputs.number("temperature")?)?;
    let log_probs = label_log_probs(&scaled, &inputs.tensor("targets")?.to_dtype(DType::U32)?)?;
    let mut computed = named("logps", log_probs, "logits_from_sum_logps", &logits)?;
    let entropy = named("entropy", entropy(&scaled)?, "logits_from_sum_entropy", &logits)?;
    computed.values.extend(entropy.values);
    computed.grads.extend(entropy.grads);
    computed.with(inputs.case, "log_sum_sq_probs", || log_sum_sq_probs(&scaled))?.with(
        inputs.case,
        "argmax",
        || scaled.argmax(D::Minus1)?.to_dtype(DType::F64),
    )
}

/// Labels with −100 where nothing is to be learned, and the mask of the others.
fn labels(inputs: &Inputs<'_>) -> Result<(Tensor, Tensor)> {
    let Some(labels) = inputs.case.params.get("labels") else { bail!("no labels") };
    let labels = Array::parse(labels)?.tensor(DType::F64)?.to_dtype(DType::I64)?;
    let mask = labels.ge(0i64)?;
    Ok((labels, mask))
}

fn of_counted(logits: &Tensor, labels: &Tensor, mask: &Tensor) -> Result<Tensor> {
    label_log_probs(logits, &mask.where_cond(labels, &labels.zeros_like()?)?)
}

fn on_labels(
    inputs: &Inputs<'_>,
    losses: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Computed> {
    let (logits, (labels, mask)) = (inputs.var("logits")?, labels(inputs)?);
    Computed::of(masked_mean(&losses(&logits, &labels, &mask)?, &mask)?, &[("logits", &logits)])
}

fn distillation(inputs: &Inputs<'_>) -> Result<Computed> {
    let (student, teacher) = (inputs.var("student_logits")?, inputs.tensor("teacher_logits")?);
    let (beta, temperature) = (inputs.number("beta")?, inputs.number("temperature")?);
    let per_token = generalized_jsd(&student, &teacher, beta, temperature)?;
    Computed::of(masked_mean(&per_token, &labels(inputs)?.1)?, &[("student_logits", &student)])
}

fn scored_pairs(inputs: &Inputs<'_>) -> Result<Computed> {
    let (chosen, rejected) = (inputs.var("rewards_chosen")?, inputs.var("rewards_rejected")?);
    let mut losses = if inputs.flag("use_margin") {
        bradley_terry_with_margin(&chosen, &rejected, &inputs.tensor("margin")?)?
    } else {
        bradley_terry(&chosen, &rejected)?
    };
    if let Some(coefficient) = inputs.number_if_given("center_rewards_coefficient")? {
        losses = (losses + (reward_centering(&chosen, &rejected)? * coefficient)?)?;
    }
    let variables = [("rewards_chosen", &chosen), ("rewards_rejected", &rejected)];
    Computed::of(losses.mean_all()?, &variables)?
        .with(inputs.case, "margin", || (chosen.as_tensor() - rejected.as_tensor())?.mean_all())
}

fn ranked(inputs: &Inputs<'_>, losses: fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Computed> {
    let scores = inputs.var("rewards")?;
    let mask = match inputs.file.inputs(inputs.case)?.contains_key("mask") {
        true => inputs.tensor("mask")?,
        false => scores.ones_like()?,
    };
    let losses = losses(&scores, &mask)?;
    Computed::of(losses.mean_all()?, &[("rewards", &scores)])?.with(inputs.case, "per_group", || Ok(losses))
}
