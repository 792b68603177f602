//! Two texts as one row of token ids, as encoders read a question and an answer.

use tokenizers::{TruncationParams, TruncationStrategy};

use super::Tokenizer;
use crate::error::Result;

/// A tokenizer that puts two texts into one row.
#[derive(Debug)]
pub struct PairTokenizer<'a> {
    of: &'a Tokenizer,
    inner: tokenizers::Tokenizer,
    max_length: usize,
}

/// Two texts as one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairedTokens {
    /// Token ids: `[CLS] first [SEP] second [SEP]` in most tokenizers.
    pub ids: Vec<u32>,
    /// Which of the two each token belongs to, 0 or 1, as the tokenizer counts what it adds.
    pub types: Vec<u32>,
    /// Whether something was cut off.
    pub is_cut: bool,
}

impl Tokenizer {
    /// The same tokenizer for rows of at most `max_length` tokens, special ones included. What is too much is cut off the
    /// longer text's end, as transformers does with `truncation=True`.
    ///
    /// # Errors
    /// A limit that the tokenizer does not take.
    pub fn pairs(&self, max_length: usize) -> Result<PairTokenizer<'_>> {
        let limit =
            TruncationParams { max_length, strategy: TruncationStrategy::LongestFirst, ..Default::default() };
        let inner = self.guarded(|| {
            let mut inner = self.inner.clone();
            inner.with_post_processor(self.post_processor.clone());
            inner.with_truncation(Some(limit))?;
            Ok(inner)
        })?;
        Ok(PairTokenizer { of: self, inner, max_length })
    }
}

impl PairTokenizer<'_> {
    /// The row of two texts, each of which may be empty.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode(&self, first: &str, second: &str) -> Result<PairedTokens> {
        self.of.guarded(|| {
            let row = self.inner.encode((first, second), true)?;
            let is_cut = !row.get_overflowing().is_empty() && row.len() >= self.max_length;
            Ok(PairedTokens { ids: row.get_ids().to_vec(), types: row.get_type_ids().to_vec(), is_cut })
        })
    }
}
