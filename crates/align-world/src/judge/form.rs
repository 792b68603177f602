//! The form of an answer, apart from what it says: finished, begun properly, neither repeating itself nor
//! endless, and made of words.

use std::collections::BTreeSet;

use super::lexicon::known;
use super::words::words;

/// Answers of more words than this lose quality in proportion. The longest of the world have about 60.
const LONG: f64 = 80.0;

/// The factor in [0, 1] that the form leaves of the quality; 0 for an empty answer.
pub(super) fn form(completion: &str) -> f64 {
    let text = completion.trim();
    let words = words(text);
    if words.is_empty() {
        return 0.0;
    }
    let finished = if text.ends_with(['.', '!', '?']) { 1.0 } else { 0.7 };
    let begun = if text.starts_with(|c: char| c.is_uppercase()) { 1.0 } else { 0.9 };
    let length = (LONG / words.len() as f64).min(1.0);
    let language = (1.0 - 3.0 * (1.0 - known(&words))).max(0.0);
    finished * begun * length * language * variety(&words)
}

/// 1 while few groups of four words occur twice, less as more do.
fn variety(words: &[String]) -> f64 {
    let groups: Vec<&[String]> = words.windows(4).collect();
    if groups.is_empty() {
        return 1.0;
    }
    let different = groups.iter().collect::<BTreeSet<_>>().len() as f64 / groups.len() as f64;
    if different >= 0.75 { 1.0 } else { different }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_form_is_worth_everything_and_repetition_little() {
        assert_eq!(form("Four plus seven is eleven."), 1.0);
        assert_eq!(form(""), 0.0);
        assert_eq!(form("four plus seven is"), 0.7 * 0.9);
        assert!(form("Four plus sevem isto eleven.") == 0.0);
        assert!(form(&"I hope that helps you now. ".repeat(10)) < 0.2);
    }
}
