//! What the policy said: completions with the log-probs that they were sampled with.
//!
//! Where the policy samples for itself, that is by the kernels and from the very weights that are trained, the recorded
//! log-probs are those that the training pass finds for the same tokens, up to rounding: they stand for the policy's when the
//! phase's updates begin, and the first importance ratio is 1 by construction. For that nothing may bend the distribution
//! that is sampled from.
//! A repetition penalty or a least length would record log-probs of another one; top-k and top-p would cut the samples
//! and leave the log-probs whole, so that the KL is overstated and the gradient is not that of what was maximised. All
//! four are refused.

use std::ops::Range;
use std::sync::Arc;

use align_data::Tokenizer;
use align_models::generation::{Completion, GenerationOptions, Streams, generate_groups};
use align_models::{CausalLm, Packed};
use align_train::{Error, Ranks, Result};

/// Tokens that go through a model together where nothing is kept for a backward pass.
const TOKENS_PER_PASS: usize = 4096;

/// A prompt that completions were sampled for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its number among the run's prompts.
    pub row: usize,
    /// Its token ids.
    pub tokens: Arc<[u32]>,
}

/// A rollout: one sampled completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// Token ids, the one that ended it included.
    pub tokens: Vec<u32>,
    /// Log-prob of each token under the behaviour policy, which sampled it, at the sampling temperature (TRL's
    /// `sampling_per_token_logps`).
    pub behaviour_log_probs: Vec<f32>,
    /// Whether it ended by itself rather than at the length limit.
    pub finished: bool,
    /// The text, without special tokens.
    pub text: String,
}

/// The completions of one phase: `num_generations` of the first prompt, then of the second, and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollouts {
    /// The prompts, one per group.
    pub prompts: Vec<Prompt>,
    /// Completions of each prompt; at least 1.
    pub num_generations: usize,
    /// The completions, group by group.
    pub completions: Vec<Rollout>,
}

/// The sampling of completions: checked options, and the tokens that end one.
#[derive(Clone, Debug)]
pub struct Sampling {
    options: GenerationOptions,
    eos: Vec<u32>,
}

impl Sampling {
    /// Checks the options; a token of `eos` ends a completion.
    ///
    /// # Errors
    /// Settings without meaning, and settings under which the recorded log-probs would not be the policy's.
    pub fn new(options: GenerationOptions, eos: Vec<u32>) -> Result<Self> {
        options.check().map_err(Error::stage)?;
        let refuse = |option: &'static str, value: String, problem: &str| {
            Err(Error::Option { option, value, problem: problem.to_owned() })
        };
        if options.temperature == 0.0 {
            let problem = "must be positive: greedy decoding says the same every time, and there is nothing to learn \
                from it";
            return refuse("temperature", "0".to_owned(), problem);
        }
        let cuts = "cuts the samples and not the distribution that their log-probs are of, so that training would not be \
            on the policy's own samples and its KL would be overstated; remove it";
        if options.top_k != 0 {
            return refuse("top_k", options.top_k.to_string(), cuts);
        }
        if options.top_p != 1.0 {
            return refuse("top_p", options.top_p.to_string(), cuts);
        }
        let bends = "changes the distribution that log-probs are of, so that training would not be on the policy's own \
            samples; remove it";
        if options.repetition_penalty != 1.0 {
            return refuse("repetition_penalty", options.repetition_penalty.to_string(), bends);
        }
        if options.min_new_tokens != 0 {
            return refuse("min_new_tokens", options.min_new_tokens.to_string(), bends);
        }
        Ok(Self { options, eos })
    }

    /// The temperature that logits are divided by, in sampling and in training.
    pub fn temperature(&self) -> f64 {
        self.options.temperature
    }

    /// Longest completion, in tokens.
    pub fn max_new_tokens(&self) -> usize {
        self.options.max_new_tokens
    }

    /// `num_generations` completions of every prompt. The same weights, prompts and streams give the same completions.
    ///
    /// # Errors
    /// If a prompt is empty or leaves no room for a completion, or the model cannot be run.
    pub fn rollouts(
        &self,
        policy: &CausalLm,
        prompts: Vec<Prompt>,
        num_generations: usize,
        tokenizer: &Tokenizer,
        streams: impl Into<Streams>,
    ) -> Result<Rollouts> {
        let ids: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.tokens.to_vec()).collect();
        let groups = generate_groups(policy, &ids, num_generations, &self.eos, &self.options, streams);
        let rollout = |Completion { tokens, log_probs: behaviour_log_probs, finished }| {
            let text = tokenizer.decode(&tokens, true).map_err(Error::stage)?;
            Ok(Rollout { tokens, behaviour_log_probs, finished, text })
        };
        let completions = groups.map_err(Error::stage)?.into_iter().flatten().map(rollout);
        Ok(Rollouts { prompts, num_generations, completions: completions.collect::<Result<_>>()? })
    }
}

