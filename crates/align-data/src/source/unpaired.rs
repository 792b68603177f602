//! A row to one labelled answer, or to a pair whose answers are labelled by which was preferred.
//!
//! A data set holds rows of one of the two kinds: a file that mixes them was put together by accident, and the
//! answers of its pairs would be ordered unlike its other rows.

use super::demonstration::prompt_completion;
use super::preference;
use super::rows::Row;
use crate::error::Result;
use crate::record::{Origin, PreferencePair, UnpairedPreference, unpair_preferences};

/// Records of one kind, in the order of their rows.
#[derive(Default)]
pub(super) struct Answers {
    labelled: Vec<UnpairedPreference>,
    pairs: Vec<PreferencePair>,
}

impl Answers {
    /// Adds what is in a row, which must be of the kind of the rows before it.
    pub(super) fn add(&mut self, mut row: Row) -> Result<()> {
        let pair = ["chosen", "rejected"].into_iter().find(|field| row.has(field));
        let labelled = ["completion", "label"].into_iter().find(|field| row.has(field));
        match (pair, labelled) {
            (Some(field), _) if !row.has("completion") => {
                like_before(&row, field, PAIR, self.labelled.first().map(|first| (LABELLED, &first.origin)))?;
                self.pairs.push(preference::pair(row)?);
            }
            (None, Some(field)) => {
                like_before(&row, field, LABELLED, self.pairs.first().map(|first| (PAIR, &first.origin)))?;
                let (prompt, completion) = prompt_completion(&mut row)?;
                let (label, template) = (row.flag("label")?, row.template_arguments()?);
                let origin = row.origin;
                self.labelled.push(UnpairedPreference { prompt, completion, label, template, origin });
            }
            (Some(field), _) => {
                return Err(row.wrong(field, format!("{LABELLED}, or {PAIR}"), "columns of both"));
            }
            (None, None) => return Err(row.missing("completion", &format!("{LABELLED}, or {PAIR}"))),
        }
        Ok(())
    }

    /// The labelled answers; pairs as [`unpair_preferences`] orders them.
    pub(super) fn into_records(self) -> Vec<UnpairedPreference> {
        if self.pairs.is_empty() { self.labelled } else { unpair_preferences(self.pairs) }
    }
}

const LABELLED: &str = "`prompt`, `completion` and `label`";
const PAIR: &str = "`chosen` and `rejected`";

/// Refuses a row if there was one of the other kind before it.
fn like_before(row: &Row, field: &str, kind: &str, other: Option<(&str, &Origin)>) -> Result<()> {
    let Some((expected, first)) = other else { return Ok(()) };
    let found = format!("{kind}; a data set holds rows of one kind");
    Err(row.wrong(field, format!("{expected}, as in {first}"), found))
}
