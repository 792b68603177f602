//! `grpo.*`, `gmpo`, `rloo.loss`, `reinforce.loss`, `a2po.regression`: padded rows with an advantage each.

use align_losses::{
    Clip, ClipRatios, SapoTemperatures, Sequences, VespoShape, VespoShapes, a2po, bias_corrected_k3, cispo,
    clipped_surrogate, gmpo, k3, kept_mean, log_ratios, off_policy_mask, reinforce, rloo, sapo,
    seq_mean_token_mean, seq_mean_token_sum, seq_mean_token_sum_norm, sequence_log_ratios,
    sequence_token_log_ratios, token_mean, top_entropy_mask, two_sided_surrogate, vespo,
};
use candle_core::{DType, Result, Tensor, Var, bail};

use super::scalar;
use crate::inputs::{Computed, Inputs};

/// A case's rows.
struct Rows<'a> {
    inputs: &'a Inputs<'a>,
    log_probs: Var,
    old: Tensor,
    entropies: Var,
    advantages: Tensor,
    sequences: Sequences,
}

impl<'a> Rows<'a> {
    fn of(inputs: &'a Inputs<'a>) -> Result<Self> {
        let log_probs = inputs.var("per_token_logps")?;
        let no_old = inputs.flag("no_old");
        Ok(Self {
            inputs,
            old: if no_old { log_probs.as_tensor().clone() } else { inputs.tensor("old_per_token_logps")? },
            log_probs,
            entropies: inputs.var("entropies")?,
            advantages: inputs.tensor("advantages")?,
            sequences: Sequences::padded(&inputs.tensor("completion_mask")?)?,
        })
    }

    fn log_ratios(&self) -> Result<Tensor> {
        log_ratios(&self.log_probs, &self.old, &self.sequences)
    }

    fn reference(&self) -> Result<Tensor> {
        self.inputs.tensor("ref_per_token_logps")
    }

    fn of_tokens(&self) -> Result<Tensor> {
        self.sequences.spread(&self.advantages)
    }

    fn clip(&self) -> Result<Clip> {
        Ok(Clip { low: self.inputs.number("epsilon_low")?, high: self.inputs.number("epsilon_high")? })
    }

    fn token_mean(&self, values: &Tensor) -> Result<Tensor> {
        token_mean(values, &self.sequences, self.sequences.tokens())
    }

    fn mean_of_sequences(&self, losses: &Tensor) -> Result<Computed> {
        Computed::of(losses.mean_all()?, &[("per_token_logps", &self.log_probs)])
    }
}

/// Losses by token and what is reported beside them.
struct Losses {
    losses: Tensor,
    clipped: Option<ClipRatios>,
    reported: Option<Tensor>,
}

