//! Preference pairs by their token log-probs: `dpo.ld_alpha`, `dpo.wpo`, `dpo.sft.per_token`.

use align_losses::{
    LogRatios, PairLengths, PairLogProbs, Sequences, dpo, ipo_length_normalized, ld_log_probs, masked_mean,
    nll, wpo_weights,
};
use candle_core::{Result, Tensor, Var, bail};

use crate::inputs::{Computed, Inputs};

pub(crate) fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    let run = match inputs.case.loss.as_str() {
        "dpo.ld_alpha" => length_desensitized,
        "dpo.wpo" => policy_weighted,
        "dpo.sft.per_token" => chosen_likelihood,
        _ => return Ok(None),
    };
    run(inputs, &Rows::of(inputs)?).map(Some)
}

/// Rows `[2·pairs, seq]`: the chosen answers, then the rejected ones.
struct Rows {
    log_probs: Var,
    reference: Tensor,
    mask: Tensor,
    sequences: Sequences,
}

impl Rows {
    fn of(inputs: &Inputs<'_>) -> Result<Self> {
        let mask = inputs.tensor("completion_mask")?;
        Ok(Self {
            log_probs: inputs.var("per_token_logps")?,
            reference: inputs.tensor("ref_per_token_logps")?,
            sequences: Sequences::padded(&mask)?,
            mask,
        })
    }

    fn losses(&self, inputs: &Inputs<'_>, policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
        let ratios = LogRatios::new(&pairs(policy)?, &pairs(reference)?)?;
        let beta = inputs.number("beta")?;
        match inputs.word("loss_type") {
            "sigmoid" => dpo(&ratios, beta),
            "ipo" => {
                let lengths = pairs(&self.mask.sum(1)?)?;
                let lengths = PairLengths { chosen: lengths.chosen, rejected: lengths.rejected };
                ipo_length_normalized(&ratios, &lengths, beta)
            }
            other => bail!("unknown loss {other}"),
        }
    }

    fn computed(&self, losses: &Tensor) -> Result<Computed> {
        let computed = Computed::of(losses.mean_all()?, &[("per_token_logps", &self.log_probs)])?;
        Ok(Computed { mask: Some(self.mask.clone()), ..computed })
    }
}

fn pairs(rows: &Tensor) -> Result<PairLogProbs> {
    let halves = rows.chunk(2, 0)?;
    Ok(PairLogProbs { chosen: halves[0].clone(), rejected: halves[1].clone() })
}

fn length_desensitized(inputs: &Inputs<'_>, rows: &Rows) -> Result<Computed> {
    let (chosen, rejected) = rows.sequences.lengths().split_at(rows.sequences.len() / 2);
    let shorter = chosen.iter().zip(rejected).map(|(chosen, rejected)| *chosen.min(rejected));
    let shared: Vec<usize> = shorter.clone().chain(shorter).collect();
    let sums = |log_probs: &Tensor| match inputs.number_if_given("ld_alpha")? {
        Some(alpha) => ld_log_probs(log_probs, &rows.sequences, &shared, alpha),
        None => rows.sequences.sums(log_probs),
    };
    let reference = sums(&rows.reference)?;
    let losses = rows.losses(inputs, &sums(&rows.log_probs)?, &reference)?;
    rows.computed(&losses)?.with(inputs.case, "ref_logps", || Ok(reference))
}

fn policy_weighted(inputs: &Inputs<'_>, rows: &Rows) -> Result<Computed> {
    let sums = |log_probs: &Tensor| rows.sequences.sums(log_probs);
    let losses = rows.losses(inputs, &sums(&rows.log_probs)?, &sums(&rows.reference)?)?;
    let weights =
        pairs(&wpo_weights(&rows.log_probs, &inputs.tensor("log_sum_sq_probs")?, &rows.sequences)?)?;
    rows.computed(&(losses * weights.chosen)?.mul(&weights.rejected)?)
}

fn chosen_likelihood(_: &Inputs<'_>, rows: &Rows) -> Result<Computed> {
    let (log_probs, mask) = (pairs(&rows.log_probs)?.chosen, pairs(&rows.mask)?.chosen);
    rows.computed(&masked_mean(&nll(&log_probs, &mask)?, &mask)?)
}
