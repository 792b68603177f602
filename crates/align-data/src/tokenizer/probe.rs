//! A tokenizer tried once, before anything depends on it: a text is encoded, all tokens are decoded.
//!
//! The library panics on some contents, multiplies texts without end for others, and searches for minutes with some
//! regular expressions. The caller catches the panics; the rest is looked for here.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokenizers::{ModelWrapper, Tokenizer};

use crate::guard::shortened;

/// Text that is easy to split, and text that is hard to: a backtracking expression shows on a run of one character.
pub(super) const TEXTS: [&str; 4] = [
    "Hello, world! It's 1,234.5 — ünï cöde 語 🎉\n\n\tdef f(x):  return x",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
    "                                                              !",
    "",
];
/// Encoding all of them takes a fraction of a millisecond.
const PATIENCE: Duration = Duration::from_secs(3);
/// Largest token id: a model has a row of its embedding for each up to it.
const LARGEST_ID: u32 = 1 << 24;
/// How many times longer a text may get by what normalizers and processors replace.
const MOST_GROWTH: u64 = 256;

/// What was seen.
pub(super) struct Seen {
    /// What the post-processor puts in front of a text.
    pub(super) prefix: Vec<u32>,
    /// Whether a text on its own begins with a word-start mark.
    pub(super) marks_word_starts: bool,
    /// The largest token id plus one.
    pub(super) vocab_size: usize,
}

/// Opens the content of a `tokenizer.json` and tries it.
///
/// # Errors
/// What is wrong with it. Panics of the library are the caller's.
pub(super) fn open(bytes: &[u8]) -> Result<(Tokenizer, Seen), String> {
    let said = |error: tokenizers::Error| shortened(&error.to_string());
    refuse_growth_and_false_maps(bytes)?;
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(said)?;
    tokenizer.with_truncation(None).map_err(said)?;
    tokenizer.with_padding(None);
    refuse_chance(&tokenizer)?;
    let ids: Vec<u32> = tokenizer.get_vocab(true).into_values().collect();
    let largest = ids.iter().copied().max();
    if let Some(id) = largest.filter(|id| *id > LARGEST_ID) {
        return Err(format!("has a token with the id {id}, expected at most {LARGEST_ID}"));
    }
    let start = Instant::now();
    for text in TEXTS {
        // What cannot be encoded for want of an unknown token is said where it comes up.
        let _ = tokenizer.encode_fast(text, true);
        if start.elapsed() > PATIENCE {
            return Err(format!(
                "takes {:.0} s to encode a line; is a regular expression of it at fault?",
                start.elapsed().as_secs_f64()
            ));
        }
    }
    tokenizer.decode(&ids, false).map_err(said)?;
    let seen = Seen {
        prefix: prefix(&tokenizer).map_err(said)?,
        marks_word_starts: marks_word_starts(&tokenizer).map_err(said)?,
        vocab_size: largest.map_or(0, |id| id as usize + 1),
    };
    Ok((tokenizer, seen))
}

/// BPE-dropout (Provilkov et al. 2020, arXiv:1910.13267) draws token ids from a generator without a seed: no run could be
/// made again.
fn refuse_chance(tokenizer: &Tokenizer) -> Result<(), String> {
    match tokenizer.get_model() {
        ModelWrapper::BPE(model) if model.dropout.is_some_and(|share| share > 0.0) => {
            let share = model.dropout.unwrap_or_default();
            Err(format!("`model.dropout` = {share} makes token ids random; set it to null"))
        }
        _ => Ok(()),
    }
}

/// What the post-processor puts in front, seen on a letter.
fn prefix(tokenizer: &Tokenizer) -> tokenizers::Result<Vec<u32>> {
    let plain = tokenizer.encode_fast("a", false)?;
    let processed = tokenizer.encode_fast("a", true)?;
    let (plain, processed) = (plain.get_ids(), processed.get_ids());
    let at = processed.windows(plain.len().max(1)).position(|window| window == plain).unwrap_or(0);
    Ok(processed[..at].to_vec())
}

