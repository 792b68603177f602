//! What every finished run has to say.

use align_data::Findings;
use align_hub::policy::peak_memory_mb;
use align_train::{Outcome, Run};
use serde::Serialize;

use crate::Opening;

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
    /// Megabytes that the first rank has sent to the others for an update, on average; none of one rank.
    pub sent_mb_per_step: Option<f64>,
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
    /// What the memory planner predicted of it, where it did.
    pub predicted_peak_memory_mb: Option<f64>,
    /// What was found in the rows at the start: as what they were read, which were left out, what is odd about them.
    pub data: Option<Findings>,
}

impl RunFigures {
    /// The figures of a run that has ended.
    pub fn new(opening: &Opening<'_>, outcome: &Outcome, run: &Run<'_>, train_rows: usize) -> Self {
        let ranks = &run.config().ranks;
        let behind = run.resumed_from().map_or(0, align_train::Checkpoint::step);
        let updates = run.state().global_step.saturating_sub(behind).max(1);
        let sent = || ranks.sent_bytes() as f64 / 1e6 / updates as f64;
        Self {
            sent_mb_per_step: (!ranks.is_alone()).then(sent),
            kind: opening.place.stage(),
            schema: 1,
            outcome: outcome.name(),
            ranks: ranks.size(),
            steps: run.state().global_step,
            train_rows,
            train_loss: run.train_loss(),
            train_seconds: run.train_seconds(),
            peak_memory_mb: peak_memory_mb(),
            predicted_peak_memory_mb: opening.memory().map(crate::MemoryPlan::megabytes),
            data: opening.findings().cloned(),
        }
    }
}

impl std::fmt::Display for RunFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ranks, steps, train_rows, train_seconds, outcome, train_loss, .. } = self;
        let on = if *ranks == 1 { String::new() } else { format!(" on {ranks} ranks") };
        writeln!(f, "{steps} steps on {train_rows} rows in {train_seconds:.1} s{on}, {outcome}\n")?;
        writeln!(f, "training loss         {train_loss:.4}")?;
        match (self.peak_memory_mb, self.predicted_peak_memory_mb) {
            (None, _) => Ok(()),
            (Some(memory), None) => writeln!(f, "peak memory           {memory:.0} MB"),
            (Some(memory), Some(predicted)) => {
                writeln!(f, "peak memory           {memory:.0} MB (predicted: {predicted:.0} MB)")
            }
        }
    }
}
