//! Models that are given each other's token ids.

use crate::error::{DataError, Result};
use crate::tokenizer::Tokenizer;

impl Tokenizer {
    /// Refuses a model, called `what`, whose tokenizer is `other` and that would take these token ids for other text. Its chat
    /// template and its special tokens may differ: rows are tokenized once, by this one.
    ///
    /// # Errors
    /// Names a token that the two disagree on.
    pub fn check_same(&self, what: &str, other: &Self) -> Result<()> {
        if other.content_hash() == self.content_hash() {
            return Ok(());
        }
        let refuse = |problem: String| {
            Err(DataError::OtherTokenizer(format!("{what}: {problem}; both must share a tokenizer")))
        };
        let (found, expected) = (other.vocab_size(), self.vocab_size());
        if found != expected {
            return refuse(format!("its tokenizer has {found} tokens, the model's {expected}"));
        }
        for id in 0..expected as u32 {
            let (found, expected) = (other.decode(&[id], false)?, self.decode(&[id], false)?);
            if found != expected {
                return refuse(format!(
                    "token {id} is {found:?} in its tokenizer, {expected:?} in the model's"
                ));
            }
            // The same vocabulary, but other rules for cutting text into it. Not every token is a text by itself.
            let (found, expected) = (other.encode(&expected).ok(), self.encode(&expected).ok());
            if found != expected {
                return refuse(format!(
                    "its tokenizer cuts the text of token {id} into {:?}, the model's into {:?}",
                    found.unwrap_or_default(),
                    expected.unwrap_or_default()
                ));
            }
        }
        Ok(())
    }
}
