//! How text is cut into words: by regular expressions and at digits.
//!
//! The expressions of most models end in `\s+(?!\S)|\s+`: white space, but for its last character where a word follows. A
//! look ahead needs a machine that goes back and forth. Without it the rest is decided in one pass: where nothing
//! before it matches, the run of white space is taken whole, and its last character given back if there is more of both.

use regex_automata::meta::{Cache, Regex};
use regex_automata::{Anchored, Input};
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior};

/// GPT-2's expression, which byte-level pre-tokenizers have built in.
pub(super) const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LOOK_AHEAD: &str = r"|\s+(?!\S)|\s+";

/// A way of cutting text.
#[derive(Debug)]
pub(super) enum Cut {
    /// Each match, and what is between matches.
    Pattern {
        /// Of two patterns the second is white space, taken where the first does not match.
        regex: Regex,
    },
    /// Each digit, or each run of digits, and what is between.
    Digits { individual: bool },
}

impl Cut {
    /// What a pre-tokenizer does, if it is known.
    pub(super) fn of(pre_tokenizer: &PreTokenizerWrapper) -> Option<Self> {
        match pre_tokenizer {
            PreTokenizerWrapper::Split(split)
                if !split.invert && split.behavior == SplitDelimiterBehavior::Isolated =>
            {
                let SplitPattern::Regex(pattern) = &split.pattern else { return None };
                Self::by_pattern(pattern)
            }
            PreTokenizerWrapper::Digits(digits) => {
                Some(Self::Digits { individual: digits.individual_digits })
            }
            _ => None,
        }
    }

    /// The matches of a pattern; none for one that needs to look around.
    pub(super) fn by_pattern(pattern: &str) -> Option<Self> {
        if is_possessive(pattern) {
            return None;
        }
        let regex = match pattern.strip_suffix(LOOK_AHEAD) {
            Some(words) => Regex::new_many(&[words, r"\s+"]),
            None => Regex::new(pattern),
        };
        Some(Self::Pattern { regex: regex.ok()? })
    }

    pub(super) fn cache(&self) -> Option<Cache> {
        match self {
            Self::Pattern { regex } => Some(regex.create_cache()),
            Self::Digits { .. } => None,
        }
    }
}

/// Whether a pattern may have repetitions that do not give back (`x?+`, `x{1,3}+`), which the engine would read as
/// repetitions of repetitions.
fn is_possessive(pattern: &str) -> bool {
    pattern.match_indices('+').any(|(at, _)| match pattern[..at].strip_suffix('}') {
        Some(before) => before.ends_with(|last: char| last.is_ascii_digit() || last == ','),
        None => pattern[..at].ends_with(['?', '*', '+']),
    })
}

/// Hands on the words of a text in order, cut by one after the other, until there is none to say about one.
pub(super) fn words<'t>(
    cuts: &[Cut],
    caches: &mut [Option<Cache>],
    text: &'t str,
    take: &mut dyn FnMut(&'t str) -> Option<()>,
) -> Option<()> {
    if text.is_empty() {
        return Some(());
    }
    let (Some((cut, cuts)), Some((cache, caches))) = (cuts.split_first(), caches.split_first_mut()) else {
        return take(text);
    };
    match (cut, cache) {
        (Cut::Pattern { regex }, Some(cache)) => {
            let mut begin = 0;
            while begin < text.len() {
                // Mostly one word begins where the other ends, and then nothing needs to be looked for.
                let next = Input::new(text).range(begin..).anchored(Anchored::Yes);
                let found = regex.search_with(cache, &next);
                let anywhere = next.anchored(Anchored::No);
                let Some(found) = found.or_else(|| regex.search_with(cache, &anywhere)) else { break };
                let mut end = found.end();
                if found.pattern().as_usize() == 1
                    && end < text.len()
                    && let Some((last, _)) = text[found.start()..end].char_indices().next_back()
                    && last > 0
                {
                    end = found.start() + last;
                }
                if found.is_empty() {
                    return None;
                }
                words(cuts, caches, &text[begin..found.start()], take)?;
                words(cuts, caches, &text[found.start()..end], take)?;
                begin = end;
            }
            words(cuts, caches, &text[begin..], take)
        }
        (Cut::Digits { individual }, _) => {
            let mut rest = text;
            while let Some(first) = rest.chars().next() {
                let is_digit = first.is_numeric();
                let end = if is_digit && *individual {
                    first.len_utf8()
                } else {
                    rest.find(|letter: char| letter.is_numeric() != is_digit).unwrap_or(rest.len())
                };
                words(cuts, caches, &rest[..end], take)?;
                rest = &rest[end..];
            }
            Some(())
        }
        (Cut::Pattern { .. }, None) => None,
    }
}