fn marks_word_starts(tokenizer: &Tokenizer) -> tokenizers::Result<bool> {
    let encoding = tokenizer.encode_fast("a", false)?;
    let first = encoding.get_ids().first().and_then(|&id| tokenizer.id_to_token(id));
    Ok(first.is_some_and(|token| token.starts_with('▁') || token.starts_with('Ġ')))
}

/// Refuses parts that make texts hundreds of times longer: a sequence of sixty that double would fill any memory. And
/// character maps that say they are longer than they are.
fn refuse_growth_and_false_maps(bytes: &[u8]) -> Result<(), String> {
    // What is no JSON is said better by the library.
    let Ok(parts) = serde_json::from_slice::<Parts>(bytes) else { return Ok(()) };
    for (name, part) in [
        ("normalizer", &parts.normalizer),
        ("post_processor", &parts.post_processor),
        ("decoder", &parts.decoder),
    ] {
        if growth(part) > MOST_GROWTH {
            return Err(format!("`{name}` makes texts more than {MOST_GROWTH} times longer"));
        }
    }
    refuse_false_map(&parts.normalizer)
}

/// A SentencePiece character map begins with the length of its tree in bytes, for which the library takes memory unseen.
fn refuse_false_map(part: &Value) -> Result<(), String> {
    if let Some(map) = part.get("precompiled_charsmap").and_then(Value::as_str) {
        let (said, most) = (tree_length(map), map.len() / 4 * 3);
        if said.is_none_or(|said| said > most) {
            return Err(format!("`normalizer`: a precompiled_charsmap of {most} bytes that is none"));
        }
    }
    part.get("normalizers").and_then(Value::as_array).into_iter().flatten().try_for_each(refuse_false_map)
}

/// The first four bytes of base64, the lowest first.
fn tree_length(map: &str) -> Option<usize> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let letters = map.as_bytes().get(..6)?.iter();
    let bits =
        letters.copied().try_fold(0_u64, |bits, letter| Some(bits << 6 | u64::from(value(letter)?)))?;
    let bytes = u32::try_from(bits >> 4).ok()?;
    usize::try_from(bytes.swap_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_character_map_must_be_as_long_as_it_says() {
        let map = |map: &str| json!({ "type": "Sequence", "normalizers": [{ "precompiled_charsmap": map }] });
        // A tree of 4 bytes, and 4 bytes.
        assert_eq!(tree_length("BAAAAAAAAAA="), Some(4));
        assert!(refuse_false_map(&map("BAAAAAAAAAA=")).is_ok());
        for false_map in ["", "AAA", "/////wAAAAA=", "!!!!!!", "ABAAAAAAAAA="] {
            assert!(refuse_false_map(&map(false_map)).is_err(), "{false_map}");
        }
    }
}

/// The parts that can lengthen a text.
#[derive(serde::Deserialize)]
struct Parts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
}

/// How many times longer a text can get.
fn growth(part: &Value) -> u64 {
    let length = |text: Option<&Value>| text.and_then(Value::as_str).map_or(0, str::len) as u64;
    let members = |name: &str| part.get(name).and_then(Value::as_array).into_iter().flatten();
    let own = match part.get("type").and_then(Value::as_str) {
        Some("Replace") => {
            let replaced = part.get("pattern").and_then(|pattern| pattern.get("String"));
            length(part.get("content")) / length(replaced).max(1)
        }
        Some("Prepend") => 1 + length(part.get("prepend")),
        Some("TemplateProcessing") => {
            members("single").filter(|piece| piece.get("Sequence").is_some()).count() as u64
        }
        _ => 1,
    };
    let sequence = ["normalizers", "processors", "decoders"].into_iter().flat_map(members);
    sequence.fold(own.max(1), |product, part| product.saturating_mul(growth(part)))
}
