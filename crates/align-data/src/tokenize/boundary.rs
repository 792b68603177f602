//! Prompt and completion to token ids such that no token holds text of both.
//!
//! The two are first encoded as one text, as TRL does. If the result begins with the prompt's own encoding,
//! the tokens part exactly where the texts do and are used as they are. Otherwise tokens merged across the
//! boundary ("…answer: " + "yes" has ` yes` as one token): the completion is then encoded on its own and
//! appended, because what the model is given at inference is the prompt's own encoding. Such rows are counted
//! as repaired. (TRL drops the end of the prompt there.)

use std::ops::Range;

use super::ending;
use super::render::Rendered;
use super::turns::{self, Turns};
use crate::error::{DataError, Result};
use crate::tokenizer::{PlacedTokens, Tokenizer};

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

/// A conversation's token ids, with those of the turns that are learned.
pub(super) struct TurnIds {
    ids: Vec<u32>,
    /// How many of the tokens are the prompt.
    prompt: usize,
    /// The tokens of each turn that is learned.
    learned: Vec<Range<usize>>,
    /// Whether joint encoding had merged tokens across the end of a turn.
    pub(super) repaired: bool,
}

impl TurnIds {
    /// The tokens of prompt and completion, those that are learned marked.
    pub(super) fn marked(&self) -> (Vec<u32>, Vec<u32>) {
        let mut ids = self.ids.clone();
        for turn in &self.learned {
            ids[turn.clone()].iter_mut().for_each(|id| *id = turns::marked(*id, true));
        }
        let completion = ids.split_off(self.prompt);
        (ids, completion)
    }
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

    /// A conversation, framed by BOS and EOS; the latter is learned if it `ends_with_reply`.
    ///
    /// No token holds text of a turn and of what is around it: where the tokenizer merges them, the parts are encoded
    /// apart.
    pub(super) fn turns(&self, text: &Turns, ends_with_reply: bool) -> Result<TurnIds> {
        self.turns_or_parts(text, ends_with_reply, false)
    }

    /// The completion of a conversation behind its prompt, the tokens of the turns that are learned marked.
    pub(super) fn turns_after(
        &self,
        prompt: &Prompt,
        text: &Turns,
        ends_with_reply: bool,
    ) -> Result<Completion> {
        let framed = self.with_bos(prompt.ids.clone(), prompt.templated);
        let mut row = self.turns_or_parts(text, ends_with_reply, false)?;
        if row.ids[..row.prompt] != framed {
            // Tokens of the prompt that come out otherwise when something follows it.
            row = self.turns_or_parts(text, ends_with_reply, true)?;
        }
        let (_, ids) = row.marked();
        Ok(Completion { ids, repaired: row.repaired })
    }

    fn turns_or_parts(&self, text: &Turns, ends_with_reply: bool, in_parts: bool) -> Result<TurnIds> {
        let edges = text.learned.iter().flat_map(|turn| [turn.start, turn.end]).chain([text.prompt]);
        let mut edges: Vec<usize> = edges.filter(|&at| at > 0 && at < text.text.len()).collect();
        edges.sort_unstable();
        edges.dedup();
        let PlacedTokens { mut ids, places } = self.tokenizer.encode_placed(&text.text)?;
        let mut repaired = in_parts;
        // Token indices at the edges. Tokens lie in the order of the text.
        let mut at_edges = Vec::with_capacity(edges.len());
        for &edge in &edges {
            let index = places.partition_point(|&(_, end)| end <= edge);
            repaired |= places.get(index).is_some_and(|&(begin, _)| begin < edge);
            at_edges.push(index);
        }
        if repaired {
            (ids, at_edges) = self.in_parts(&text.text, &edges)?;
        }
        let before = ids.len();
        ending::complete(self.tokenizer, self.eos, &mut ids, true);
        let added = ids.len() - before;
        let ids = self.with_bos(ids, true);
        let index = |edge: usize| match edges.binary_search(&edge) {
            // With what went in front, or was taken from there.
            Ok(at) => (at_edges[at] + ids.len()).saturating_sub(before + added),
            Err(_) if edge == 0 => ids.len().saturating_sub(before + added),
            Err(_) if ends_with_reply => ids.len(),
            Err(_) => ids.len() - added,
        };
        let prompt = if text.prompt == 0 { 0 } else { index(text.prompt) };
        let learned = text.learned.iter().map(|turn| index(turn.start)..index(turn.end)).collect();
        Ok(TurnIds { learned, prompt, ids, repaired })
    }

    /// The parts of a text between the edges, encoded apart, with the token indices of the edges.
    fn in_parts(&self, text: &str, edges: &[usize]) -> Result<(Vec<u32>, Vec<usize>)> {
        let (mut ids, mut at_edges, mut begin) = (Vec::new(), Vec::with_capacity(edges.len()), 0);
        for &edge in edges.iter().chain([&text.len()]) {
            let part = &text[begin..edge];
            ids.extend(if begin == 0 { self.tokenizer.encode(part)? } else { self.apart(part)? });
            at_edges.push(ids.len());
            begin = edge;
        }
        at_edges.pop();
        Ok((ids, at_edges))
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
