//! Every policy-gradient loss under one signature, with what holds for it: one test per law, not one per loss.

use align_losses::{
    Clip, SapoTemperatures, Sequences, VespoShape, VespoShapes, a2po, bias_corrected_k3, cispo,
    clipped_surrogate, dual_clip_surrogate, gmpo, k3, log_ratios, ppo_clip, reinforce, rloo, sapo,
    sequence_log_ratios, sequence_token_log_ratios, two_sided_surrogate, vespo,
};
use candle_core::{DType, Device, Result, Tensor};

/// Completions under three models, with an advantage each.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) log_probs: Tensor,
    pub(crate) old: Tensor,
    pub(crate) reference: Tensor,
    pub(crate) advantages: Tensor,
    pub(crate) sequences: Sequences,
}

impl Batch {
    pub(crate) fn log_ratios(&self) -> Result<Tensor> {
        log_ratios(&self.log_probs, &self.old, &self.sequences)
    }

    fn of_tokens(&self) -> Result<Tensor> {
        self.sequences.spread(&self.advantages)
    }

    fn counted(&self, values: &Tensor) -> Result<Tensor> {
        self.sequences.counted(values)
    }

    pub(crate) fn with_log_probs(&self, log_probs: &Tensor) -> Self {
        Self { log_probs: log_probs.clone(), ..self.clone() }
    }

    pub(crate) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self {
            log_probs: self.log_probs.to_dtype(dtype)?,
            old: self.old.to_dtype(dtype)?,
            reference: self.reference.to_dtype(dtype)?,
            advantages: self.advantages.to_dtype(dtype)?,
            sequences: self.sequences.clone(),
        })
    }
}

/// A loss, summed over each sequence: `[sequences]`.
pub(crate) struct Policy {
    pub(crate) name: &'static str,
    pub(crate) losses: fn(&Batch) -> Result<Tensor>,
    /// Its gradient is that of its value: no factor is held constant.
    pub(crate) whole: bool,
    /// On samples of the policy itself its gradient is REINFORCE's.
    pub(crate) reinforces: bool,
}

impl Policy {
    const fn new(name: &'static str, losses: fn(&Batch) -> Result<Tensor>) -> Self {
        Self { name, losses, whole: true, reinforces: true }
    }

    const fn with_weights(self) -> Self {
        Self { whole: false, ..self }
    }

    const fn beside_reinforce(self) -> Self {
        Self { reinforces: false, ..self }
    }
}

pub(crate) const CLIP: Clip = Clip { low: 0.2, high: 0.3 };
/// Above the clip range, for the losses that have such a bound.
pub(crate) const CAP: f64 = 3.0;
pub(crate) const TEMPERATURES: SapoTemperatures = SapoTemperatures { positive: 1.0, negative: 1.3 };
pub(crate) const SHAPES: VespoShapes = VespoShapes {
    positive: VespoShape { k: 2.0, lambda: 3.0 },
    negative: VespoShape { k: 3.0, lambda: 2.0 },
};

