//! Losses on the sequence log-probs of 64 preference pairs.

use align_losses::{
    FDivergence, LogRatios, PairLengths, PairLogProbs, aot, aot_unpaired, apo_down, apo_zero, bco_pair, cdpo,
    cdpo_with_margin, chosen_nll, cpo, cpo_hinge, cpo_ipo, discopop, dpo, dpo_length_normalized, dpop,
    exo_pair, hinge, ipo, ipo_length_normalized, nca_pair, orpo_odds_ratio, rdpo, robust_dpo, simpo, slic,
    sppo_hard, tpo_l,
};
use candle_core::{Result, Tensor, Var};

use crate::Case;
use crate::inputs::{ROWS, uniform, variable, whole};

const BETA: f64 = 0.1;

/// What the losses take. The variables are the policy's log-probs.
struct Pairs {
    policy: PairLogProbs,
    reference: PairLogProbs,
    lengths: PairLengths,
}

impl Pairs {
    fn ratios(&self) -> Result<LogRatios> {
        LogRatios::new(&self.policy, &self.reference)
    }

    fn under(&self, divergence: FDivergence) -> Result<LogRatios> {
        self.ratios()?.with_divergence(divergence)
    }
}

type Loss = fn(&Pairs) -> Result<Tensor>;

const LOSSES: [(&str, Loss); 36] = [
    ("dpo", |p| dpo(&p.ratios()?, BETA)),
    ("cdpo", |p| cdpo(&p.ratios()?, BETA, 0.1)),
    ("robust_dpo", |p| robust_dpo(&p.ratios()?, BETA, 0.1)),
    ("hinge", |p| hinge(&p.ratios()?, BETA)),
    ("ipo", |p| ipo(&p.ratios()?, BETA)),
    ("ipo_length_normalized", |p| ipo_length_normalized(&p.ratios()?, &p.lengths, BETA)),
    ("dpo_length_normalized", |p| dpo_length_normalized(&p.ratios()?, &p.lengths, BETA)),
    ("exo_pair", |p| exo_pair(&p.ratios()?, BETA, 0.001)),
    ("nca_pair", |p| nca_pair(&p.ratios()?, BETA)),
    ("bco_pair", |p| bco_pair(&p.ratios()?, BETA, 0.0)),
    ("sppo_hard", |p| sppo_hard(&p.ratios()?, BETA)),
    ("aot", |p| aot(&p.policy, &p.reference, BETA, 0.0)),
    ("aot_unpaired", |p| aot_unpaired(&p.ratios()?, BETA, 0.0)),
    ("apo_zero", |p| apo_zero(&p.ratios()?, BETA)),
    ("apo_down", |p| apo_down(&p.ratios()?, BETA)),
    ("discopop", |p| discopop(&p.ratios()?, BETA, 0.05)),
    ("dpop", |p| dpop(&p.ratios()?, BETA, 50.0)),
    ("rdpo", |p| rdpo(&p.ratios()?, &p.lengths, BETA, 0.02)),
    ("chosen_nll", |p| chosen_nll(&p.policy, &p.lengths)),
    ("dpo_forward_kl", |p| dpo(&p.under(FDivergence::ForwardKl)?, BETA)),
    ("dpo_jensen_shannon", |p| dpo(&p.under(FDivergence::JensenShannon)?, BETA)),
    ("dpo_alpha", |p| dpo(&p.under(FDivergence::Alpha(0.5))?, BETA)),
    ("mixture", |p| {
        let ratios = p.ratios()?;
        ((dpo(&ratios, BETA)? * 0.8)? + (bco_pair(&ratios, BETA, 0.0)? * 0.2)?)?
            + chosen_nll(&p.policy, &p.lengths)?
    }),
    ("cpo", |p| cpo(&p.policy, BETA, 0.0)),
    ("cpo_hinge", |p| cpo_hinge(&p.policy, BETA)),
    ("cpo_ipo", |p| cpo_ipo(&p.policy, &p.lengths, BETA)),
    ("simpo", |p| simpo(&p.policy, &p.lengths, 2.0, 0.5, 0.0)),
    ("tpo_l", |p| tpo_l(&p.policy, &p.lengths, 2.0, 0.5, 0.0)),
    ("alphapo", |p| {
        let rewards = LogRatios::reference_free(&p.policy)?.per_token(&p.lengths)?.alphapo(0.25)?;
        cdpo_with_margin(&rewards, 2.0, 0.5, 0.0)
    }),
    ("slic", |p| slic(&p.policy, 1.0, 0.1)),
    ("orpo_odds_ratio", |p| orpo_odds_ratio(&p.policy, &p.lengths)?.log_sigmoid * -BETA),
    ("aot_smoothed", |p| aot(&p.policy, &p.reference, BETA, 0.1)),
    ("aot_unpaired_smoothed", |p| aot_unpaired(&p.ratios()?, BETA, 0.1)),
    ("cpo_smoothed", |p| cpo(&p.policy, BETA, 0.1)),
    ("simpo_smoothed", |p| simpo(&p.policy, &p.lengths, 2.0, 0.5, 0.1)),
    ("cdpo_with_margin", |p| cdpo_with_margin(&p.ratios()?, BETA, 0.5, 0.1)),
];

pub(crate) fn cases() -> Result<Vec<Case>> {
    LOSSES.into_iter().map(|(name, loss)| case(name, loss)).collect()
}

fn case(name: &str, loss: Loss) -> Result<Case> {
    let (chosen, rejected) = (variable(0, ROWS, -60.0, -20.0)?, variable(1, ROWS, -60.0, -20.0)?);
    let near = |policy: &Var, stream| policy.detach() + uniform(stream, ROWS, -5.0, 5.0)?;
    let pairs = Pairs {
        policy: PairLogProbs { chosen: chosen.as_tensor().clone(), rejected: rejected.as_tensor().clone() },
        reference: PairLogProbs { chosen: near(&chosen, 2)?, rejected: near(&rejected, 3)? },
        lengths: PairLengths { chosen: whole(4, ROWS, 10.0, 40.0)?, rejected: whole(5, ROWS, 10.0, 40.0)? },
    };
    Ok(Case::new(&format!("pairs/{name}"), &[&chosen, &rejected], move || loss(&pairs)?.mean_all()))
}
