//! From losses per token to one number. Methods that share a loss differ in this alone, and it matters: it
//! decides whether a long answer weighs more than a short one.
//!
//! A window of accumulated micro-batches has one loss, so every divisor is what the *window* holds; pass the
//! micro-batch's own amount only if it is the whole window. Names as in verl's `loss_agg_mode`.
//!
//! | Function | Used by (TRL's `loss_type`) |
//! |---|---|
//! | [`seq_mean_token_mean`] | `grpo`, `sapo`; GSPO |
//! | [`token_mean`] | `dapo`, `cispo`, `vespo`: tokens of the window; `bnpo`: of the micro-batch; PPO |
//! | [`seq_mean_token_sum_norm`] | `dr_grpo` |
//! | [`seq_mean_token_sum`] | `luspo` |

use candle_core::{Result, Tensor};

use crate::checks::{constant_like, same_shape};
use crate::sequence::Sequences;

/// Σ_i (1/|y_i|)·Σ_t loss_it / `sequences_in_window`: every sequence weighs the same, a token of a long one
/// less (GRPO, arXiv:2402.03300, eq. 3). A sequence without tokens adds 0 and still counts in the divisor.
///
/// # Errors
/// If the losses are not of the sequences' tokens.
pub fn seq_mean_token_mean(
    losses: &Tensor,
    sequences: &Sequences,
    sequences_in_window: usize,
) -> Result<Tensor> {
    sequences.means(losses)?.sum_all()? / divisor(sequences_in_window)
}

/// Σ_it loss_it / `tokens_in_window`: every token weighs the same (DAPO, arXiv:2503.14476, eq. 8).
///
/// # Errors
/// If the losses are not of the sequences' tokens.
pub fn token_mean(losses: &Tensor, sequences: &Sequences, tokens_in_window: usize) -> Result<Tensor> {
    sequences.sums(losses)?.sum_all()? / divisor(tokens_in_window)
}

/// Σ_it loss_it / `sequences_in_window`: a token weighs the same everywhere and a long sequence more (LUSPO,
/// arXiv:2602.05261).
///
/// # Errors
/// If the losses are not of the sequences' tokens.
pub fn seq_mean_token_sum(
    losses: &Tensor,
    sequences: &Sequences,
    sequences_in_window: usize,
) -> Result<Tensor> {
    sequences.sums(losses)?.sum_all()? / divisor(sequences_in_window)
}

/// Σ_it loss_it / (`sequences_in_window`·`max_completion_length`): a constant instead of the lengths, so that
/// no length is preferred (Dr. GRPO, arXiv:2503.20783, section 3.2).
///
/// # Errors
/// If the losses are not of the sequences' tokens.
pub fn seq_mean_token_sum_norm(
    losses: &Tensor,
    sequences: &Sequences,
    sequences_in_window: usize,
    max_completion_length: usize,
) -> Result<Tensor> {
    sequences.sums(losses)?.sum_all()? / (divisor(sequences_in_window) * divisor(max_completion_length))
}

/// Σ_it kept_it·value_it / Σ_it kept_it over the tokens at hand, `kept` being 1 or 0 and held constant: the
/// entropy H of the bonus −c·H on the tokens that [`top_entropy_mask`](super::top_entropy_mask) kept.
///
/// # Errors
/// If the values or `kept` are not of the sequences' tokens.
pub fn kept_mean(values: &Tensor, kept: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    same_shape("kept", kept, "the values", values)?;
    let values = sequences.counted(values)?;
    let kept = constant_like("kept", kept, &values)?;
    let count = sequences.sums(&kept)?.sum_all()?.maximum(1f64)?;
    sequences.sums(&(values * kept)?)?.sum_all()?.div(&count)
}

/// A window that holds nothing has the sum 0: its mean is 0 too.
fn divisor(amount: usize) -> f64 {
    amount.max(1) as f64
}
