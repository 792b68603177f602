//! Text to token ids word by word, where a tokenizer works so: byte-level BPE, whose rules of cutting text into words are
//! known. The library goes over a text some ten times, keeps for every byte where it came from, and meets the words that a
//! text is made of as if for the first time. Here a text is cut once, and only words that have not been seen are handed to
//! the library's model. Ids and places are the library's; whatever is not known to be cut alike is left to it whole.

mod added;
mod cut;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use regex_automata::meta::Cache;
use tokenizers::{
    Model as _, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer, normalizers::Sequence,
};

use super::PlacedTokens;
use added::{AddedTokens, Part};
use cut::Cut;

/// Longer words are rarely met twice.
const LONGEST_KEPT: usize = 64;
/// Words that are kept for each thread: some megabytes.
const MOST_KEPT: usize = 1 << 16;
/// What is tried on both, beside the texts that every tokenizer is tried on.
const TRIED: &str = "I'll say:  it's 3.14159, isn't it?\r\n\r\n  Größe 語彙 مرحبا 123456\t \u{a0}x\u{3000}\n \
                     'S HTTPServer fn(a,b)=>{}//…🎉👩‍👩‍👧 end  ";

/// A tokenizer whose texts fall into words.
#[derive(Debug)]
pub(super) struct Words {
    added: AddedTokens,
    /// Whether a normalizer leaves ASCII alone, and nothing else for certain.
    only_ascii: bool,
    cuts: Vec<Cut>,
    /// The characters that stand for bytes.
    letters: Vec<char>,
    free: Mutex<Vec<Scratch>>,
}

/// A token with its length in bytes of the text.
#[derive(Clone, Copy, Debug)]
struct Piece {
    id: u32,
    length: u32,
}

/// What a thread works with, one after the other.
#[derive(Debug)]
struct Scratch {
    known: HashMap<Box<str>, Box<[Piece]>>,
    caches: Vec<Option<Cache>>,
    mapped: String,
    pieces: Vec<Piece>,
}

