//! `metrics.jsonl`: the log history, one entry per line, complete after every entry.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::output_dir::METRICS;
use crate::{Error, LogEntry, Result};

pub(super) struct Jsonl {
    path: PathBuf,
    file: File,
}

impl Jsonl {
    /// Starts the file with `history`: on resume, entries from beyond the checkpoint are gone, so that
    /// none is there twice.
    pub(super) fn open(dir: &Path, history: &[LogEntry]) -> Result<Self> {
        let path = dir.join(METRICS);
        let file = File::create(&path).map_err(Error::io(&path))?;
        let mut jsonl = Self { path, file };
        history.iter().try_for_each(|entry| jsonl.append(entry))?;
        Ok(jsonl)
    }

    pub(super) fn append(&mut self, entry: &LogEntry) -> Result<()> {
        let mut line = serde_json::to_vec(entry).map_err(Error::stage)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io(&self.path))
    }
}
