//! Losses on the log-probs of 64 rows of 128 tokens, about a quarter of them padding.

use align_losses::{
    Clip, LogRatios, PairLogProbs, SapoTemperatures, Sequences, Surrogate, VespoShape, VespoShapes, a2po,
    abs_kl, bias_corrected_k3, cispo, clipped_surrogate, clipped_value_loss, dft, dpo, dual_clip_surrogate,
    gmpo, k1, k2, k3, ld_log_probs, log_ratios, masked_mean, masked_sequence_log_probs, nll, ppo_clip,
    reinforce, rloo, sapo, seq_mean_token_mean, seq_mean_token_sum, seq_mean_token_sum_norm,
    sequence_log_ratios, sequence_token_log_ratios, token_mean, two_sided_surrogate, vespo, wpo_weights,
};
use candle_core::{Result, Tensor, Var};

use crate::Case;
use crate::inputs::{ROWS, SEQ, mask, uniform, variable};

const CLIP: Clip = Clip { low: 0.2, high: 0.2 };

/// What the losses take.
struct Tokens {
    log_probs: Var,
    /// Of the policy that sampled.
    old: Tensor,
    reference: Tensor,
    /// Of rows, and the same given to their tokens.
    advantages: Tensor,
    spread: Tensor,
    mask: Tensor,
    sequences: Sequences,
    log_sum_sq_probs: Tensor,
}

type Loss = fn(&Tokens) -> Result<Tensor>;

const LOSSES: [(&str, Loss); 32] = [
    ("nll", |t| masked_mean(&nll(&t.log_probs, &t.mask)?, &t.mask)),
    ("dft", |t| masked_mean(&dft(&t.log_probs, &t.mask)?, &t.mask)),
    ("dpo", |t| t.pairwise(&masked_sequence_log_probs(&t.log_probs, &t.mask)?, &t.mask)?.mean_all()),
    ("ld_dpo", |t| {
        let lengths = t.sequences.lengths();
        let (chosen, rejected) = lengths.split_at(ROWS / 2);
        let shorter = chosen.iter().zip(rejected).map(|(chosen, rejected)| *chosen.min(rejected));
        let shared: Vec<usize> = shorter.clone().chain(shorter).collect();
        t.pairwise(&ld_log_probs(&t.log_probs, &t.sequences, &shared, 0.5)?, &t.mask)?.mean_all()
    }),
    ("wpo_dpo", |t| {
        let weights = wpo_weights(&t.log_probs, &t.log_sum_sq_probs, &t.sequences)?.chunk(2, 0)?;
        let losses = t.pairwise(&t.sequences.sums(&t.log_probs)?, &t.mask)?;
        ((losses * &weights[0])? * &weights[1])?.mean_all()
    }),
    ("ppo_clip", |t| t.token_mean(&ppo_clip(&t.log_probs, &t.old, &t.spread, CLIP)?.losses)),
    ("clipped_value_loss", |t| {
        t.token_mean(&clipped_value_loss(&t.log_probs, &t.old, &t.reference, 0.2)?.losses)
    }),
    ("dual_clip", |t| t.token_mean(&dual_clip_surrogate(&t.ratios()?, &t.spread, CLIP, 3.0)?.losses)),
    ("grpo", |t| t.sequence_mean(&t.clipped(CLIP)?.losses)),
    ("grpo_k3", |t| t.sequence_mean(&(t.clipped(CLIP)?.losses + (k3(&t.log_probs, &t.reference)? * 0.04)?)?)),
    ("dapo", |t| t.token_mean(&t.clipped(Clip { low: 0.2, high: 0.28 })?.losses)),
    ("dr_grpo", |t| seq_mean_token_sum_norm(&t.clipped(CLIP)?.losses, &t.sequences, ROWS, SEQ)),
    ("two_sided", |t| t.sequence_mean(&two_sided_surrogate(&t.ratios()?, &t.spread, CLIP, 4.0)?.losses)),
    ("gspo", |t| t.sequence_mean(&t.sequences.spread(&t.clipped_sequences()?.losses)?)),
    ("gspo_token", |t| {
        let ratios = sequence_token_log_ratios(&t.ratios()?, &t.sequences)?;
        t.sequence_mean(&clipped_surrogate(&ratios, &t.spread, CLIP)?.losses)
    }),
    ("luspo", |t| {
        seq_mean_token_sum(&t.sequences.spread(&t.clipped_sequences()?.losses)?, &t.sequences, ROWS)
    }),
    ("cispo", |t| t.token_mean(&cispo(&t.log_probs, &t.old, &t.spread, &t.sequences, 1.1)?.losses)),
    ("sapo", |t| {
        let temperatures = SapoTemperatures { positive: 1.0, negative: 1.05 };
        t.sequence_mean(&sapo(&t.ratios()?, &t.spread, temperatures)?)
    }),
    ("vespo", |t| {
        let shapes = VespoShapes {
            positive: VespoShape { k: 2.0, lambda: 3.0 },
            negative: VespoShape { k: 3.0, lambda: 2.0 },
        };
        t.token_mean(&vespo(&t.log_probs, &t.old, &t.advantages, &t.sequences, shapes)?.losses)
    }),
    ("gmpo", |t| gmpo(&t.ratios()?, &t.advantages, &t.sequences, Clip::symmetric(0.4))?.losses.mean_all()),
    ("rloo", |t| rloo(&t.log_probs, &t.old, &t.advantages, &t.sequences, CLIP)?.losses.mean_all()),
    ("reinforce", |t| reinforce(&t.log_probs, &t.advantages, &t.sequences)?.mean_all()),
    ("a2po", |t| a2po(&t.log_probs, &t.reference, &t.advantages, &t.sequences, 0.01)?.mean_all()),
    ("k1", |t| t.token_mean(&k1(&t.log_probs, &t.reference)?)),
    ("k2", |t| t.token_mean(&k2(&t.log_probs, &t.reference)?)),
    ("k3", |t| t.token_mean(&k3(&t.log_probs, &t.reference)?)),
    ("abs_kl", |t| t.token_mean(&abs_kl(&t.log_probs, &t.reference)?)),
    ("bias_corrected_k3", |t| {
        t.token_mean(&bias_corrected_k3(&t.log_probs, &t.reference, &(t.log_probs.as_tensor() - &t.old)?)?)
    }),
    // The parts that others are made of.
    ("sequence_sums", |t| masked_sequence_log_probs(&t.log_probs, &t.mask)?.mean_all()),
    ("sequence_means", |t| t.sequences.means(&t.log_probs)?.mean_all()),
    ("masked_mean", |t| masked_mean(&t.log_probs, &t.mask)),
    ("log_ratios", |t| t.token_mean(&t.ratios()?)),
];

