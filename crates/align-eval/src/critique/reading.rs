//! What a critique says.

use super::Principle;

/// A critique that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the answer breaks the principle.
    pub is_violation: bool,
    /// How to mend it; empty if it does not, or nothing is suggested.
    pub suggestions: Vec<String>,
    /// The critique as it was written.
    pub critique: String,
}

/// The finding of a critique; none if it does not say whether the principle is broken.
pub(super) fn read(critique: &str, principle: &Principle) -> Option<Finding> {
    let critique = critique.trim().to_owned();
    let lower = critique.to_lowercase();
    let is_violation = if principle.passes.is_empty() {
        let first = lower.split(|c: char| !c.is_alphabetic()).find(|word| !word.is_empty());
        match first? {
            "yes" => true,
            "no" => false,
            _ => return None,
        }
    } else {
        let first = |phrases: &[String]| phrases.iter().filter_map(|it| lower.find(&it.to_lowercase())).min();
        match (first(&principle.passes), first(&principle.fails)) {
            (Some(passes), Some(fails)) => fails < passes,
            (Some(_), None) => false,
            (None, Some(_)) => true,
            (None, None) if principle.fails.is_empty() && !lower.is_empty() => true,
            (None, None) => return None,
        }
    };
    let suggestions = if is_violation { suggestions(&critique) } else { Vec::new() };
    Some(Finding { is_violation, suggestions, critique })
}

/// Lines that begin with `Suggestion:`, else what stands after the first sentence.
fn suggestions(critique: &str) -> Vec<String> {
    let marked: Vec<String> = critique
        .lines()
        .filter_map(|line| {
            let line = line.trim().trim_start_matches(['-', '*', ' ']);
            let (word, rest) = line.split_once(':')?;
            word.trim_matches('*')
                .eq_ignore_ascii_case("suggestion")
                .then(|| rest.trim_matches(['*', ' ']).to_owned())
        })
        .filter(|line| !line.is_empty())
        .collect();
    if !marked.is_empty() {
        return marked;
    }
    let sentences =
        critique.split_inclusive(['.', '!', '?']).skip(1).map(|sentence| sentence.trim().to_owned());
    sentences.filter(|sentence| sentence.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_critique_says_yes_or_no_or_cannot_be_read() {
        let principle = Principle::new("Be kind.");
        let found = |critique: &str| read(critique, &principle);
        let broken = found("**YES.** It is rude.\n- Suggestion: leave out \"fool\".").unwrap();
        assert!(broken.is_violation && broken.suggestions == ["leave out \"fool\"."], "{broken:?}");
        assert_eq!(found("No, it is kind.").map(|it| it.is_violation), Some(false));
        assert_eq!((found(""), found("Perhaps. It depends.")), (None, None));
    }

    #[test]
    fn a_model_of_other_words_is_understood_by_what_passes() {
        let principle =
            Principle { passes: vec!["The answer is good".to_owned()], ..Principle::new("Be kind.") };
        let found = |critique: &str| read(critique, &principle);
        assert_eq!(found("The answer is good. It is kind.").map(|it| it.is_violation), Some(false));
        let broken = found("The answer is rude. It should explain how to cook rice.").unwrap();
        assert_eq!(broken.suggestions, ["It should explain how to cook rice."]);
        assert_eq!(found(" "), None);
        let fails = vec!["The answer is rude".to_owned()];
        let principle = Principle { fails, ..principle };
        let found = |critique: &str| read(critique, &principle);
        assert_eq!(found("Boil the eggs."), None);
        assert_eq!(found("The answer is rude. The answer is good.").map(|it| it.is_violation), Some(true));
    }
}
