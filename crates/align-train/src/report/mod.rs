//! Where log entries go: `metrics.jsonl`, TensorBoard, and the terminal.

mod jsonl;
mod progress_bar;
mod tensorboard;

use std::path::PathBuf;

use align_files::OutputDir;

use crate::{LogEntry, Result};
use jsonl::{Jsonl, METRICS};
use progress_bar::Bar;
use tensorboard::TensorBoard;

pub(crate) struct Reports {
    jsonl: Jsonl,
    tensorboard: Option<TensorBoard>,
    bar: Bar,
}

impl Reports {
    /// Says which files will be written, and where TensorBoard's will be, if there is to be one.
    pub(crate) fn claim(output: &OutputDir, tensorboard: bool) -> Result<Option<PathBuf>> {
        output.claim([METRICS])?;
        tensorboard.then(|| TensorBoard::claim(output)).transpose()
    }

    /// Opens all writers. `history` is what has been logged before a resumed run's checkpoint.
    pub(crate) fn open(
        output: &OutputDir,
        events: Option<PathBuf>,
        history: &[LogEntry],
        step: usize,
    ) -> Result<Self> {
        Ok(Self {
            jsonl: Jsonl::open(output.path(), history)?,
            tensorboard: events.map(|path| TensorBoard::open(path, step)).transpose()?,
            bar: Bar::hidden(),
        })
    }

    /// Shows the bar of a run that stands at `step` of `total`.
    pub(crate) fn show_bar(&mut self, step: usize, total: usize) {
        self.bar = Bar::new(step, total);
    }

    /// Moves the bar after an update.
    pub(crate) fn step(&mut self, step: usize, seconds: f64, update: &crate::Update) {
        self.bar.step(step, seconds, update);
    }

    /// Writes a log entry everywhere.
    pub(crate) fn log(&mut self, step: usize, entry: &LogEntry) -> Result<()> {
        self.jsonl.append(entry)?;
        if let Some(tensorboard) = &mut self.tensorboard {
            tensorboard.scalars(step, entry)?;
        }
        self.bar.log(step, entry);
        Ok(())
    }

    /// Takes the bar away, and makes what was logged durable.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.bar.finish();
        self.jsonl.sync()
    }
}