pub(super) fn grpo(inputs: &Inputs<'_>) -> Result<Computed> {
    let rows = Rows::of(inputs)?;
    let sequences = &rows.sequences;
    let Losses { mut losses, clipped, reported } = losses(&rows)?;
    if let Some(threshold) = inputs.number_if_given("off_policy_mask_threshold")? {
        let kept = off_policy_mask(&rows.log_probs, &rows.old, &rows.advantages, sequences, threshold)?;
        losses = (losses * sequences.spread(&kept)?)?;
    }
    let share = inputs.number_if_given("top_entropy_quantile")?.unwrap_or(1.0);
    let kept = top_entropy_mask(&rows.entropies, sequences, share)?;
    losses = (losses * &kept)?;
    let beta = inputs.number("beta")?;
    let kl = match (inputs.flag("use_bias_correction_kl"), inputs.word("importance_sampling_level")) {
        (false, _) => k3(&rows.log_probs, &rows.reference()?)?,
        (true, "sequence") => {
            let of_sequences = sequences.spread(&sequence_log_ratios(&rows.log_ratios()?, sequences)?)?;
            bias_corrected_k3(&rows.log_probs, &rows.reference()?, &of_sequences)?
        }
        (true, _) => bias_corrected_k3(&rows.log_probs, &rows.reference()?, &rows.log_ratios()?)?,
    };
    if beta != 0.0 {
        losses = (losses + (&kl * beta)?)?;
    }
    let mut loss = reduced(&rows, &losses)?;
    let entropy_coef = inputs.number_if_given("entropy_coef")?.unwrap_or(0.0);
    loss = (loss - (kept_mean(&rows.entropies, &kept, sequences)? * entropy_coef)?)?;

    let mut computed =
        Computed::of(loss, &[("per_token_logps", &rows.log_probs), ("entropies", &rows.entropies)])?;
    computed.grads.retain(|(name, _)| inputs.case.grads.contains_key(*name));
    let computed =
        computed
            .with(inputs.case, "kl", || rows.token_mean(&kl))?
            .with(inputs.case, "entropy", || rows.token_mean(&rows.entropies))?;
    let computed = match reported {
        None => computed,
        Some(reported) => {
            let value = reported.clone();
            computed.with(inputs.case, "cispo_clip_ratio", || rows.token_mean(&value))?.with(
                inputs.case,
                "vespo/phi_seq_mean",
                || reported.mean_all(),
            )?
        }
    };
    with_clip_ratios(computed, inputs, clipped)
}

fn with_clip_ratios(
    mut computed: Computed,
    inputs: &Inputs<'_>,
    clipped: Option<ClipRatios>,
) -> Result<Computed> {
    let Some(clipped) = clipped else { return Ok(computed) };
    for (name, value) in [
        ("clip_ratio/low_mean", clipped.low_mean),
        ("clip_ratio/low_min", clipped.low_min),
        ("clip_ratio/high_mean", clipped.high_mean),
        ("clip_ratio/high_max", clipped.high_max),
        ("clip_ratio/region_mean", clipped.region_mean),
    ] {
        computed = computed.with(inputs.case, name, || scalar(value))?;
    }
    Ok(computed)
}

fn losses(rows: &Rows<'_>) -> Result<Losses> {
    let Rows { inputs, log_probs, old, sequences, .. } = rows;
    let (advantages, of_tokens) = (&rows.advantages, rows.of_tokens()?);
    let number = |name| inputs.number(name);
    let unclipped = |losses| Losses { losses, clipped: None, reported: None };
    Ok(match inputs.word("loss_type") {
        "cispo" => {
            let cispo = cispo(log_probs, old, &of_tokens, sequences, number("epsilon_high")?)?;
            Losses { reported: Some(cispo.clipped), ..unclipped(cispo.losses) }
        }
        "sapo" => {
            let temperatures = SapoTemperatures {
                positive: number("sapo_temperature_pos")?,
                negative: number("sapo_temperature_neg")?,
            };
            unclipped(sapo(&rows.log_ratios()?, &of_tokens, temperatures)?)
        }
        "vespo" => {
            let shapes = VespoShapes {
                positive: VespoShape { k: number("vespo_k_pos")?, lambda: number("vespo_lambda_pos")? },
                negative: VespoShape { k: number("vespo_k_neg")?, lambda: number("vespo_lambda_neg")? },
            };
            let vespo = vespo(log_probs, old, advantages, sequences, shapes)?;
            Losses { reported: Some(vespo.weights), ..unclipped(vespo.losses) }
        }
        _ => {
            let clipped = |log_ratios: &Tensor, advantages: &Tensor| match inputs.number_if_given("delta")? {
                Some(delta) => two_sided_surrogate(log_ratios, advantages, rows.clip()?, delta),
                None => clipped_surrogate(log_ratios, advantages, rows.clip()?),
            };
            if inputs.word("importance_sampling_level") == "sequence" {
                let log_ratios = sequence_log_ratios(&rows.log_ratios()?, sequences)?;
                let surrogate = clipped(&log_ratios, advantages)?;
                let clipped = Some(surrogate.sequence_clip_ratios()?);
                Losses { clipped, ..unclipped(sequences.spread(&surrogate.losses)?) }
            } else {
                let surrogate = clipped(&rows.log_ratios()?, &of_tokens)?;
                let clipped = Some(surrogate.token_clip_ratios(sequences)?);
                Losses { clipped, ..unclipped(surrogate.losses) }
            }
        }
    })
}

