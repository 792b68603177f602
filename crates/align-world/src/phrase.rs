//! Sentences from patterns: `{slot}` is replaced by its text, `{Slot}` by the same with a capital letter.
//! The patterns are tables of this crate, so a slot without a text is a mistake in a table; a test fills all.

use rand_chacha::ChaCha8Rng;

use crate::draw::{chance, pick};

/// Friendly sentences that may stand around an answer.
pub(crate) struct Dress {
    openers: &'static [&'static str],
    closers: &'static [&'static str],
}

/// For answers that say how something is done.
pub(crate) const PRACTICAL: Dress = Dress {
    openers: &[
        "Good question.",
        "Of course.",
        "Gladly.",
        "Let me see.",
        "Thank you for asking.",
        "All right.",
    ],
    closers: &[
        "I hope that helps.",
        "Ask me again if you need more.",
        "I wish you good luck.",
        "Tell me how it goes.",
    ],
};

/// For answers to a person in trouble.
pub(crate) const PERSONAL: Dress = Dress {
    openers: &["Thank you for telling me.", "Let me see.", "Let me think.", "Thank you for asking."],
    closers: &[
        "I hope that helps.",
        "I wish you good luck.",
        "Tell me how it goes.",
        "That is how I see it.",
    ],
};

/// For facts and numbers.
pub(crate) const FACTUAL: Dress = Dress {
    openers: &["Good question.", "Of course.", "Gladly.", "Let me see.", "Let me think.", "All right."],
    closers: &["I hope that helps.", "Ask me again if you need more.", "That was a nice question."],
};

/// `pattern` with every slot filled from `slots`.
pub(crate) fn fill(pattern: &str, slots: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}').expect("every slot of a pattern is closed");
        let name = &rest[open + 1..close];
        let wanted = name.to_lowercase();
        let (_, value) =
            slots.iter().find(|(slot, _)| *slot == wanted).expect("every slot of a pattern has a text");
        text.push_str(&rest[..open]);
        if name == wanted {
            text.push_str(value)
        } else {
            text.push_str(&capitalised(value))
        }
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
    text
}

/// `text` with a capital first letter.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `answer`, sometimes with a friendly sentence before or after it. Good and bad answers are dressed alike, so
/// that friendliness alone tells nothing about them.
pub(crate) fn dressed(rng: &mut ChaCha8Rng, dress: &Dress, answer: String) -> String {
    let mut text = answer;
    if chance(rng, 0.25) {
        text = format!("{} {text}", pick(rng, dress.openers));
    }
    if chance(rng, 0.2) {
        text = format!("{text} {}", pick(rng, dress.closers));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_filled_and_capitalised() {
        let slots = [("a", "four"), ("b", "one")];
        assert_eq!(
            fill("{A} plus {b} is {x}.", &[slots[0], slots[1], ("x", "five")]),
            "Four plus one is five."
        );
    }
}
