//! Texts as bags of words, and how much of a phrase one contains.

use std::collections::BTreeSet;

/// Words that carry no content of their own.
const EMPTY: &[&str] = &[
    "a", "an", "the", "and", "or", "of", "to", "in", "on", "at", "it", "is", "are", "for", "with", "you",
    "your", "that", "this", "not", "do", "be", "so", "as", "by", "if", "i", "my", "what", "when", "who",
    "will", "would", "could", "can", "out", "up", "she", "he", "his", "her", "him", "them", "they", "their",
    "may",
];

/// The words of `text` in lower case, in order.
pub(super) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower
        .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '-')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A text to look things up in.
pub(super) struct Reading {
    spaced: String,
    bag: BTreeSet<String>,
    /// How many words it has.
    pub(super) length: usize,
}

impl Reading {
    pub(super) fn new(text: &str) -> Self {
        let words = words(text);
        Self {
            spaced: format!(" {} ", words.join(" ")),
            length: words.len(),
            bag: words.into_iter().collect(),
        }
    }

    /// Where `phrase` stands as whole words, whatever the punctuation.
    pub(super) fn find(&self, phrase: &str) -> Option<usize> {
        self.spaced.find(&format!(" {} ", words(phrase).join(" ")))
    }

    /// Whether `phrase` stands in the text as whole words.
    pub(super) fn has(&self, phrase: &str) -> bool {
        self.find(phrase).is_some()
    }

    /// Whether any of `phrases` does.
    pub(super) fn has_any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.has(phrase))
    }

    /// Whether at least three quarters of the content words of `phrase` occur, in any order.
    pub(super) fn covers(&self, phrase: &str) -> bool {
        let content: Vec<String> =
            words(phrase).into_iter().filter(|word| !EMPTY.contains(&word.as_str())).collect();
        let found = content.iter().filter(|word| self.bag.contains(*word)).count();
        4 * found >= 3 * content.len()
    }
}
