//! Somebody's own candle project that takes its losses from align-losses: one training loop, and three methods that
//! differ in a few lines. It fails if one of them does not learn.

mod task;

use align_losses::{LogRatios, dpo, kto, kto_kl, simpo};
use candle_core::{Result, Tensor, bail};
use task::{Batch, LogProbs, Model};

/// Losses of a batch by the log-probs of policy and reference: one per pair, or one per answer. Not reduced.
type Method = fn(&Batch, &LogProbs, &LogProbs) -> Result<Tensor>;

const METHODS: [(&str, Method); 3] = [
    ("dpo", |_, policy, reference| dpo(&LogRatios::new(&policy.pairs, &reference.pairs)?, 0.5)),
    ("simpo", |batch, policy, _| simpo(&policy.pairs, &batch.lengths, 2.0, 0.5, 0.0)),
    ("kto", |_, policy, reference| {
        let LogRatios { chosen, rejected } = LogRatios::new(&policy.pairs, &reference.pairs)?;
        let desirable = Tensor::cat(&[chosen.ones_like()?, rejected.zeros_like()?], 0)?;
        let kl = kto_kl(&policy.mismatched, &reference.mismatched)?;
        kto(&Tensor::cat(&[chosen, rejected], 0)?, &desirable, &kl, 0.5)
    }),
];

fn main() -> Result<()> {
    let (train, held_out) = (Batch::new(64, 1)?, Batch::new(64, 2)?);
    for (name, method) in METHODS {
        let model = Model::new()?;
        let reference = model.log_probs(&train)?; // as it starts
        let accuracy_before = model.log_probs(&held_out)?.accuracy()?;

        let mut losses = Vec::new();
        for _step in 0..40 {
            // The whole window is this batch, so its mean is the loss.
            let loss = method(&train, &model.log_probs(&train)?, &reference)?.mean_all()?;
            model.descend(&loss, 2.0)?;
            losses.push(loss.to_scalar::<f32>()?);
        }

        let (first, last) = (losses[0], losses[losses.len() - 1]);
        let accuracy = model.log_probs(&held_out)?.accuracy()?;
        println!("{name:5} loss {first:.3} -> {last:.3}, accuracy {accuracy_before:.2} -> {accuracy:.2}");
        if last.is_nan() || last >= first || accuracy < 0.9 {
            bail!("{name} did not learn");
        }
    }
    Ok(())
}
