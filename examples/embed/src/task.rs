//! What the project had before: a model, and data. After a prompt of one token t, an answer that counts (t + 1,
//! t + 2, …) is preferred to one that jumps about.

use align_losses::{PairLengths, PairLogProbs, masked_sequence_log_probs, shift_mask, shifted_log_probs};
use candle_core::{D, DType, Device, Result, Tensor, Var};

const VOCAB: usize = 16;
const HIDDEN: usize = 8;
/// A prompt of one token and an answer of at most four.
const SEQ: usize = 5;

/// Rows `[3n, SEQ]`: prompts with chosen answers, with rejected ones, and with those of other prompts.
pub struct Batch {
    tokens: Tensor,
    mask: Tensor,
    pub lengths: PairLengths,
}

/// log π(answer | prompt), `[n]` each. The mismatched ones are what KTO estimates its KL from.
pub struct LogProbs {
    pub pairs: PairLogProbs,
    pub mismatched: Tensor,
}

/// An embedding and a head: what comes next depends on the last token alone.
pub struct Model {
    embedding: Var,
    head: Var,
}

impl Batch {
    pub fn new(pairs: u32, seed: u32) -> Result<Self> {
        let vocab = VOCAB as u32;
        let mut random = numbers(seed);
        let (mut tokens, mut mask) = (Vec::new(), Vec::new());
        let mut push = |prompt: u32, answer: &mut dyn FnMut(u32) -> u32, length: usize| {
            tokens.push(prompt % vocab);
            tokens.extend((1..SEQ as u32).map(|place| answer(place) % vocab));
            // 1 where a token counts: on the answer, not on the prompt nor on what pads a row.
            mask.extend((0..SEQ).map(|place| u8::from(place > 0 && place <= length)));
        };
        let length = |pair: u32| 3 + pair as usize % 2;
        (0..pairs).for_each(|pair| push(pair, &mut |place| pair + place, 4));
        (0..pairs).for_each(|pair| push(pair, &mut |_| random(), length(pair)));
        (0..pairs).for_each(|pair| push(pair, &mut |place| pair + 7 + place, 4));
        let rejected: Vec<u32> = (0..pairs).map(|pair| length(pair) as u32).collect();
        Ok(Self {
            tokens: Tensor::from_vec(tokens, (3 * pairs as usize, SEQ), &Device::Cpu)?,
            mask: Tensor::from_vec(mask, (3 * pairs as usize, SEQ), &Device::Cpu)?,
            lengths: PairLengths {
                chosen: Tensor::full(4u32, pairs as usize, &Device::Cpu)?,
                rejected: Tensor::new(rejected, &Device::Cpu)?,
            },
        })
    }
}

impl Model {
    pub fn new() -> Result<Self> {
        let mut random = numbers(0);
        let mut uniform = |shape: (usize, usize)| {
            let values = (0..shape.0 * shape.1).map(|_| random() as f32 / 32768.0 - 1.0);
            Var::from_tensor(&Tensor::from_iter(values, &Device::Cpu)?.reshape(shape)?)
        };
        Ok(Self { embedding: uniform((VOCAB, HIDDEN))?, head: uniform((HIDDEN, VOCAB))? })
    }

    pub fn log_probs(&self, batch: &Batch) -> Result<LogProbs> {
        let (rows, seq) = batch.tokens.dims2()?;
        let hidden = self.embedding.index_select(&batch.tokens.flatten_all()?, 0)?;
        let logits = hidden.matmul(&self.head)?.reshape((rows, seq, VOCAB))?;
        let of_tokens = shifted_log_probs(&logits, &batch.tokens)?;
        let thirds = masked_sequence_log_probs(&of_tokens, &shift_mask(&batch.mask)?)?.chunk(3, 0)?;
        let [chosen, rejected, mismatched] = thirds.try_into().expect("three rows for each pair");
        Ok(LogProbs { pairs: PairLogProbs { chosen, rejected }, mismatched })
    }

    /// A step of gradient descent.
    pub fn descend(&self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        let grads = loss.backward()?;
        for weights in [&self.embedding, &self.head] {
            let grad = grads.get(weights).expect("every loss depends on all weights");
            weights.set(&(weights.as_tensor() - (grad * learning_rate)?)?)?;
        }
        Ok(())
    }
}

impl LogProbs {
    /// The share of pairs whose chosen answer is the likelier one.
    pub fn accuracy(&self) -> Result<f32> {
        self.pairs.chosen.gt(&self.pairs.rejected)?.to_dtype(DType::F32)?.mean(D::Minus1)?.to_scalar()
    }
}

/// Numbers below 65536 that look random, the same in every run (a linear congruential generator).
fn numbers(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    }
}