fn reduced(rows: &Rows<'_>, losses: &Tensor) -> Result<Tensor> {
    let sequences = &rows.sequences;
    match rows.inputs.word("loss_type") {
        "grpo" | "sapo" => seq_mean_token_mean(losses, sequences, sequences.len()),
        "bnpo" | "dapo" | "cispo" | "vespo" => rows.token_mean(losses),
        "luspo" => seq_mean_token_sum(losses, sequences, sequences.len()),
        "dr_grpo" => {
            let longest = rows.inputs.number("max_completion_length")? as usize;
            seq_mean_token_sum_norm(losses, sequences, sequences.len(), longest)
        }
        other => bail!("unknown loss {other}"),
    }
}

pub(super) fn gspo_token(inputs: &Inputs<'_>) -> Result<Computed> {
    let rows = Rows::of(inputs)?;
    let log_ratios = sequence_token_log_ratios(&rows.log_ratios()?, &rows.sequences)?;
    let surrogate = clipped_surrogate(&log_ratios, &rows.of_tokens()?, rows.clip()?)?;
    Computed::of(reduced(&rows, &surrogate.losses)?, &[("per_token_logps", &rows.log_probs)])
}

pub(super) fn gmpo_of_rows(inputs: &Inputs<'_>) -> Result<Computed> {
    let rows = Rows::of(inputs)?;
    let surrogate = gmpo(&rows.log_ratios()?, &rows.advantages, &rows.sequences, rows.clip()?)?;
    let kl = k3(&rows.log_probs, &rows.reference()?)?;
    let beta = inputs.number("beta")?;
    let losses = if beta == 0.0 {
        surrogate.losses.clone()
    } else {
        (&surrogate.losses + (rows.sequences.means(&kl)? * beta)?)?
    };
    let computed = rows.mean_of_sequences(&losses)?.with(inputs.case, "kl", || rows.token_mean(&kl))?.with(
        inputs.case,
        "entropy",
        || rows.token_mean(&rows.entropies),
    )?;
    with_clip_ratios(computed, inputs, Some(surrogate.token_clip_ratios(&rows.sequences)?))
}

pub(super) fn rloo_of_rows(inputs: &Inputs<'_>) -> Result<Computed> {
    let rows = Rows::of(inputs)?;
    let surrogate = rloo(&rows.log_probs, &rows.old, &rows.advantages, &rows.sequences, rows.clip()?)?;
    // PyTorch multiplies the slope 0 of a clipped sequence with its ratio: NaN where that is infinite even in f64.
    let expected = inputs.case.grad("per_token_logps")?.tensor(DType::F64)?;
    let computed = rows.mean_of_sequences(&surrogate.losses)?;
    let computed = Computed { mask: Some(expected.eq(&expected)?), ..computed };
    computed.with(inputs.case, "old_logps", || rows.sequences.sums(&rows.old))
}

pub(super) fn reinforce_of_rows(inputs: &Inputs<'_>) -> Result<Computed> {
    let rows = Rows::of(inputs)?;
    rows.mean_of_sequences(&reinforce(&rows.log_probs, &rows.advantages, &rows.sequences)?)
}

pub(super) fn a2po_of_rows(inputs: &Inputs<'_>) -> Result<Computed> {
    let rows = Rows::of(inputs)?;
    let beta2 = inputs.number("beta2")?;
    let losses = a2po(&rows.log_probs, &rows.reference()?, &rows.advantages, &rows.sequences, beta2)?;
    rows.mean_of_sequences(&losses)
}
