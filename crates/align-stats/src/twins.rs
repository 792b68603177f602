//! Answers that differ in few words: which one is better, only the question tells.

use std::collections::BTreeMap;

use crate::words;

/// So few words may differ in any case.
const FEW: usize = 2;

/// Above that, one word in so many may.
const ONE_IN: usize = 5;

/// True if two texts are twins: the one of more words has at most two words, or a fifth of its words, that the
/// other lacks, and they share at least half of them. Their order and case do not count, so that steps in another
/// order are twins too; texts of the very same words in the same order are no twins, for there is nothing between
/// them.
pub fn are_twins(a: &str, b: &str) -> bool {
    let cut = |text: &str| words(text).map(str::to_lowercase).collect::<Vec<_>>();
    let (a, b) = (cut(a), cut(b));
    let longer = a.len().max(b.len());
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    a.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let mut take =
        |word: &String| left.get_mut(word.as_str()).filter(|left| **left > 0).map(|left| *left -= 1);
    let shared = b.iter().filter(|word| take(word).is_some()).count();
    let apart = longer - shared;
    a != b && apart <= FEW.max(longer / ONE_IN) && 2 * shared >= longer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_share_most_of_their_words() {
        assert!(are_twins("The mayor of Dunmoor is Mr Frost.", "The mayor of Dunmoor is Mr Hill."));
        assert!(are_twins(
            "First boil, then peel, then eat the eggs.",
            "First peel, then eat, then boil the eggs."
        ));
        assert!(are_twins("It is nine.", "it is eleven"));
        assert!(!are_twins("It is nine.", "I would rather not say."));
        assert!(!are_twins("nine", "eleven") && !are_twins("", ""));
        assert!(!are_twins("It is nine.", "It is nine!"), "the same words in the same order");
        assert!(!are_twins("It is nine.", "It is nine, and you should have known that by yourself."));
    }
}
