//! The answers of a file as they are read, those that are compared with each other together.

use std::iter::Peekable;
use std::path::Path;

use align_data::{Candidates, Dataset, stream_candidates};
use align_hub::Hub;
use align_stage::{Error, Result, data_set, ensure};

use super::{AnswerOptions, Write};
use crate::Task;

type Rows = Box<dyn Iterator<Item = align_data::Result<(Candidates, Option<String>)>>>;

/// Answers to one prompt after the other.
pub(super) struct Answers {
    rows: Peekable<Rows>,
    write: Write,
}

impl Answers {
    /// Finds the file and reads its first row, so that a wrong one is known before a model is loaded.
    pub(super) fn open(options: &AnswerOptions, write: Write, hub: &Hub) -> Result<Self> {
        let is_file_given = options.dataset != "-";
        let split = options.split.as_deref().unwrap_or("test");
        let dataset = if is_file_given {
            data_set(hub, &options.dataset, options.dataset_config.as_deref(), split)?
        } else {
            Dataset::from("-").with_config(options.dataset_config.clone())
        };
        let path = &dataset.path;
        let is_whole = |option: &str| {
            format!("`{option}`: has no effect, {} is a file, all of which is read; remove it", named(path))
        };
        ensure!(dataset.config.is_none() || path.is_dir(), "{}", is_whole("dataset_config"));
        ensure!(options.split.is_none() || path.is_dir(), "{}", is_whole("split"));
        let rows: Rows = Box::new(stream_candidates(&dataset, split, &options.reference_column)?);
        let mut rows = rows.peekable();
        match rows.next_if(|row| row.is_err()) {
            Some(Err(error)) => return Err(error.into()),
            _ => ensure!(rows.peek().is_some(), "{} holds no rows", named(path)),
        }
        Ok(Self { rows, write })
    }

    /// The next few; none at the end.
    pub(super) fn batch(&mut self, size: usize) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        while tasks.len() < size {
            let Some(task) = self.next_task()? else { break };
            tasks.push(task);
        }
        Ok(tasks)
    }

    fn next_task(&mut self) -> Result<Option<Task>> {
        let Some((mut candidates, reference)) = self.rows.next().transpose()? else { return Ok(None) };
        if matches!(self.write, Write::Best | Write::Preferences) {
            // Rows of one prompt, as `generate` writes several completions of it.
            let more = |row: &align_data::Result<(Candidates, Option<String>)>| {
                matches!(row, Ok((more, its)) if more.prompt == candidates.prompt
                    && more.template == candidates.template && *its == reference)
            };
            let mut answers = Vec::new();
            while let Some(row) = self.rows.next_if(more) {
                answers.extend(row?.0.completions);
            }
            candidates.completions.extend(answers);
        }
        self.check(&candidates)?;
        Ok(Some(Task { candidates, reference }))
    }

    fn check(&self, candidates: &Candidates) -> Result<()> {
        let (count, origin) = (candidates.completions.len(), &candidates.origin);
        let problem = match self.write {
            Write::Compare if count != 2 => {
                format!("`--write compare` compares two answers, and the row has {count}")
            }
            Write::Preferences if count < 2 => {
                "`--write preferences` needs at least two answers to a prompt, and there is \
                                                one; rows of one prompt must follow each other"
                    .to_owned()
            }
            _ => return Ok(()),
        };
        Err(Error::Inputs(format!("{origin}: {problem}")))
    }
}

fn named(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
