//! NEFTune (Jain et al. 2023, arXiv:2310.05914): noise on the embedded tokens while a model is fine-tuned.
//!
//! Each element of a token's embedding gets a uniform number between −α/√(L·d) and α/√(L·d), where L is the number of tokens of its
//! sequence and d the width. (transformers takes for L the length that a batch is padded to; here nothing is padded.) The noise
//! is a function of seed, update, micro-batch and place, and is heard in training passes alone.

use align_kernels::{Noise, Tape, Value};
use candle_core::Result;

use crate::Stream;

/// The part of a model that the noise belongs to: no layer has this number.
const PART: usize = usize::MAX;

/// The noise on embedded tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neftune {
    /// α, how loud it is.
    pub alpha: f64,
    /// The seed of the run.
    pub seed: u64,
}

impl Neftune {
    /// The embedded tokens `[tokens, width]` with noise, if a training pass is underway.
    pub(crate) fn add(self, tape: &mut Tape, rows: Value, stream: &Stream, noise: &Noise) -> Result<Value> {
        let Some(draw) = noise.draw(PART) else { return Ok(rows) };
        let width = rows.tensor().dim(1)? as f64;
        let magnitude = |length: u32| (self.alpha / (f64::from(length) * width).sqrt()) as f32;
        let magnitudes: Vec<f32> = stream.sequence_lengths().into_iter().map(magnitude).collect();
        tape.draw_from(Some(draw.with_seed(self.seed)));
        let noisy = tape.add_noise(rows, &magnitudes);
        tape.draw_from(None);
        noisy
    }
}
