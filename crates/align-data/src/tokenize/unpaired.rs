//! Labelled answers to token ids.
//!
//! KTO and BCO also look at prompts with a completion that belongs to another row (arXiv:2402.01306, section
//! 4.1). Which row, the batch decides; here each row keeps enough of its completion for it.

use super::TokenizeOptions;
use super::answers::{Answered, Answers};
use super::collect::collect;
use super::report::{RowOutcome, TokenizeReport};
use crate::error::Result;
use crate::record::{Origin, UnpairedPreference};
use crate::tokenizer::Tokenizer;

/// A labelled answer as token ids: `prompt` followed by `completion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedCompletion {
    /// The prompt; at least one token.
    pub prompt: Vec<u32>,
    /// Whether the limits cut the prompt, whose end is kept.
    pub prompt_is_cut: bool,
    /// The answer; at least one token.
    pub completion: Vec<u32>,
    /// Tokens that `max_length` cut off the end of `completion`. Behind a shorter prompt more of them fit, see
    /// [`TokenizedCompletion::completion_after`].
    pub cut_off: Vec<u32>,
    /// Places of tokens that are not learned, in `completion` and `cut_off` put one behind the other: what tools say in an
    /// answer of several turns.
    pub unlearned: Vec<u32>,
    /// The label: whether the answer is desirable.
    pub desirable: bool,
    /// Index of the record it was made of.
    pub row: usize,
    /// The record's origin.
    pub origin: Origin,
}

impl TokenizedCompletion {
    /// Tokens of the prompt and its own completion.
    pub fn token_count(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }

    /// This completion as the mismatched answer to another row's prompt: as much of it as `max_length`
    /// leaves room for there, which may be more or less than behind its own prompt. This is what TRL's
    /// `KL_completion_ids` come to after its collator has cut them.
    pub fn completion_after(&self, prompt: &[u32], max_length: Option<usize>) -> Vec<u32> {
        let room = max_length.map_or(usize::MAX, |max| max.saturating_sub(prompt.len()));
        self.completion.iter().chain(&self.cut_off).copied().take(room).collect()
    }
}

/// Token ids of labelled answers, and what happened to them.
///
/// # Errors
/// As [`tokenize_pairs`](crate::tokenize_pairs).
pub fn tokenize_unpaired(
    records: &[UnpairedPreference],
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<(Vec<TokenizedCompletion>, TokenizeReport)> {
    collect(records, options, unpaired_tokenized(tokenizer, options)?)
}

/// What makes token ids of a labelled answer.
pub(crate) fn unpaired_tokenized<'a>(
    tokenizer: &'a Tokenizer,
    options: &'a TokenizeOptions,
) -> Result<impl Fn(usize, &UnpairedPreference) -> Result<RowOutcome<TokenizedCompletion>> + 'a> {
    let answers = Answers::new(tokenizer, options)?;
    Ok(move |row, record: &UnpairedPreference| {
        let UnpairedPreference { prompt, completion, template, origin, .. } = record;
        let answer = std::iter::once(completion);
        let (outcome, Answered { cut, whole, unlearned_of_whole, .. }) =
            answers.tokenize(prompt, answer, template, origin)?;
        let [completion] = <[_; 1]>::try_from(cut.completions).expect("one answer went in");
        let [mut whole] = <[_; 1]>::try_from(whole).expect("one answer went in");
        whole.truncate(options.max_completion_length.unwrap_or(usize::MAX));
        Ok(outcome.with(TokenizedCompletion {
            prompt: cut.prompt,
            prompt_is_cut: cut.prompt_is_cut,
            unlearned: unlearned_of_whole.into_iter().filter(|&at| (at as usize) < whole.len()).collect(),
            cut_off: whole.split_off(completion.len()),
            completion,
            desirable: record.label,
            row,
            origin: origin.clone(),
        }))
    })
}
