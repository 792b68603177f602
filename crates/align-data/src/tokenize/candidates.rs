//! Answers to one prompt to token ids: all after the very same prompt tokens, whatever was cut.

use super::boundary::Encoder;
use super::collect::collect;
use super::report::{RowOutcome, TokenizeReport};
use super::truncate::Lengths;
use super::{TokenizeOptions, ending, render};
use crate::error::Result;
use crate::record::{Candidates, Origin, Ranking};
use crate::tokenizer::Tokenizer;

/// Candidates as token ids: `prompt` followed by any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedCandidates {
    /// The prompt all answers follow; at least one token.
    pub prompt: Vec<u32>,
    /// The answers, in the order of the record; at least one token each.
    pub completions: Vec<Vec<u32>>,
    /// Index of the record it was made of.
    pub row: usize,
    /// The record's origin.
    pub origin: Origin,
}

impl TokenizedCandidates {
    /// Tokens of all answers, with the prompt counted once: what a prefix-shared batch spends on the row.
    pub fn token_count(&self) -> usize {
        self.prompt.len() + self.completions.iter().map(Vec::len).sum::<usize>()
    }
}

/// A ranking as token ids.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizedRanking {
    /// The answers, the best first; at least two.
    pub answers: TokenizedCandidates,
    /// The margin by which the chosen answer of a pair should win at least.
    pub margin: Option<f64>,
    /// The row's source, as the data names it.
    pub source: Option<String>,
}

/// Token ids of answers, and what happened to them.
///
/// # Errors
/// As [`tokenize_pairs`](crate::tokenize_pairs).
pub fn tokenize_candidates(
    records: &[Candidates],
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<(Vec<TokenizedCandidates>, TokenizeReport)> {
    let texts = Texts::new(tokenizer, options)?;
    collect(records, options, |row, record| {
        let (outcome, candidates) = texts.tokenize(row, record)?;
        Ok(outcome.with(candidates))
    })
}

/// Token ids of ranked answers, and what happened to them.
///
/// # Errors
/// As [`tokenize_pairs`](crate::tokenize_pairs).
pub fn tokenize_rankings(
    records: &[Ranking],
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<(Vec<TokenizedRanking>, TokenizeReport)> {
    collect(records, options, rankings_tokenized(tokenizer, options)?)
}

/// What makes token ids of a ranking.
pub(crate) fn rankings_tokenized<'a>(
    tokenizer: &'a Tokenizer,
    options: &'a TokenizeOptions,
) -> Result<impl Fn(usize, &Ranking) -> Result<RowOutcome<TokenizedRanking>> + 'a> {
    let texts = Texts::new(tokenizer, options)?;
    Ok(move |row, record: &Ranking| {
        let (outcome, answers) = texts.tokenize(row, &record.answers)?;
        Ok(outcome.with(TokenizedRanking { answers, margin: record.margin, source: record.source.clone() }))
    })
}

/// What turns records into token ids.
struct Texts<'a> {
    tokenizer: &'a Tokenizer,
    encoder: Encoder<'a>,
    lengths: Lengths<'a>,
}

impl<'a> Texts<'a> {
    fn new(tokenizer: &'a Tokenizer, options: &'a TokenizeOptions) -> Result<Self> {
        let encoder = Encoder::new(tokenizer, options.add_bos_token)?;
        Ok(Self { tokenizer, encoder, lengths: Lengths::new(options, tokenizer) })
    }

    fn tokenize(&self, row: usize, record: &Candidates) -> Result<(RowOutcome<()>, TokenizedCandidates)> {
        let Candidates { prompt, completions, template, origin } = record;
        let render = |text| render::answer(self.tokenizer, prompt, text, template, origin);
        let texts = completions.iter().map(render).collect::<Result<Vec<_>>>()?;
        let prompt = self.encoder.prompt(&texts[0])?;
        let encoded = texts.iter().map(|text| self.encoder.completion(text, &prompt));
        let encoded = encoded.collect::<Result<Vec<_>>>()?;
        let repaired = encoded.iter().any(|completion| completion.repaired);
        let completions = encoded.into_iter().map(|completion| completion.ids).collect();
        let cut = self.lengths.fit_compared(self.encoder.framed(prompt), completions);
        let mut outcome = RowOutcome::of(&cut, repaired, |ids| ending::of(self.tokenizer, ids));
        let is_same = cut.completions.len() > 1 && cut.completions.windows(2).all(|two| two[0] == two[1]);
        outcome.report.identical_answers = usize::from(is_same);
        let (prompt, completions) = (cut.prompt, cut.completions);
        Ok((outcome, TokenizedCandidates { prompt, completions, row, origin: origin.clone() }))
    }
}
