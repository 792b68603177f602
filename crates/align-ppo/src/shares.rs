//! The work of a phase, dealt among ranks: each samples, scores and computes for its part of the completions, and all have
//! the results of the whole.
//!
//! Results are small (tokens, log-probs, values, scores). What is made of them, from whitening to the supervisor's actions,
//! every rank computes from the same numbers, so that nothing of it has to be agreed.

use std::ops::Range;

use align_models::Error as ModelError;
use align_models::generation::Streams;
use align_train::{Error, Ranks, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Prompt, Rollout, Rollouter, Rollouts};

/// What ranks send each other to the bit: JSON has no NaN.
pub(crate) trait Sent: Sized {
    type As: Serialize + DeserializeOwned;

    fn sent(self) -> Self::As;

    fn received(sent: Self::As) -> Self;
}

impl Sent for f64 {
    type As = u64;

    fn sent(self) -> u64 {
        self.to_bits()
    }

    fn received(bits: u64) -> Self {
        Self::from_bits(bits)
    }
}

impl Sent for Vec<f32> {
    type As = Vec<u32>;

    fn sent(self) -> Vec<u32> {
        self.into_iter().map(f32::to_bits).collect()
    }

    fn received(bits: Vec<u32>) -> Self {
        bits.into_iter().map(f32::from_bits).collect()
    }
}

impl Sent for Rollout {
    type As = (Vec<u32>, Vec<u32>, bool, String);

    fn sent(self) -> Self::As {
        (self.tokens, self.behaviour_log_probs.sent(), self.finished, self.text)
    }

    fn received((tokens, log_probs, finished, text): Self::As) -> Self {
        Self { tokens, behaviour_log_probs: Vec::received(log_probs), finished, text }
    }
}

/// What each rank computes of its own part of the completions, whose numbers it is given, put together.
///
/// # Errors
/// That of any rank.
pub(crate) fn dealt<T: Sent>(
    ranks: &Ranks,
    rollouts: &Rollouts,
    work: impl FnOnce(&Rollouts, Range<usize>) -> Result<Vec<T>>,
) -> Result<Vec<T>> {
    let (own, numbers) = rollouts.part(ranks);
    Ok(together(ranks.agree(work(&own, numbers).map(sent))?))
}

/// What the first rank computes, for all.
///
/// # Errors
/// Its error.
pub(crate) fn by_first<T: Sent>(ranks: &Ranks, work: impl FnOnce() -> Result<Vec<T>>) -> Result<Vec<T>> {
    Ok(together(vec![ranks.from_first(|| work().map(sent))?]))
}

/// The completions that each rank has sampled of its part of the prompts, put together. A policy whose logits are not finite
/// on one rank has none on all.
///
/// # Errors
/// That of any rank.
pub(crate) fn answered(
    ranks: &Ranks,
    rollouter: &mut dyn Rollouter,
    prompts: Vec<Prompt>,
    num_generations: usize,
    seed: u64,
) -> Result<Rollouts> {
    let mut rollouts = Rollouts { prompts, num_generations, completions: Vec::new() };
    let (own, numbers) = rollouts.part(ranks);
    let streams = Streams { seed, first: numbers.start as u64 };
    let own = match rollouter.rollouts(own.prompts, own.num_generations, streams) {
        Ok(own) => Ok(Ok(sent(own.completions))),
        Err(error) => not_finite(&error).map_or(Err(error), |place| Ok(Err(place))),
    };
    let all: Result<Vec<_>, _> = ranks.agree(own)?.into_iter().collect();
    let all = all.map_err(|(completion, token)| Error::stage(ModelError::NotFinite { completion, token }))?;
    rollouts.completions = together(all);
    Ok(rollouts)
}

/// The completion and the token of it at which the logits were not finite, if completions could not be sampled for that.
pub(crate) fn not_finite(error: &Error) -> Option<(usize, usize)> {
    let Error::Stage(source) = error else { return None };
    match source.downcast_ref()? {
        ModelError::NotFinite { completion, token } => Some((*completion, *token)),
        _ => None,
    }
}

fn sent<T: Sent>(values: Vec<T>) -> Vec<T::As> {
    values.into_iter().map(T::sent).collect()
}

fn together<T: Sent>(of_ranks: Vec<Vec<T::As>>) -> Vec<T> {
    of_ranks.into_iter().flatten().map(T::received).collect()
}
