//! What people preferred: two answers to one prompt, or one answer found desirable or not.

use serde::Serialize;

use super::{Origin, TemplateArguments, Text};
use crate::error::{DataError, Result};

/// A preference pair: two answers to one prompt, the first preferred over the second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PreferencePair {
    /// The prompt that both answers reply to.
    pub prompt: Text,
    /// The preferred answer.
    pub chosen: Text,
    /// The other answer.
    pub rejected: Text,
    /// The gold answer of triple preference optimisation (arXiv:2405.16681), where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Text>,
    /// Tools and template variables of this row.
    #[serde(flatten)]
    pub template: TemplateArguments,
    /// The row.
    #[serde(skip)]
    pub origin: Origin,
}

impl PreferencePair {
    /// Pairs from parallel lists, as code that generates its own data has them.
    ///
    /// # Errors
    /// Lists of unequal length are an error: zipping them would silently pair answers with the wrong prompts.
    pub fn from_lists<T: Into<Text>>(prompts: Vec<T>, chosen: Vec<T>, rejected: Vec<T>) -> Result<Vec<Self>> {
        if prompts.len() != chosen.len() || prompts.len() != rejected.len() {
            return Err(DataError::UnequalLists {
                prompts: prompts.len(),
                chosen: chosen.len(),
                rejected: rejected.len(),
            });
        }
        let rows = prompts.into_iter().zip(chosen).zip(rejected).enumerate();
        Ok(rows
            .map(|(row, ((prompt, chosen), rejected))| Self {
                prompt: prompt.into(),
                chosen: chosen.into(),
                rejected: rejected.into(),
                reference: None,
                template: TemplateArguments::default(),
                origin: Origin::in_code(row),
            })
            .collect())
    }
}

/// An unpaired preference: one answer to a prompt that somebody found desirable or not, with no other answer to
/// compare it with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnpairedPreference {
    /// The prompt that the answer replies to.
    pub prompt: Text,
    /// The answer.
    pub completion: Text,
    /// The label: whether the answer is desirable.
    pub label: bool,
    /// Tools and template variables of this row.
    #[serde(flatten)]
    pub template: TemplateArguments,
    /// The row.
    #[serde(skip)]
    pub origin: Origin,
}

/// The answers of pairs by themselves: first every chosen one as desirable, then every rejected one as not.
///
/// That is the order of TRL's `unpair_preference_dataset`, and it matters: KTO estimates its KL term on
/// prompts with the completion of a *neighbouring* row. Were the two answers of a pair neighbours, that
/// completion would often answer the very same prompt, and the estimate would be of something else.
pub fn unpair_preferences(pairs: Vec<PreferencePair>) -> Vec<UnpairedPreference> {
    let (mut desirable, mut undesirable) = (Vec::with_capacity(2 * pairs.len()), Vec::new());
    for PreferencePair { prompt, chosen, rejected, template, origin, .. } in pairs {
        desirable.push(UnpairedPreference {
            prompt: prompt.clone(),
            completion: chosen,
            label: true,
            template: template.clone(),
            origin: origin.clone(),
        });
        undesirable.push(UnpairedPreference { prompt, completion: rejected, label: false, template, origin });
    }
    desirable.append(&mut undesirable);
    desirable
}

/// Whether labelled answers, as they are read, are those of pairs: two of each row.
pub(crate) fn are_of_pairs(records: &[UnpairedPreference]) -> bool {
    matches!(records, [first, second, ..] if first.origin == second.origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_unequal_length_are_an_error() {
        let error = PreferencePair::from_lists(vec!["a", "b"], vec!["x", "y"], vec!["z"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "lists of unequal length: 2 prompts, 2 chosen, 1 rejected; \
             every prompt needs one chosen and one rejected answer"
        );
    }

    #[test]
    fn pairs_from_lists_keep_their_rows_together() {
        let pairs = PreferencePair::from_lists(vec!["p", "q"], vec!["c", "d"], vec!["r", "s"]).unwrap();
        assert_eq!(pairs[1].prompt, Text::from("q"));
        assert_eq!(pairs[1].chosen, Text::from("d"));
        assert_eq!(pairs[1].rejected, Text::from("s"));
        assert_eq!(pairs[1].origin.to_string(), "row 2");
    }

    #[test]
    fn unpaired_pairs_are_all_chosen_answers_and_then_all_rejected_ones() {
        let pairs = PreferencePair::from_lists(vec!["p", "q"], vec!["c", "d"], vec!["r", "s"]).unwrap();
        let shown = |row: &UnpairedPreference| {
            let (Text::Plain(prompt), Text::Plain(completion)) = (&row.prompt, &row.completion) else {
                panic!()
            };
            format!("{}: {prompt} {completion} {}", row.origin, row.label)
        };
        assert_eq!(
            unpair_preferences(pairs).iter().map(shown).collect::<Vec<_>>(),
            ["row 1: p c true", "row 2: q d true", "row 1: p r false", "row 2: q s false"]
        );
    }
}