impl Tokens {
    fn ratios(&self) -> Result<Tensor> {
        log_ratios(&self.log_probs, &self.old, &self.sequences)
    }

    fn clipped(&self, clip: Clip) -> Result<Surrogate> {
        clipped_surrogate(&self.ratios()?, &self.spread, clip)
    }

    fn clipped_sequences(&self) -> Result<Surrogate> {
        clipped_surrogate(&sequence_log_ratios(&self.ratios()?, &self.sequences)?, &self.advantages, CLIP)
    }

    fn sequence_mean(&self, losses: &Tensor) -> Result<Tensor> {
        seq_mean_token_mean(losses, &self.sequences, ROWS)
    }

    fn token_mean(&self, losses: &Tensor) -> Result<Tensor> {
        token_mean(losses, &self.sequences, self.sequences.tokens())
    }

    /// DPO of the first rows against the last ones.
    fn pairwise(&self, sums: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let halves = |rows: &Tensor| -> Result<PairLogProbs> {
            let halves = rows.chunk(2, 0)?;
            Ok(PairLogProbs { chosen: halves[0].clone(), rejected: halves[1].clone() })
        };
        let reference = masked_sequence_log_probs(&self.reference, mask)?;
        dpo(&LogRatios::new(&halves(sums)?, &halves(&reference)?)?, 0.1)
    }
}

pub(crate) fn cases() -> Result<Vec<Case>> {
    LOSSES.into_iter().map(|(name, loss)| case(name, loss)).collect()
}

fn case(name: &str, loss: Loss) -> Result<Case> {
    let shape = (ROWS, SEQ);
    let log_probs = variable(21, shape, -3.0, 0.0)?;
    let (mask, advantages) = (mask()?, uniform(24, ROWS, -2.0, 2.0)?);
    let sequences = Sequences::padded(&mask)?;
    let tokens = Tokens {
        old: (log_probs.detach() + uniform(22, shape, -0.3, 0.3)?)?,
        reference: (log_probs.detach() + uniform(23, shape, -0.5, 0.5)?)?,
        spread: sequences.spread(&advantages)?,
        log_sum_sq_probs: uniform(25, shape, -3.0, 0.0)?,
        log_probs: log_probs.clone(),
        advantages,
        mask,
        sequences,
    };
    Ok(Case::new(&format!("tokens/{name}"), &[&log_probs], move || loss(&tokens)))
}
