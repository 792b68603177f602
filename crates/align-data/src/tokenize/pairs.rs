//! Preference pairs to token ids: all answers after the very same prompt tokens, whatever was cut.

use super::TokenizeOptions;
use super::answers::{Answered, Answers};
use super::collect::collect;
use super::report::{RowOutcome, TokenizeReport};
use crate::error::Result;
use crate::record::{Origin, PreferencePair};
use crate::tokenizer::Tokenizer;

/// A preference pair as token ids: `prompt` followed by either answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedPair {
    /// The prompt all answers follow; at least one token.
    pub prompt: Vec<u32>,
    /// Whether the limits cut the prompt, whose end is kept.
    pub prompt_is_cut: bool,
    /// The preferred answer; at least one token.
    pub chosen: Vec<u32>,
    /// The other answer; at least one token.
    pub rejected: Vec<u32>,
    /// The gold answer, where the record has one; at least one token.
    pub reference: Option<Vec<u32>>,
    /// Places of tokens that are not learned, in the answers put one behind the other: what tools say in an answer of several
    /// turns.
    pub unlearned: Vec<u32>,
    /// Index of the record it was made of.
    pub row: usize,
    /// The record's origin.
    pub origin: Origin,
}

impl TokenizedPair {
    /// The answers: chosen, rejected and, if there is one, the gold answer.
    pub fn answers(&self) -> impl Iterator<Item = &Vec<u32>> {
        [&self.chosen, &self.rejected].into_iter().chain(&self.reference)
    }

    /// The tokens of the answers that are learned, `[answers][tokens]`.
    pub fn learned(&self) -> impl Iterator<Item = Vec<bool>> {
        let mut begin = 0;
        self.answers().map(move |ids| {
            let places = begin..begin + ids.len() as u32;
            begin = places.end;
            places.map(|place| self.unlearned.binary_search(&place).is_err()).collect()
        })
    }

    /// Tokens of all answers, with the prompt counted once: what a prefix-shared batch spends on the pair.
    pub fn token_count(&self) -> usize {
        self.prompt.len() + self.answers().map(Vec::len).sum::<usize>()
    }
}

/// Token ids of preference pairs, and what happened to them.
///
/// # Errors
/// A tokenizer without EOS or (for conversations) without chat template, a row the template rejects, or a data
/// set of which no row is left.
pub fn tokenize_pairs(
    pairs: &[PreferencePair],
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<(Vec<TokenizedPair>, TokenizeReport)> {
    collect(pairs, options, pairs_tokenized(tokenizer, options)?)
}

/// What makes token ids of a pair.
pub(crate) fn pairs_tokenized<'a>(
    tokenizer: &'a Tokenizer,
    options: &'a TokenizeOptions,
) -> Result<impl Fn(usize, &PreferencePair) -> Result<RowOutcome<TokenizedPair>> + 'a> {
    let answers = Answers::new(tokenizer, options)?;
    Ok(move |row, pair: &PreferencePair| {
        let PreferencePair { prompt, chosen, rejected, reference, template, origin } = pair;
        let texts = [chosen, rejected].into_iter().chain(reference);
        let (mut outcome, answered) = answers.tokenize(prompt, texts, template, origin)?;
        let Answered { cut, unlearned, .. } = answered;
        let mut answers = cut.completions.into_iter();
        let mut answer = || answers.next().expect("every pair has two answers");
        let (chosen, rejected) = (answer(), answer());
        let reference = answers.next();
        outcome.report.identical_answers = usize::from(chosen == rejected);
        let origin = origin.clone();
        let (prompt, prompt_is_cut) = (cut.prompt, cut.prompt_is_cut);
        let pair =
            TokenizedPair { prompt, prompt_is_cut, chosen, rejected, reference, unlearned, row, origin };
        Ok(outcome.with(pair))
    })
}
