//! Preference pairs to token ids: all answers after the very same prompt tokens, whatever was cut.

use super::boundary::Encoder;
use super::report::{RowOutcome, TokenizeReport};
use super::truncate::Lengths;
use super::{TokenizeOptions, collect, ending, render};
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
    let encoder = Encoder::new(tokenizer, options.add_bos_token)?;
    let lengths = Lengths::new(options, tokenizer);
    collect(pairs, options, |row, pair| {
        let texts = render::answers(tokenizer, pair)?;
        let prompt = encoder.prompt(&texts[0])?;
        let encoded = texts.iter().map(|text| encoder.completion(text, &prompt));
        let completions = encoded.collect::<Result<Vec<_>>>()?;
        let repaired = completions.iter().any(|completion| completion.repaired);
        let completions = completions.into_iter().map(|completion| completion.ids).collect();
        let cut = lengths.fit_compared(encoder.framed(prompt), completions);
        let mut outcome = RowOutcome::of(&cut, repaired, |ids| ending::of(tokenizer, ids));
        let mut answers = cut.completions.into_iter();
        let mut answer = || answers.next().expect("every pair has two answers");
        let (chosen, rejected) = (answer(), answer());
        let reference = answers.next();
        outcome.report.identical_answers = usize::from(chosen == rejected);
        let origin = pair.origin.clone();
        let (prompt, prompt_is_cut) = (cut.prompt, cut.prompt_is_cut);
        Ok(outcome.with(TokenizedPair { prompt, prompt_is_cut, chosen, rejected, reference, row, origin }))
    })
}
