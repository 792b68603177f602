//! A row to answers of one prompt: one, several in no order, or ranked ones.

use super::demonstration::prompt_completion;
use super::preference;
use super::rows::Row;
use crate::error::{DataError, Result};
use crate::record::{Candidates, Origin, Ranking, Text};

/// The answers in a row: `completion`, `completions`, or `chosen` and `rejected`.
pub(super) fn candidates(mut row: Row) -> Result<Candidates> {
    if row.has("completions") {
        return listed(row);
    }
    if row.has("chosen") || row.has("rejected") {
        return Ok(preference::pair(row)?.into());
    }
    if !row.has("completion") {
        let expected = "`completion`, or `completions`, or `chosen` and `rejected`";
        return Err(row.missing("completion", expected));
    }
    let (prompt, completion) = prompt_completion(&mut row)?;
    let template = row.template_arguments()?;
    Ok(Candidates { prompt, completions: vec![completion], template, origin: row.origin })
}

/// Rankings of one data set: either all have a margin, or none has.
#[derive(Default)]
pub(super) struct Rankings {
    /// Whether the first row has a margin, and where it stands.
    first: Option<(bool, Origin)>,
}

impl Rankings {
    /// The ranking in a row: a pair, or `completions` with the best first. `source_column` names its source.
    pub(super) fn ranking(&mut self, mut row: Row, source_column: &str) -> Result<Ranking> {
        let margin = row.has("margin").then(|| row.number("margin")).transpose()?;
        let source = row.label(source_column);
        if let Some(margin) = margin.filter(|margin| margin.abs() > f64::from(f32::MAX)) {
            return Err(row.wrong("margin", "a number of at most 3.4e38", format!("{margin:e}")));
        }
        self.like_before(&row, margin)?;
        if !row.has("completions") {
            return Ok(Ranking { answers: preference::pair(row)?.into(), margin, source });
        }
        let wrong = |origin: &Origin, field: &str, expected: &str, found: String| DataError::Column {
            origin: origin.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let answers = listed(row)?;
        match (answers.completions.len(), margin) {
            (1, _) => {
                let expected = "at least two answers, the best first";
                let found = "a list of 1, which ranks nothing; correct or remove the row".to_owned();
                Err(wrong(&answers.origin, "completions", expected, found))
            }
            (count @ 3.., Some(margin)) => {
                let expected = "no margin beside a list of more than two answers";
                Err(wrong(&answers.origin, "margin", expected, format!("{margin} for {count} answers")))
            }
            _ => Ok(Ranking { answers, margin, source }),
        }
    }

    fn like_before(&mut self, row: &Row, margin: Option<f64>) -> Result<()> {
        match (&self.first, margin) {
            (None, _) => self.first = Some((margin.is_some(), row.origin.clone())),
            (Some((true, first)), None) => {
                return Err(row.wrong("margin", format!("a number, as in {first}"), "nothing"));
            }
            (Some((false, first)), Some(margin)) => {
                let found = format!("{margin}; give all rows a margin or none");
                return Err(row.wrong("margin", format!("nothing, as in {first}"), found));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The columns `prompt` and `completions`.
fn listed(mut row: Row) -> Result<Candidates> {
    let prompt = row.text("prompt")?;
    let completions = row.texts("completions")?;
    for (index, completion) in completions.iter().enumerate() {
        let field = format!("completions[{index}]");
        match (&prompt, completion) {
            (Text::Plain(_), Text::Messages(_)) => {
                return Err(row.wrong(field, "a string, as in `prompt`", "a list of messages"));
            }
            (Text::Messages(_), Text::Plain(_)) => {
                return Err(row.wrong(field, "a list of messages, as in `prompt`", "a string"));
            }
            _ => row.check_reply(&field, completion)?,
        }
    }
    let template = row.template_arguments()?;
    Ok(Candidates { prompt, completions, template, origin: row.origin })
}
