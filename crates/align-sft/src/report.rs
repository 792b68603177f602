//! `report.json` of a run: what changed on held-out demonstrations, and what it cost.

use align_train::{Metrics, Outcome, Run};
use serde::Serialize;

/// Everything a script wants to know of a finished run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which kind of report this is.
    pub kind: &'static str,
    /// Version of its fields.
    pub schema: u32,
    /// How the run ended: `completed` or `stopped_early`.
    pub outcome: &'static str,
    /// Updates made.
    pub steps: usize,
    /// Demonstrations trained on in an epoch.
    pub train_rows: usize,
    /// Mean training loss in nats per labelled token.
    pub train_loss: f64,
    /// Held-out loss before training, in nats per labelled token; none without held-out rows.
    pub loss_before: Option<f64>,
    /// Held-out loss after training.
    pub loss_after: Option<f64>,
    /// Share of held-out labels that are the most likely token, before training.
    pub mean_token_accuracy_before: Option<f64>,
    /// The same after training.
    pub mean_token_accuracy_after: Option<f64>,
    /// Seconds of training, evaluations and checkpoints included.
    pub train_seconds: f64,
    /// Largest memory of the process in MB, where the system tells.
    pub peak_memory_mb: Option<f64>,
}

impl Report {
    /// A report of how the run went, with what was measured on held-out rows before and after.
    pub fn new(
        outcome: &Outcome,
        run: &Run<'_>,
        train_rows: usize,
        held_out: Option<(Metrics, Metrics)>,
        peak_memory_mb: Option<f64>,
    ) -> Self {
        let (before, after) = held_out.unzip();
        let figure = |metrics: &Option<Metrics>, name| metrics.as_ref().and_then(|metrics| metrics.get(name));
        Self {
            kind: "sft",
            schema: 1,
            outcome: outcome.name(),
            steps: run.state().global_step,
            train_rows,
            train_loss: run.train_loss(),
            loss_before: figure(&before, "loss"),
            loss_after: figure(&after, "loss"),
            mean_token_accuracy_before: figure(&before, "mean_token_accuracy"),
            mean_token_accuracy_after: figure(&after, "mean_token_accuracy"),
            train_seconds: run.train_seconds(),
            peak_memory_mb,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { steps, train_rows, train_seconds, outcome, train_loss, .. } = self;
        writeln!(f, "{steps} steps on {train_rows} demonstrations in {train_seconds:.1} s, {outcome}")?;
        writeln!(f, "training loss         {train_loss:.4}")?;
        let lines = [
            ("held-out loss        ", self.loss_before, self.loss_after),
            ("held-out accuracy    ", self.mean_token_accuracy_before, self.mean_token_accuracy_after),
        ];
        for (name, before, after) in lines {
            if let (Some(before), Some(after)) = (before, after) {
                writeln!(f, "{name} {before:.4} -> {after:.4}")?;
            }
        }
        match self.peak_memory_mb {
            None => Ok(()),
            Some(memory) => writeln!(f, "peak memory           {memory:.0} MB"),
        }
    }
}