impl Words {
    /// The words of a tokenizer, if texts are known to fall into such. It may not have truncation, padding or post-processor.
    pub(super) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        if !matches!(tokenizer.get_model(), ModelWrapper::BPE(_)) {
            return None;
        }
        let only_ascii = tokenizer.get_normalizer().is_some();
        if !tokenizer.get_normalizer().is_none_or(leaves_ascii) {
            return None;
        }
        let words = Self {
            added: AddedTokens::of(tokenizer.get_added_vocabulary(), only_ascii)?,
            only_ascii,
            cuts: cuts(tokenizer.get_pre_tokenizer()?)?,
            letters: letters(),
            free: Mutex::default(),
        };
        let known =
            words.added.contents().flat_map(|token| [token.to_owned(), format!("a {token}{token} b")]);
        let texts = super::probe::TEXTS.into_iter().chain([TRIED]).map(str::to_owned);
        let agrees = texts.chain(known.take(64)).all(|text| words.agrees(tokenizer, &text));
        agrees.then_some(words)
    }

    /// Whether ids and places are those of the library.
    fn agrees(&self, tokenizer: &Tokenizer, text: &str) -> bool {
        let Some(own) = self.encode_placed(tokenizer.get_model(), text) else { return true };
        tokenizer.encode(text, false).is_ok_and(|theirs| {
            theirs.get_ids() == own.ids.as_slice() && theirs.get_offsets() == own.places.as_slice()
        })
    }

    /// Token ids of a text; none if it is for the library to say.
    pub(super) fn encode(&self, model: &ModelWrapper, text: &str) -> Option<Vec<u32>> {
        self.with_pieces(model, text, |pieces| pieces.iter().map(|piece| piece.id).collect())
    }

    /// The same with the places of the tokens.
    pub(super) fn encode_placed(&self, model: &ModelWrapper, text: &str) -> Option<PlacedTokens> {
        self.with_pieces(model, text, |pieces| {
            let mut begin = 0;
            let place = |piece: &Piece| {
                let end = begin + piece.length as usize;
                let place = (text.floor_char_boundary(begin), text.ceil_char_boundary(end));
                begin = end;
                place
            };
            let places = pieces.iter().map(place).collect();
            PlacedTokens { ids: pieces.iter().map(|piece| piece.id).collect(), places }
        })
    }

    fn with_pieces<T>(
        &self,
        model: &ModelWrapper,
        text: &str,
        made: impl FnOnce(&[Piece]) -> T,
    ) -> Option<T> {
        if self.only_ascii && !text.is_ascii() {
            return None;
        }
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = free().pop().unwrap_or_else(|| Scratch::new(&self.cuts));
        scratch.pieces.clear();
        let whole = self.added.parts(text, &mut |part| match part {
            Part::Token(id, length) => {
                scratch.pieces.push(Piece { id, length });
                Some(())
            }
            Part::Text(text) => self.text(model, text, &mut scratch),
        });
        let made = whole.map(|()| made(&scratch.pieces));
        free().push(scratch);
        made
    }

    /// Adds the tokens of a text without added tokens.
    fn text(&self, model: &ModelWrapper, text: &str, scratch: &mut Scratch) -> Option<()> {
        let Scratch { known, caches, mapped, pieces } = scratch;
        cut::words(&self.cuts, caches, text, &mut |word| {
            if let Some(seen) = known.get(word) {
                pieces.extend_from_slice(seen);
                return Some(());
            }
            let made = self.word(model, word, mapped)?;
            pieces.extend_from_slice(&made);
            if word.len() <= LONGEST_KEPT {
                if known.len() == MOST_KEPT {
                    known.clear();
                }
                known.insert(word.into(), made.into());
            }
            Some(())
        })
    }

    /// The tokens that the library's model makes of a word.
    fn word(&self, model: &ModelWrapper, word: &str, mapped: &mut String) -> Option<Vec<Piece>> {
        mapped.clear();
        mapped.extend(word.bytes().map(|byte| self.letters[usize::from(byte)]));
        let mut begin = 0;
        let piece = |token: tokenizers::Token| {
            let letters = mapped.get(begin..token.offsets.1)?;
            begin = token.offsets.1;
            Some(Piece { id: token.id, length: u32::try_from(letters.chars().count()).ok()? })
        };
        // What the model fails on is the library's to say.
        let pieces: Vec<Piece> =
            model.tokenize(mapped).ok()?.into_iter().map(piece).collect::<Option<_>>()?;
        // A byte that the vocabulary lacks is left out without a word.
        (begin == mapped.len()).then_some(pieces)
    }
}

impl Scratch {
    fn new(cuts: &[Cut]) -> Self {
        let caches = cuts.iter().map(Cut::cache).collect();
        Self { known: HashMap::new(), caches, mapped: String::new(), pieces: Vec::new() }
    }
}

/// Whether a normalizer leaves a text of ASCII alone, as Unicode's normal forms do.
fn leaves_ascii(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::NFC(_)
        | NormalizerWrapper::NFD(_)
        | NormalizerWrapper::NFKC(_)
        | NormalizerWrapper::NFKD(_) => true,
        NormalizerWrapper::Sequence(sequence) => {
            let parts: &Sequence = sequence;
            parts.as_ref().iter().all(leaves_ascii)
        }
        _ => false,
    }
}

/// The cuts of a pre-tokenizer that ends in bytes.
fn cuts(pre_tokenizer: &PreTokenizerWrapper) -> Option<Vec<Cut>> {
    let parts = match pre_tokenizer {
        PreTokenizerWrapper::Sequence(parts) => parts.as_ref(),
        one => std::slice::from_ref(one),
    };
    let (last, before) = parts.split_last()?;
    let PreTokenizerWrapper::ByteLevel(bytes) = last else { return None };
    if bytes.add_prefix_space {
        return None;
    }
    let own = bytes.use_regex.then(|| Cut::by_pattern(cut::GPT2));
    before.iter().map(Cut::of).chain(own).collect()
}

/// GPT-2's characters for bytes: printable ones stand for themselves, the others for those from U+0100 on (Radford et al. 2019,
/// `bytes_to_unicode`).
fn letters() -> Vec<char> {
    let mut others = '\u{100}'..;
    let stands_for_itself = |byte| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    (0..=u8::MAX)
        .map(
            |byte| if stands_for_itself(byte) { char::from(byte) } else { others.next().unwrap_or_default() },
        )
        .collect()
}

#[cfg(test)]
mod tests;
