//! The prompts that models are compared on, and the sets that they belong to.

use std::path::Path;

use align_data::{
    Dataset, Demonstration, DemonstrationBody, PromptTask, load_demonstrations, load_pairs, load_tasks,
};

use crate::{Error, Result};

/// A prompt with what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptRow {
    /// The prompt, with the right answer where it is known.
    pub task: PromptTask,
    /// Sets that have figures of their own: `safety`, `helpfulness`, the user's.
    pub sets: Vec<String>,
    /// The kind of request, where it is known: something to filter by.
    pub kind: Option<String>,
    /// Whether it counts in the figures over all prompts: those of added sets do not.
    pub is_main: bool,
}

impl PromptRow {
    /// The prompts of a file or a directory's split, of no set and no kind. The right answer stands in `reference_column`.
    ///
    /// # Errors
    /// As [`load_tasks`].
    pub fn load(dataset: impl Into<Dataset>, split: &str, reference_column: &str) -> Result<Vec<Self>> {
        let row = |task: PromptTask| Self { task, sets: Vec::new(), kind: None, is_main: true };
        Ok(load_tasks(dataset, split, reference_column)?.into_iter().map(row).collect())
    }

    /// The same prompts as a set of this name.
    pub fn load_set(
        name: &str,
        dataset: impl Into<Dataset>,
        split: &str,
        reference_column: &str,
    ) -> Result<Vec<Self>> {
        let of_set = |row: Self| Self { sets: vec![name.to_owned()], is_main: false, ..row };
        Ok(Self::load(dataset, split, reference_column)?.into_iter().map(of_set).collect())
    }
}

/// Adds the user's own sets: a prompt that was taken for one of that name before is so no longer.
pub fn with_sets(mut rows: Vec<PromptRow>, sets: Vec<(String, Vec<PromptRow>)>) -> Vec<PromptRow> {
    for (name, prompts) in sets {
        rows.iter_mut().filter(|row| row.is_main).for_each(|row| row.sets.retain(|set| *set != name));
        rows.extend(prompts);
    }
    rows
}

/// Held-out text to measure perplexity on: demonstrations, or the chosen answers of preference pairs.
///
/// # Errors
/// As [`load_demonstrations`], of files that hold neither.
pub fn load_text(dataset: &Dataset, split: &str) -> Result<Vec<Demonstration>> {
    let error = match load_demonstrations(dataset, split) {
        Ok(demonstrations) => return Ok(demonstrations.records),
        Err(error) => error,
    };
    let Ok(pairs) = load_pairs(dataset, split) else { return Err(error.into()) };
    let chosen = |pair: align_data::PreferencePair| Demonstration {
        body: DemonstrationBody::PromptCompletion { prompt: pair.prompt, completion: pair.chosen },
        template: pair.template,
        origin: pair.origin,
    };
    Ok(pairs.into_iter().map(chosen).collect())
}

/// `name=directory`, or a directory named for its last part.
///
/// # Errors
/// An empty name or path.
pub fn named(word: &str) -> Result<(String, String)> {
    let (name, path) = match word.split_once('=') {
        Some((name, path)) => (name.trim().to_owned(), path.trim()),
        None => (String::new(), word.trim()),
    };
    let last = Path::new(path).file_name().map(|last| last.to_string_lossy().into_owned());
    let name = if word.contains('=') { name } else { last.unwrap_or_default() };
    if name.is_empty() || path.is_empty() {
        return Err(Error::Config(format!("`{word}`: expected a directory, or NAME=DIRECTORY")));
    }
    Ok((name, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_names_and_paths() {
        let name = |word: &str| named(word).map(|(name, path)| format!("{name} {path}")).unwrap_or_default();
        assert_eq!(name("dpo=runs/dpo-1"), "dpo runs/dpo-1");
        assert_eq!(name("runs/dpo-1/"), "dpo-1 runs/dpo-1/");
        assert_eq!((name("=x"), name("x="), name("")), Default::default());
    }

    #[test]
    fn a_set_of_the_users_takes_the_place_of_what_prompts_were_taken_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.jsonl");
        let row = |prompt: &str| serde_json::json!({ "prompt": prompt, "answer": "eleven" }).to_string();
        std::fs::write(&path, row("What is four plus seven?") + "\n" + &row("Why?")).unwrap();
        let mut rows = PromptRow::load(&path, "test", "answer").unwrap();
        assert!(
            rows.iter().all(|row| row.sets.is_empty() && row.kind.is_none()),
            "nothing is taken for granted"
        );
        assert_eq!(rows[0].task.reference.as_deref(), Some("eleven"));
        rows[0].sets.push("helpfulness".to_owned());
        let own = PromptRow::load_set("helpfulness", &path, "test", "answer").unwrap();
        let all = with_sets(rows, vec![("helpfulness".to_owned(), own)]);
        let sets: Vec<_> = all.iter().map(|row| (row.sets.len(), row.is_main)).collect();
        assert_eq!(sets, [(0, true), (0, true), (1, false), (1, false)]);
    }
}
