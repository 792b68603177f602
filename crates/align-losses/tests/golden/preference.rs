//! Preference pairs and unpaired answers: `dpo.*`, `dpo24.*`, `cpo.*`, `orpo.*`, `tpo.*`, `kto.*`, `bco`.

use align_losses::{LogRatios, PairLogProbs, cdpo};
use candle_core::Result;

use crate::inputs::{Computed, Inputs};

pub(crate) fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    Ok(Some(match inputs.case.loss.as_str() {
        "dpo.sigmoid" => sigmoid(inputs)?,
        _ => return Ok(None),
    }))
}

fn sigmoid(inputs: &Inputs<'_>) -> Result<Computed> {
    let (chosen, rejected) = (inputs.var("chosen_logps")?, inputs.var("rejected_logps")?);
    let policy = PairLogProbs { chosen: chosen.as_tensor().clone(), rejected: rejected.as_tensor().clone() };
    let reference = PairLogProbs {
        chosen: inputs.tensor("ref_chosen_logps")?,
        rejected: inputs.tensor("ref_rejected_logps")?,
    };
    let ratios = LogRatios::new(&policy, &reference)?;
    let beta = inputs.number("beta")?;
    let losses = cdpo(&ratios, beta, inputs.number("label_smoothing")?)?;
    let rewards = ratios.rewards(beta)?;
    Computed::of(losses.mean_all()?, &[("chosen_logps", &chosen), ("rejected_logps", &rejected)])?
        .with(inputs.case, "per_sequence", || Ok(losses.clone()))?
        .with(inputs.case, "rewards/chosen", || rewards.chosen.mean_all())?
        .with(inputs.case, "rewards/rejected", || rewards.rejected.mean_all())?
        .with(inputs.case, "rewards/margins", || (&rewards.chosen - &rewards.rejected)?.mean_all())
}
