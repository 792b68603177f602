//! The token a completion stops at.
//!
//! Plain text gets the tokenizer's EOS once. A chat template writes its own end of turn, and what it writes is
//! kept to the letter (as TRL does, a newline after `<|im_end|>` included): EOS is added only where the last
//! turn would otherwise end in plain text, with nothing to stop at. Some templates end turns with a special
//! token that is not the configured EOS (Gemma's `<end_of_turn>`); that is left alone and reported.

use crate::tokenizer::Tokenizer;

/// What a sequence of tokens ends with, white space aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The tokenizer's EOS.
    Eos,
    /// Another special token.
    OtherSpecial,
    /// Text.
    Text,
}

/// Adds EOS where a complete completion lacks a token to stop at.
pub(super) fn complete(tokenizer: &Tokenizer, eos: u32, ids: &mut Vec<u32>, templated: bool) {
    let ended = if templated { of(tokenizer, ids) != Ending::Text } else { ids.last() == Some(&eos) };
    if !ended {
        ids.push(eos);
    }
}

/// What the tokens end with.
pub(super) fn of(tokenizer: &Tokenizer, ids: &[u32]) -> Ending {
    let eos = tokenizer.eos().map(|eos| eos.id);
    for &id in ids.iter().rev() {
        if Some(id) == eos {
            return Ending::Eos;
        }
        if tokenizer.is_special(id) {
            return Ending::OtherSpecial;
        }
        if tokenizer.decode(&[id], false).is_ok_and(|text| !text.trim().is_empty()) {
            return Ending::Text;
        }
    }
    Ending::Text
}
