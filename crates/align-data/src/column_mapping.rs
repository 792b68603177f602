//! What a data set calls its columns, where nothing else tells.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{DataError, Result};
use crate::guard::shortened;

/// A column mapping: the columns that are read, each with the name that the data set has for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ColumnMapping(Vec<(String, String)>);

/// Columns that some stage reads.
const READ: [&str; 26] = [
    "answer",
    "chosen",
    "chosen_messages",
    "completion",
    "completions",
    "context",
    "conversations",
    "history",
    "input",
    "instruction",
    "label",
    "margin",
    "messages",
    "output",
    "prompt",
    "question",
    "reference",
    "rejected",
    "rejected_messages",
    "response",
    "score_chosen",
    "score_rejected",
    "source",
    "system",
    "text",
    "tools",
];

impl ColumnMapping {
    /// From entries such as `prompt=question`.
    ///
    /// # Errors
    /// Entries without two names, a column that nothing reads, one that is named twice.
    pub fn parse(entries: &[String]) -> Result<Self> {
        let mut columns: Vec<(String, String)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let wrong =
                |rule: String| DataError::Option { field: "column_mapping", rule, value: shortened(entry) };
            let names = entry.split_once('=').map(|(read, theirs)| (read.trim(), theirs.trim()));
            let Some((read, theirs)) = names.filter(|(read, theirs)| !read.is_empty() && !theirs.is_empty())
            else {
                return Err(wrong(
                    "expected a column that is read and its name in the data, as `prompt=question`"
                        .to_owned(),
                ));
            };
            if !READ.contains(&read) {
                return Err(wrong(format!("expected one of {} before `=`", READ.join(", "))));
            }
            if columns.iter().any(|(other, own)| other == read || own == theirs) {
                return Err(wrong("expected each column once".to_owned()));
            }
            columns.push((read.to_owned(), theirs.to_owned()));
        }
        Ok(Self(columns))
    }

    /// Gives the columns of a row the names that are read. `seen` says of each entry whether a row had its column.
    pub(crate) fn rename(&self, columns: &mut Map<String, Value>, seen: &mut Vec<bool>) {
        seen.resize(self.0.len(), false);
        let found: Vec<_> = self.0.iter().map(|(_, theirs)| columns.remove(theirs)).collect();
        for (((read, _), value), seen) in self.0.iter().zip(found).zip(seen) {
            if let Some(value) = value {
                *seen = true;
                columns.insert(read.clone(), value);
            }
        }
    }

    /// The entries, each with whether a row had its column.
    pub(crate) fn entries(&self, seen: &[bool]) -> impl Iterator<Item = (String, bool)> {
        let is_seen = |at: usize| seen.get(at).copied().unwrap_or(false);
        let entry = |(read, theirs): &(String, String)| format!("{read}={}", shortened(theirs));
        self.0.iter().enumerate().map(move |(at, names)| (entry(names), is_seen(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_change_their_names_all_at_once() {
        let parse =
            |text: &str| ColumnMapping::parse(&text.split(',').map(str::to_owned).collect::<Vec<_>>());
        let mapping = parse("chosen=rejected, rejected = chosen,prompt=q").unwrap();
        let mut row: Map<_, _> = [("chosen", 1), ("rejected", 2), ("other", 3)]
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into_iter()
            .collect();
        let mut seen = Vec::new();
        mapping.rename(&mut row, &mut seen);
        assert_eq!(
            serde_json::to_value(&row).unwrap(),
            serde_json::json!({"chosen": 2, "rejected": 1, "other": 3})
        );
        let unseen = mapping.entries(&seen).filter(|(_, seen)| !seen).map(|(entry, _)| entry);
        assert_eq!(unseen.collect::<Vec<_>>(), ["prompt=q"]);
        for wrong in ["prompt", "=a", "prompt=", "prompt=a,prompt=b", "prompt=a,chosen=a", "colour=a"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.starts_with("column_mapping: expected"), "{error}");
        }
    }
}
