//! The decoding loop.

use std::ops::Range;

use align_kernels::Segment;
use candle_core::DType;

use super::cache::Cache;
use super::{GenerationOptions, Sampler};
use crate::{CausalLm, Error, Result, Stream};

/// Sequences decoded together.
const BATCH: usize = 32;

/// What a prompt was continued with.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The tokens, the one that ended it included.
    pub tokens: Vec<u32>,
    /// The log-prob of each token when it was picked: see [`Sampler::sample`].
    pub log_probs: Vec<f32>,
    /// Whether it ended by itself rather than at `max_new_tokens`.
    pub finished: bool,
}

/// One completion per prompt, in order. A token of `eos` ends a completion.
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
    let mut completions = Vec::with_capacity(prompts.len());
    for batch in generate_in_batches(model, prompts, eos, options, seed)? {
        completions.extend(batch?);
    }
    Ok(completions)
}

/// The completions of [`generate`], handed out batch by batch as they are decoded.
///
/// # Errors
/// Settings and all prompts are checked at once, as in [`generate`]; a batch fails only where a tensor
/// operation does.
pub fn generate_in_batches(
    model: &CausalLm,
    prompts: &[Vec<u32>],
    eos: &[u32],
    options: &GenerationOptions,
    seed: u64,
) -> Result<impl Iterator<Item = Result<Vec<Completion>>>> {
    options.check()?;
    check_prompts(model, prompts, options)?;
    Ok(prompts.chunks(BATCH).enumerate().map(move |(index, batch)| {
        let first = (index * BATCH) as u64;
        let samplers = (first..).take(batch.len()).map(|number| Sampler::new(options, seed, number));
        decode(model, batch, eos, options, samplers)
    }))
}

fn check_prompts(model: &CausalLm, prompts: &[Vec<u32>], options: &GenerationOptions) -> Result<()> {
    let most = model.decoder().config().max_positions;
    for (index, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return Err(Error::Config(format!("prompt {index} has no tokens")));
        }
        if prompt.len() + options.max_new_tokens > most {
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

/// A sequence on its way: its text so far and its rows of the cache.
struct Sequence {
    tokens: Vec<u32>,
    prompt: usize,
    log_probs: Vec<f32>,
    finished: bool,
    cache: Range<usize>,
    sampler: Sampler,
}

fn decode(
    model: &CausalLm,
    prompts: &[Vec<u32>],
    eos: &[u32],
    options: &GenerationOptions,
    samplers: impl Iterator<Item = Sampler>,
) -> Result<Vec<Completion>> {
    let mut capacity = 0;
    let mut sequences: Vec<Sequence> = Vec::with_capacity(prompts.len());
    for (prompt, sampler) in prompts.iter().zip(samplers) {
        // The last token is never fed back, so it needs no room.
        let start = capacity;
        capacity += prompt.len() + options.max_new_tokens - 1;
        let cache = start..capacity;
        sequences.push(Sequence {
            tokens: prompt.clone(),
            prompt: prompt.len(),
            log_probs: Vec::new(),
            finished: false,
            cache,
            sampler,
        });
    }
    let decoder = model.decoder();
    let device = decoder.embedding().device();
    let mut cache = Cache::new(decoder.config(), capacity, decoder.dtype(), device)?;

    let mut fresh = true;
    loop {
        let mut active: Vec<&mut Sequence> = sequences
            .iter_mut()
            .filter(|s| !s.finished && s.log_probs.len() < options.max_new_tokens)
            .collect();
        if active.is_empty() {
            break;
        }
        // All of the prompt at first, the newest token from then on.
        let mut stream = Stream::default();
        let (mut destinations, mut rows) = (Vec::new(), Vec::new());
        for sequence in &active {
            let from = if fresh { 0 } else { sequence.tokens.len() - 1 };
            let queries = stream.tokens.len()..stream.tokens.len() + sequence.tokens.len() - from;
            let start = sequence.cache.start;
            stream.tokens.extend(&sequence.tokens[from..]);
            stream.positions.extend(from as u32..sequence.tokens.len() as u32);
            destinations.push(start + from..start + sequence.tokens.len());
            rows.push(queries.end as u32 - 1);
            let keys = std::iter::once(start..start + sequence.tokens.len()).collect();
            stream.segments.push(Segment { queries, keys });
        }
        cache.write_to(destinations);
        let logits = model.logits(&stream, &rows, &mut cache)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        for (sequence, mut logits) in active.iter_mut().zip(logits) {
            let forbidden = if sequence.log_probs.len() < options.min_new_tokens { eos } else { &[] };
            let sampled = sequence.sampler.sample(&mut logits, &sequence.tokens, forbidden);
            sequence.tokens.push(sampled.token);
            sequence.log_probs.push(sampled.log_prob);
            sequence.finished = eos.contains(&sampled.token);
        }
        fresh = false;
    }
    let completion = |mut sequence: Sequence| Completion {
        tokens: sequence.tokens.split_off(sequence.prompt),
        log_probs: sequence.log_probs,
        finished: sequence.finished,
    };
    Ok(sequences.into_iter().map(completion).collect())
}
