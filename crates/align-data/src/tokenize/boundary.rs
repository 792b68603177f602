//! Prompt and completion to token ids such that no token holds text of both.
//!
//! The two are first encoded as one text, as TRL does. If the result begins with the prompt's own encoding,
//! the tokens part exactly where the texts do and are used as they are. Otherwise tokens merged across the
//! boundary ("…answer: " + "yes" has ` yes` as one token): the completion is then encoded on its own and
//! appended, because what the model is given at inference is the prompt's own encoding. Such rows are counted
//! as repaired. (TRL drops the end of the prompt there.)

use super::ending;
use super::render::Rendered;
use crate::error::{DataError, Result};
use crate::tokenizer::Tokenizer;

/// Texts that a completion is put behind to be encoded as if in the middle of a text.
const ANCHORS: [&str; 3] = ["\n", ":", "a\n"];

/// Encodes the parts of rendered rows under one BOS policy.
pub(super) struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    eos: u32,
    add_bos_token: Option<bool>,
}

/// A prompt's own token ids, without what goes in front of it.
pub(super) struct Prompt {
    ids: Vec<u32>,
    templated: bool,
}

/// A completion's token ids with the token to stop at.
pub(super) struct Completion {
    /// Its ids.
    pub(super) ids: Vec<u32>,
    /// Whether joint encoding had merged tokens across the boundary.
    pub(super) repaired: bool,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, add_bos_token: Option<bool>) -> Result<Self> {
        if add_bos_token == Some(true) && tokenizer.bos().is_none() {
            return Err(DataError::Option {
                field: "add_bos_token",
                rule: "needs a tokenizer whose tokenizer_config.json names a `bos_token`".to_owned(),
                value: "true".to_owned(),
            });
        }
        Ok(Self { tokenizer, eos: tokenizer.eos_id()?, add_bos_token })
    }

    /// The prompt on its own, as the model meets it at inference.
    pub(super) fn prompt(&self, text: &Rendered) -> Result<Prompt> {
        Ok(Prompt { ids: self.tokenizer.encode(&text.prompt)?, templated: text.templated })
    }

    /// The completion as it continues the prompt.
    pub(super) fn completion(&self, text: &Rendered, prompt: &Prompt) -> Result<Completion> {
        let joint = self.tokenizer.encode(&format!("{}{}", text.prompt, text.completion))?;
        let (mut ids, repaired) = match joint.strip_prefix(prompt.ids.as_slice()) {
            Some(ids) => (ids.to_vec(), false),
            None => (self.apart(&text.completion)?, true),
        };
        ending::complete(self.tokenizer, self.eos, &mut ids, text.templated);
        Ok(Completion { ids, repaired })
    }

    /// A text without a prompt, framed by BOS and EOS.
    pub(super) fn whole(&self, text: &Rendered) -> Result<Vec<u32>> {
        let mut ids = self.tokenizer.encode(&text.completion)?;
        ending::complete(self.tokenizer, self.eos, &mut ids, text.templated);
        Ok(self.with_bos(ids, text.templated))
    }

    /// The prompt with what goes in front of it.
    pub(super) fn framed(&self, prompt: Prompt) -> Vec<u32> {
        self.with_bos(prompt.ids, prompt.templated)
    }

    /// Applies the BOS policy. A BOS that the text itself brings (templates write one) is never doubled.
    fn with_bos(&self, mut ids: Vec<u32>, templated: bool) -> Vec<u32> {
        let bos = self.tokenizer.bos().map(|bos| bos.id);
        let wanted = match (self.add_bos_token, bos) {
            (Some(true), Some(bos)) => vec![bos],
            (Some(_), _) => Vec::new(),
            (None, _) if templated => return ids,
            (None, _) => self.tokenizer.prefix().to_vec(),
        };
        let replaces = self.add_bos_token.is_some() || wanted.last().copied() == bos;
        let doubled = ids.iter().take_while(|id| replaces && Some(**id) == bos).count();
        ids.splice(..doubled, wanted);
        ids
    }

    /// The completion's ids without the prompt before it.
    fn apart(&self, completion: &str) -> Result<Vec<u32>> {
        if self.tokenizer.marks_word_starts() {
            // Alone it would get a word-start mark that is not in the text; behind an anchor it does not.
            for anchor in ANCHORS {
                let alone = self.tokenizer.encode(anchor)?;
                let anchored = self.tokenizer.encode(&format!("{anchor}{completion}"))?;
                if let Some(ids) = anchored.strip_prefix(alone.as_slice()) {
                    return Ok(ids.to_vec());
                }
            }
        }
        self.tokenizer.encode(completion)
    }
}