pub(crate) const LOSSES: [Policy; 15] = [
    Policy::new("ppo_clip", |b| {
        let (log_probs, old) = (b.counted(&b.log_probs)?, b.counted(&b.old)?);
        b.sequences.sums(&ppo_clip(&log_probs, &old, &b.of_tokens()?, CLIP)?.losses)
    }),
    Policy::new("clipped_surrogate", |b| {
        b.sequences.sums(&clipped_surrogate(&b.log_ratios()?, &b.of_tokens()?, CLIP)?.losses)
    }),
    Policy::new("dual_clip_surrogate", |b| {
        b.sequences.sums(&dual_clip_surrogate(&b.log_ratios()?, &b.of_tokens()?, CLIP, CAP)?.losses)
    }),
    Policy::new("two_sided_surrogate", |b| {
        b.sequences.sums(&two_sided_surrogate(&b.log_ratios()?, &b.of_tokens()?, CLIP, CAP)?.losses)
    }),
    Policy::new("two_sided_surrogate, narrow", |b| {
        b.sequences.sums(&two_sided_surrogate(&b.log_ratios()?, &b.of_tokens()?, CLIP, 1.1)?.losses)
    }),
    Policy::new("GSPO", |b| {
        let log_ratios = sequence_log_ratios(&b.log_ratios()?, &b.sequences)?;
        let surrogate = clipped_surrogate(&log_ratios, &b.advantages, CLIP)?;
        b.sequences.sums(&b.sequences.spread(&surrogate.losses)?)
    }),
    Policy::new("GSPO-token", |b| {
        let log_ratios = sequence_token_log_ratios(&b.log_ratios()?, &b.sequences)?;
        b.sequences.sums(&clipped_surrogate(&log_ratios, &b.of_tokens()?, CLIP)?.losses)
    })
    .with_weights(),
    Policy::new("cispo", |b| {
        b.sequences.sums(&cispo(&b.log_probs, &b.old, &b.of_tokens()?, &b.sequences, CAP)?.losses)
    })
    .with_weights(),
    Policy::new("sapo", |b| b.sequences.sums(&sapo(&b.log_ratios()?, &b.of_tokens()?, TEMPERATURES)?)),
    Policy::new("vespo", |b| {
        b.sequences.sums(&vespo(&b.log_probs, &b.old, &b.advantages, &b.sequences, SHAPES)?.losses)
    })
    .with_weights(),
    Policy::new("gmpo", |b| {
        let losses = gmpo(&b.log_ratios()?, &b.advantages, &b.sequences, CLIP)?.losses;
        b.sequences.sums(&b.sequences.spread(&losses)?)
    }),
    Policy::new("rloo", |b| Ok(rloo(&b.log_probs, &b.old, &b.advantages, &b.sequences, CLIP)?.losses)),
    Policy::new("reinforce", |b| reinforce(&b.log_probs, &b.advantages, &b.sequences)),
    Policy::new("a2po", |b| a2po(&b.log_probs, &b.reference, &b.advantages, &b.sequences, 0.01))
        .beside_reinforce(),
    Policy::new("bias-corrected KL", |b| {
        b.sequences.sums(&bias_corrected_k3(
            &b.counted(&b.log_probs)?,
            &b.counted(&b.reference)?,
            &b.log_ratios()?,
        )?)
    })
    .beside_reinforce(),
];

/// k3, whose value any of the losses may carry, by sequence.
pub(crate) fn kl(batch: &Batch) -> Result<Tensor> {
    batch.sequences.sums(&k3(&batch.counted(&batch.log_probs)?, &batch.counted(&batch.reference)?)?)
}

pub(crate) fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// One sequence: log-prob, log-ratio to the sampling policy and to the reference of each token; its advantage.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) tokens: Vec<(f64, f64, f64)>,
    pub(crate) advantage: f64,
}

fn columns<'a>(tokens: impl Iterator<Item = &'a (f64, f64, f64)>) -> [Vec<f64>; 3] {
    let tokens: Vec<_> = tokens.collect();
    let column = |pick: fn(&(f64, f64, f64)) -> f64| tokens.iter().map(|token| pick(token)).collect();
    [column(|t| t.0), column(|t| t.0 - t.1), column(|t| t.0 - t.2)]
}

fn advantages(rows: &[Row]) -> Tensor {
    tensor(&rows.iter().map(|row| row.advantage).collect::<Vec<_>>())
}

/// The rows without padding, one after the other.
pub(crate) fn packed(rows: &[Row]) -> Batch {
    let [log_probs, old, reference] = columns(rows.iter().flat_map(|row| &row.tokens)).map(|c| tensor(&c));
    let ids: Vec<u32> =
        rows.iter().enumerate().flat_map(|(i, row)| row.tokens.iter().map(move |_| i as u32)).collect();
    let sequences = Sequences::packed(&ids, rows.len(), &Device::Cpu).unwrap();
    Batch { log_probs, old, reference, advantages: advantages(rows), sequences }
}

/// The rows under a mask, each beginning after `before` positions of padding and ending in some more; padding
/// holds `filler`.
pub(crate) fn padded(rows: &[Row], before: usize, filler: f64) -> Batch {
    let longest = rows.iter().map(|row| row.tokens.len()).max().unwrap_or(0);
    let width = before + longest + 1;
    let mut mask = vec![0u8; rows.len() * width];
    let mut all = vec![(filler, 0.0, 0.0); rows.len() * width];
    for (i, row) in rows.iter().enumerate() {
        for (t, token) in row.tokens.iter().enumerate() {
            (mask[i * width + before + t], all[i * width + before + t]) = (1, *token);
        }
    }
    let shape = |values: &[f64]| tensor(values).reshape((rows.len(), width)).unwrap();
    let [log_probs, old, reference] = columns(all.iter()).map(|column| shape(&column));
    let mask = Tensor::from_vec(mask, (rows.len(), width), &Device::Cpu).unwrap();
    let sequences = Sequences::padded(&mask).unwrap();
    Batch { log_probs, old, reference, advantages: advantages(rows), sequences }
}
