//! What every finished run has to say.

use align_data::Findings;
use align_train::{Outcome, Run};
use serde::Serialize;

/// The part of `report.json` that all stages have; a stage flattens it into its own report.
#[derive(Clone, Debug, Serialize)]
pub struct RunFigures {
    /// The kind of report: the stage's name.
    pub kind: &'static str,
    /// Version of its fields.
    pub schema: u32,
    /// The outcome of the run: `completed` or `stopped_early`.
    pub outcome: &'static str,
    /// Ranks that trained together.
    pub ranks: usize,
    /// Updates made.
    pub steps: usize,
    /// Rows trained on in an epoch.
    pub train_rows: usize,
    /// Mean training loss.
    pub train_loss: f64,
    /// Seconds of training, evaluations and checkpoints included.
    pub train_seconds: f64,
    /// Largest memory of the process in MB, where the system tells.
    pub peak_memory_mb: Option<f64>,
    /// What was found in the rows at the start: as what they were read, which were left out, what is odd about them.
    pub data: Option<Findings>,
}

impl RunFigures {
    /// The figures of a run that has ended.
    pub fn new(
        kind: &'static str,
        outcome: &Outcome,
        run: &Run<'_>,
        train_rows: usize,
        peak_memory_mb: Option<f64>,
        data: Option<Findings>,
    ) -> Self {
        Self {
            kind,
            schema: 1,
            outcome: outcome.name(),
            ranks: run.config().ranks.size(),
            steps: run.state().global_step,
            train_rows,
            train_loss: run.train_loss(),
            train_seconds: run.train_seconds(),
            peak_memory_mb,
            data,
        }
    }
}

impl std::fmt::Display for RunFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ranks, steps, train_rows, train_seconds, outcome, train_loss, .. } = self;
        let on = if *ranks == 1 { String::new() } else { format!(" on {ranks} ranks") };
        writeln!(f, "{steps} steps on {train_rows} rows in {train_seconds:.1} s{on}, {outcome}\n")?;
        writeln!(f, "training loss         {train_loss:.4}")?;
        match self.peak_memory_mb {
            None => Ok(()),
            Some(memory) => writeln!(f, "peak memory           {memory:.0} MB"),
        }
    }
}
