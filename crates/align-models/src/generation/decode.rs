//! The functions that continue prompts.

use super::underway::{Limits, Underway};
use super::{Completion, GenerationOptions};
use crate::{CausalLm, Error, Result};

/// Completions whose tokens and log-probs are held at once.
const MOST_COMPLETIONS: usize = 1 << 20;
/// Tokens of a prompt times its completions.
const MOST_TOKENS: usize = 1 << 28;

/// The random streams that completions are sampled from: number `i` of them from stream `first + i` of `seed`. A part of
/// the completions of a call, with the number of its first, is what the call as a whole gives there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// The seed.
    pub seed: u64,
    /// The stream of the first completion.
    pub first: u64,
}

impl From<u64> for Streams {
    fn from(seed: u64) -> Self {
        Self { seed, first: 0 }
    }
}

/// Completions, one per prompt, in order. A token of `eos` ends a completion.
///
/// Equal prompts that follow one another are prefilled once. Completion number i is sampled from random
/// stream i of `seed`.
///
/// # Errors
/// If a setting makes no sense, a prompt is empty, or a prompt with its completion would outgrow the
/// positions that the model was made for.
pub fn generate(
    model: &CausalLm,
    prompts: &[Vec<u32>],
    eos: &[u32],
    options: &GenerationOptions,
    seed: u64,
) -> Result<Vec<Completion>> {
    in_order(underway(model, prompts, runs(prompts), eos, options, seed.into())?)
}

/// `completions_per_prompt` completions of every prompt: the groups that reinforcement learning samples.
///
/// Group g holds what [`generate`] gives for the completions `g · completions_per_prompt ..` of prompts
/// that are each repeated so often. The log-probs are of the distribution that was sampled from, by the
/// ops that also score and train: where no setting cuts or bends it (`min_new_tokens` 0, `top_k` 0,
/// `top_p` 1, no repetition penalty) and the temperature is 1, they are those of
/// [`CausalLm::token_log_probs`] up to rounding, and can stand for the policy's at the time of sampling.
///
/// # Errors
/// As [`generate`].
pub fn generate_groups(
    model: &CausalLm,
    prompts: &[Vec<u32>],
    completions_per_prompt: usize,
    eos: &[u32],
    options: &GenerationOptions,
    streams: impl Into<Streams>,
) -> Result<Vec<Vec<Completion>>> {
    if completions_per_prompt == 0 {
        return Ok(vec![Vec::new(); prompts.len()]);
    }
    check_completions(prompts.len(), completions_per_prompt)?;
    let groups = prompts.iter().map(|prompt| (prompt.as_slice(), completions_per_prompt)).collect();
    let completions = in_order(underway(model, prompts, groups, eos, options, streams.into())?)?;
    let mut completions = completions.into_iter();
    Ok(prompts.iter().map(|_| completions.by_ref().take(completions_per_prompt).collect()).collect())
}

/// `completions_per_prompt` completions of every prompt, those of one prompt after each other, handed out in order as they
/// are decoded: as many at a time as are complete. They are what [`generate`] gives for prompts that are each repeated so
/// often.
///
/// # Errors
/// Settings and all prompts are checked at once, as in [`generate`]; an item is an error only where a
/// tensor operation fails, and is then the last.
pub fn generate_in_batches<'a>(
    model: &'a CausalLm,
    prompts: &'a [Vec<u32>],
    completions_per_prompt: usize,
    eos: &'a [u32],
    options: &'a GenerationOptions,
    seed: u64,
) -> Result<impl Iterator<Item = Result<Vec<Completion>>>> {
    let mut groups = runs(prompts);
    groups.iter_mut().for_each(|(_, count)| *count = count.saturating_mul(completions_per_prompt));
    groups.retain(|(_, count)| *count > 0);
    underway(model, prompts, groups, eos, options, seed.into())
}

/// Refuses more completions than are held in memory at once.
///
/// # Errors
/// Names both numbers and the most that there may be.
pub fn check_completions(prompts: usize, completions_per_prompt: usize) -> Result<()> {
    match prompts.checked_mul(completions_per_prompt) {
        Some(0..=MOST_COMPLETIONS) => Ok(()),
        _ => Err(Error::Config(format!(
            "{prompts} prompts with {completions_per_prompt} completions each are more than the {MOST_COMPLETIONS} \
             completions that are held at once; take fewer of either"
        ))),
    }
}

fn underway<'a>(
    model: &'a CausalLm,
    prompts: &[Vec<u32>],
    groups: Vec<(&'a [u32], usize)>,
    eos: &'a [u32],
    options: &'a GenerationOptions,
    streams: Streams,
) -> Result<Underway<'a>> {
    options.check()?;
    check_prompts(model, prompts, options)?;
    check_groups(&groups)?;
    Ok(Underway::new(model, groups, eos, options, streams, Limits::USUAL)?)
}

fn in_order(underway: Underway<'_>) -> Result<Vec<Completion>> {
    let mut completions = Vec::new();
    for batch in underway {
        completions.extend(batch?);
    }
    Ok(completions)
}

/// Equal prompts that follow one another, as a prompt and their number.
fn runs(prompts: &[Vec<u32>]) -> Vec<(&[u32], usize)> {
    prompts.chunk_by(|a, b| a == b).map(|run| (run[0].as_slice(), run.len())).collect()
}

/// The completions of a prompt begin together, each with the prompt's tokens.
fn check_groups(groups: &[(&[u32], usize)]) -> Result<()> {
    for (prompt, count) in groups {
        if prompt.len().saturating_mul(*count) > MOST_TOKENS {
            return Err(Error::Config(format!(
                "{count} completions of a prompt of {} tokens have more than {MOST_TOKENS} tokens at once; take fewer",
                prompt.len()
            )));
        }
    }
    Ok(())
}

fn check_prompts(model: &CausalLm, prompts: &[Vec<u32>], options: &GenerationOptions) -> Result<()> {
    let most = model.decoder().config().max_positions;
    for (index, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return Err(Error::Config(format!("prompt {index} has no tokens")));
        }
        if prompt.len().saturating_add(options.max_new_tokens) > most {
            return Err(Error::Config(format!(
                "prompt {index} has {} tokens; with `max_new_tokens` {} that is more than the model's \
                 max_position_embeddings {most}",
                prompt.len(),
                options.max_new_tokens
            )));
        }
    }
    Ok(())
}
