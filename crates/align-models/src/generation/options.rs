//! How completions are sampled: Hugging Face's names and meanings.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Temperatures but 0: outside, logits overflow or the temperature is 0 or infinite in f32.
const TEMPERATURES: RangeInclusive<f64> = 1e-4..=1e4;
/// The same for repetition penalties.
const PENALTIES: RangeInclusive<f64> = 1e-3..=1e3;

/// The settings of one call of [`generate`](super::generate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct GenerationOptions {
    /// Longest completion, in tokens.
    #[arg(long, value_parser = align_limits::tokens(), default_value_t = 64)]
    pub max_new_tokens: usize,
    /// Tokens before which the completion may not end.
    #[arg(long, value_parser = align_limits::tokens(), default_value_t = 0)]
    pub min_new_tokens: usize,
    /// Divides the logits; 0 is greedy: always the most likely token.
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 1.0)]
    pub temperature: f64,
    /// Sample among the k most likely tokens only; 0 for all.
    #[arg(long, value_parser = align_limits::rows(), default_value_t = 0)]
    pub top_k: usize,
    /// Sample among the fewest tokens whose probabilities add up to this.
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 1.0)]
    pub top_p: f64,
    /// Divides the positive logits (and multiplies the negative ones) of all tokens seen so far, the
    /// prompt's included; 1 for none.
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 1.0)]
    pub repetition_penalty: f64,
}

impl GenerationOptions {
    /// Greedy decoding of at most `max_new_tokens`.
    pub fn greedy(max_new_tokens: usize) -> Self {
        Self { temperature: 0.0, ..Self::sampled(max_new_tokens) }
    }

    /// Sampling from the model's own distribution, at temperature 1.
    pub fn sampled(max_new_tokens: usize) -> Self {
        Self {
            max_new_tokens,
            min_new_tokens: 0,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            repetition_penalty: 1.0,
        }
    }

    /// Refuses settings without meaning, and settings that greedy decoding would ignore.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::Config(problem));
        if self.max_new_tokens == 0 {
            return refuse("`max_new_tokens` must be at least 1, but is 0".to_owned());
        }
        if self.min_new_tokens > self.max_new_tokens {
            return refuse(format!(
                "`min_new_tokens` ({}) must not exceed `max_new_tokens` ({})",
                self.min_new_tokens, self.max_new_tokens
            ));
        }
        if self.temperature != 0.0 && !TEMPERATURES.contains(&self.temperature) {
            return refuse(format!(
                "`temperature` must be 0 (greedy) or from {} to {}, but is {}",
                TEMPERATURES.start(),
                TEMPERATURES.end(),
                self.temperature
            ));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return refuse(format!("`top_p` must be in (0, 1], but is {}", self.top_p));
        }
        if !PENALTIES.contains(&self.repetition_penalty) {
            return refuse(format!(
                "`repetition_penalty` must be from {} to {}, but is {}",
                PENALTIES.start(),
                PENALTIES.end(),
                self.repetition_penalty
            ));
        }
        if self.temperature == 0.0 && (self.top_k != 0 || self.top_p != 1.0) {
            return refuse(
                "`top_k` and `top_p` have no effect at `temperature` 0 (greedy); remove them".to_owned(),
            );
        }
        Ok(())
    }
}
