//! Records to token ids: pairs with one shared prompt and labelled answers (`pairs`, `unpaired`), demonstrations
//! with a loss mask (`demonstrations`, of conversations by their `turns`), prompts to generate from.
//!
//! What is guaranteed for every row: no token crosses from the prompt into the completion ([`boundary`]); a
//! complete completion ends with a token to stop at and a truncated one never pretends to ([`ending`]); both
//! answers of a pair follow the very same prompt tokens, whatever was cut ([`truncate`]). What could not be
//! kept is dropped with a counted reason and reported ([`report`]). Token ids equal those of TRL 1.x wherever
//! TRL keeps a row's prompt whole.
//!
//! Rows are independent and tokenized in parallel; their order is kept.

mod answers;
mod boundary;
mod candidates;
mod collect;
mod demonstrations;
mod ending;
mod pairs;
mod reasoning;
mod render;
mod report;
mod truncate;
mod turns;
mod unpaired;

pub(crate) use candidates::rankings_tokenized;
pub use candidates::{TokenizedCandidates, TokenizedRanking, tokenize_candidates, tokenize_rankings};
pub(crate) use collect::Collecting;
pub(crate) use demonstrations::demonstrations_tokenized;
pub use demonstrations::{LearnedPart, TokenizedExample, tokenize_demonstrations};
pub(crate) use pairs::pairs_tokenized;
pub use pairs::{TokenizedPair, tokenize_pairs};
pub(crate) use report::RowOutcome;
pub use report::{DropReason, TokenizeReport};
pub use truncate::TruncationMode;
pub(crate) use unpaired::unpaired_tokenized;
pub use unpaired::{TokenizedCompletion, tokenize_unpaired};

use crate::error::Result;
use crate::record::{Origin, PromptOnly, PromptTask};
use crate::tokenizer::Tokenizer;
use boundary::Encoder;
use collect::collect;
use truncate::Lengths;

/// The options of tokenization: how records become token ids. Made by checking [`DataOptions`](crate::DataOptions).
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TokenizeOptions {
    /// Most tokens of prompt and completion together; `None` is no limit.
    pub max_length: Option<usize>,
    /// Most tokens of a prompt; its end is kept.
    pub max_prompt_length: Option<usize>,
    /// Most tokens of a completion; its start is kept.
    pub max_completion_length: Option<usize>,
    /// The side that loses tokens where `max_length` is exceeded.
    pub truncation_mode: TruncationMode,
    /// BOS: whether rows begin with one; `None` leaves it to the tokenizer (or the chat template).
    pub add_bos_token: Option<bool>,
    /// Share of records that may be left out because the chat template refuses them or does not tell their parts apart, 0 to
    /// 1; with 0 the first is an error.
    pub max_bad_rows: f64,
}

impl Default for TokenizeOptions {
    /// TRL's defaults: 1024 tokens, cut at the end, BOS as the tokenizer has it.
    fn default() -> Self {
        Self {
            max_length: Some(1024),
            max_prompt_length: None,
            max_completion_length: None,
            truncation_mode: TruncationMode::KeepStart,
            add_bos_token: None,
            max_bad_rows: 0.0,
        }
    }
}

/// A prompt as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedPrompt {
    /// The prompt, ending where the model is to write; at least one token.
    pub tokens: Vec<u32>,
    /// Whether the limits cut it; its end is kept.
    pub is_cut: bool,
    /// Index of the record it was made of.
    pub row: usize,
    /// The record's origin.
    pub origin: Origin,
}

/// Token ids of prompts to generate from, and what happened to them.
///
/// A prompt over `max_prompt_length` (or, without that, over `max_length`) loses its beginning, in either
/// truncation mode: its end says what to write next. A BOS in front stays.
///
/// # Errors
/// As [`tokenize_pairs`](crate::tokenize_pairs).
pub fn tokenize_prompts(
    prompts: &[PromptOnly],
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<(Vec<TokenizedPrompt>, TokenizeReport)> {
    collect(prompts, options, prompts_tokenized(tokenizer, options)?)
}

/// What makes token ids of a prompt.
fn prompts_tokenized<'a>(
    tokenizer: &'a Tokenizer,
    options: &'a TokenizeOptions,
) -> Result<impl Fn(usize, &PromptOnly) -> Result<RowOutcome<TokenizedPrompt>> + 'a> {
    let encoder = Encoder::new(tokenizer, options.add_bos_token)?;
    let lengths = Lengths::new(options, tokenizer);
    Ok(move |row, prompt: &PromptOnly| {
        let text = render::prompt(tokenizer, &prompt.prompt, &prompt.template, &prompt.origin)?;
        let cut = lengths.fit_prompt(encoder.framed(encoder.prompt(&text)?));
        let outcome = RowOutcome::of(&cut, false, |ids| ending::of(tokenizer, ids));
        Ok(outcome.with(TokenizedPrompt {
            tokens: cut.prompt,
            is_cut: cut.prompt_is_cut,
            row,
            origin: prompt.origin.clone(),
        }))
    })
}

/// A prompt to answer, as token ids.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizedTask {
    /// The record.
    pub task: PromptTask,
    /// The prompt's token ids; at least one.
    pub tokens: Vec<u32>,
    /// Whether the limits cut the prompt, whose end is kept.
    pub prompt_is_cut: bool,
}

/// Token ids of prompts to answer, as [`tokenize_prompts`].
///
/// # Errors
/// As [`tokenize_prompts`].
pub fn tokenize_tasks(
    tasks: &[PromptTask],
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<(Vec<TokenizedTask>, TokenizeReport)> {
    collect(tasks, options, tasks_tokenized(tokenizer, options)?)
}

/// What makes token ids of a prompt to answer.
pub(crate) fn tasks_tokenized<'a>(
    tokenizer: &'a Tokenizer,
    options: &'a TokenizeOptions,
) -> Result<impl Fn(usize, &PromptTask) -> Result<RowOutcome<TokenizedTask>> + 'a> {
    let tokenize = prompts_tokenized(tokenizer, options)?;
    Ok(move |row, task: &PromptTask| {
        let outcome = tokenize(row, &task.prompt)?;
        let with_task = |prompt: TokenizedPrompt| TokenizedTask {
            task: task.clone(),
            tokens: prompt.tokens,
            prompt_is_cut: prompt.is_cut,
        };
        Ok(outcome.map(with_task))
    })
}
