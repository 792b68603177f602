//! `metrics.jsonl`: the log history, one entry per line, complete after every entry.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, LogEntry, Result};

pub(super) const METRICS: &str = "metrics.jsonl";

pub(super) struct Jsonl {
    path: PathBuf,
    file: File,
}

impl Jsonl {
    /// Starts the file with `history`: on resume, entries from beyond the checkpoint are gone, so that
    /// none is there twice.
    pub(super) fn open(dir: &Path, history: &[LogEntry]) -> Result<Self> {
        let path = dir.join(METRICS);
        align_files::write_with(&path, |file| {
            history.iter().try_for_each(|entry| {
                serde_json::to_writer(&mut *file, entry)?;
                file.write_all(b"\n")
            })
        })?;
        let file = File::options().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file })
    }

    pub(super) fn append(&mut self, entry: &LogEntry) -> Result<()> {
        let mut line = serde_json::to_vec(entry).map_err(Error::stage)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io(&self.path))
    }

    /// Makes what was logged durable.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(Error::io(&self.path))
    }
}
