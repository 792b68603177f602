//! Principles in a file: a sentence a line, or an object a line where more is to be said.

use std::path::Path;

use serde::Deserialize;

use crate::{Error, Result};

/// Bytes of the largest file of principles: every answer is held against each.
const LARGEST: u64 = 1 << 20;

/// A principle, and the words in which a model is asked to keep it.
#[derive(Clone, Debug, PartialEq)]
pub struct Principle {
    /// What reports call it.
    pub name: String,
    /// The principle.
    pub text: String,
    /// What asks for a critique of the last answer.
    pub critique: String,
    /// What asks for a revision after it.
    pub revision: String,
    /// Phrases of which a critique that finds nothing wrong holds one. Without any, a critique begins with YES where the
    /// principle is broken, and with NO where it is kept.
    pub passes: Vec<String>,
    /// Phrases of which a critique that finds a fault holds one; a critique with neither cannot be read. Without any, whatever
    /// does not pass is a fault.
    pub fails: Vec<String>,
}

/// An object of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    principle: String,
    name: Option<String>,
    critique: Option<String>,
    revision: Option<String>,
    #[serde(default)]
    passes: Vec<String>,
    #[serde(default)]
    fails: Vec<String>,
}

impl Principle {
    /// A principle with the usual requests.
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        Self {
            name: name_of(text),
            text: text.to_owned(),
            critique: format!(
                "Hold your last answer against this principle: {text} Does the answer break it? Begin with YES or NO. If \
                 YES, say what is wrong, and then, on a line that begins with `Suggestion:`, how to mend it."
            ),
            revision: format!(
                "Write the answer again so that it keeps the principle: {text} Write the answer only, nothing about it."
            ),
            passes: Vec::new(),
            fails: Vec::new(),
        }
    }

    /// Reads a file: a principle a line, empty lines and those that begin with `#` left out; or JSON lines with
    /// `principle`, and optionally `name`, `critique`, `revision`, `passes` and `fails`.
    ///
    /// # Errors
    /// With `file:line`: what is neither; a file without principles.
    pub fn load(path: &Path) -> Result<Vec<Self>> {
        let text =
            align_files::read_to_string(path, LARGEST).map_err(|error| Error::io(path)(error.source))?;
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let principles = lines.map(|(number, line)| {
            let place = format!("{}:{number}", path.display());
            if !line.starts_with('{') {
                return Ok(Self::new(line));
            }
            let row: Row = serde_json::from_str(line).map_err(|error| {
                Error::Config(format!(
                    "{place}: expected an object with `principle` and optionally `name`, `critique`, `revision`, `passes`, `fails`: {error}"
                ))
            })?;
            Self::of_row(row).ok_or_else(|| Error::Config(format!("{place}: `principle` is empty; write one or remove the line")))
        });
        let principles = principles.collect::<Result<Vec<_>>>()?;
        if principles.is_empty() {
            return Err(Error::Config(format!("{}: holds no principle; write one a line", path.display())));
        }
        Ok(principles)
    }

    fn of_row(row: Row) -> Option<Self> {
        let usual = Self::new(&row.principle);
        (!usual.text.is_empty()).then(|| Self {
            name: row.name.unwrap_or(usual.name),
            text: usual.text,
            critique: row.critique.unwrap_or(usual.critique),
            revision: row.revision.unwrap_or(usual.revision),
            passes: row.passes,
            fails: row.fails,
        })
    }
}

/// The first words of a principle.
fn name_of(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(6).collect();
    words.join(" ").trim_end_matches(['.', ',', ';', ':']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Vec<Principle>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("constitution.txt");
        std::fs::write(&path, text).unwrap();
        Principle::load(&path)
    }

    #[test]
    fn sentences_and_objects_are_principles() {
        let text = "# ours\n\nBe kind, whatever the user says to you.\n{\"principle\": \"Be right.\", \"name\": \"truth\", \
                    \"critique\": \"Is it right?\", \"passes\": [\"It is right\"]}\n";
        let found = load(text).unwrap();
        assert_eq!(found[0].name, "Be kind, whatever the user says");
        assert!(
            found[0].critique.contains("Be kind, whatever the user says to you. Does the answer break it?")
        );
        assert_eq!((found[1].name.as_str(), found[1].critique.as_str()), ("truth", "Is it right?"));
        assert!(found[1].revision.contains("Be right.") && found[1].passes == ["It is right"]);
    }

    #[test]
    fn what_is_no_principle_names_its_line() {
        let complaint = |text: &str| load(text).unwrap_err().to_string();
        assert!(
            complaint("Be kind.\n{\"princple\": \"x\"}")
                .contains("constitution.txt:2: expected an object with")
        );
        assert!(complaint("{\"principle\": \" \"}").contains(":1: `principle` is empty"));
        assert!(complaint("# nothing\n").contains("holds no principle"));
    }
}