impl Rollouts {
    /// The prompt of completion number `completion`.
    pub fn prompt_of(&self, completion: usize) -> &Prompt {
        &self.prompts[completion / self.num_generations]
    }

    /// Prompts with their completions.
    pub fn groups(&self) -> impl Iterator<Item = (&Prompt, &[Rollout])> {
        self.prompts.iter().zip(self.completions.chunks(self.num_generations))
    }

    /// This rank's part, and the numbers of its completions. Prompts are dealt with all their completions where there are as
    /// many prompts as ranks, else with an equal part of them. Prompts that have not been answered yet are dealt alike.
    pub(crate) fn part(&self, ranks: &Ranks) -> (Self, Range<usize>) {
        let (count, generations) = (self.prompts.len() * self.num_generations, self.num_generations);
        let all_work = |of: &usize| generations.is_multiple_of(*of) && count / of >= ranks.size();
        let together = (1..=generations).rev().find(all_work).unwrap_or(1);
        let start_of = |rank: usize| rank * (count / together) / ranks.size() * together;
        let numbers = start_of(ranks.rank())..start_of(ranks.rank() + 1);
        let prompts = numbers.clone().step_by(together).map(|number| self.prompt_of(number).clone());
        let completions = self.completions.get(numbers.clone()).unwrap_or_default().to_vec();
        (Self { prompts: prompts.collect(), num_generations: together, completions }, numbers)
    }

    /// Puts a prompt of `other`, number `new` there, in the place of number `old` here, with its completions.
    pub(crate) fn replace_group(&mut self, old: usize, other: &Self, new: usize) {
        let count = self.num_generations;
        self.prompts[old] = other.prompts[new].clone();
        self.completions[old * count..][..count].clone_from_slice(&other.completions[new * count..][..count]);
    }

    /// Tokens of all completions.
    pub fn completion_tokens(&self) -> usize {
        self.completions.iter().map(|completion| completion.tokens.len()).sum()
    }

    /// Tokens that went through the policy, as TRL counts them: prompts once for each completion.
    pub fn num_tokens(&self) -> usize {
        let prompts: usize = self.prompts.iter().map(|prompt| prompt.tokens.len()).sum();
        prompts * self.num_generations + self.completion_tokens()
    }

    /// Packs completions by their numbers, in that order; those of one prompt that follow each other share it.
    pub fn pack(&self, numbers: &[usize]) -> Packed {
        let mut packed = Packed::default();
        for group in numbers.chunk_by(|a, b| a / self.num_generations == b / self.num_generations) {
            let completions: Vec<&[u32]> =
                group.iter().map(|&number| self.completions[number].tokens.as_slice()).collect();
            packed.push_completions(&self.prompt_of(group[0]).tokens, &completions);
        }
        packed
    }

    /// All completions in packs that a model can take at a time without a graph.
    pub(crate) fn passes(&self) -> Vec<Packed> {
        let mut passes: Vec<Packed> = Vec::new();
        for (prompt, group) in self.groups() {
            let completions: Vec<&[u32]> =
                group.iter().map(|completion| completion.tokens.as_slice()).collect();
            let tokens: usize = prompt.tokens.len() + completions.iter().map(|ids| ids.len()).sum::<usize>();
            match passes.last_mut() {
                Some(last) if last.stream.tokens.len() + tokens <= TOKENS_PER_PASS => {
                    last.push_completions(&prompt.tokens, &completions);
                }
                _ => {
                    let mut first = Packed::default();
                    first.push_completions(&prompt.tokens, &completions);
                    passes.push(first);
                }
            }
        }
        passes
    }

    /// Values of the tokens of a pass, handed out to its completions.
    pub(crate) fn by_completion(pass: &Packed, values: &[f32], into: &mut Vec<Vec<f32>>) {
        let first = into.len();
        into.resize(first + pass.sequences, Vec::new());
        for (&sequence, &value) in pass.targets.sequences.iter().zip(values) {
            into[first + sequence as usize].push(value);
        }
    }
}

/// Log-probs of every completion's tokens under `model`, with logits divided by `temperature`.
///
/// # Errors
/// If the model cannot be run.
pub fn log_probs(model: &CausalLm, rollouts: &Rollouts, temperature: f64) -> Result<Vec<Vec<f32>>> {
    let mut log_probs = Vec::with_capacity(rollouts.completions.len());
    for pass in rollouts.passes() {
        let hidden = model.decoder().hidden(&pass.stream, &pass.targets.rows)?;
        let (values, _) = model.label_log_probs(&hidden, &pass.targets.labels, temperature)?;
        Rollouts::by_completion(&pass, &values.to_vec1::<f32>()?, &mut log_probs);
    }
    Ok(log_probs)
}
