//! `report.json` of a run: what changed on held-out demonstrations, and what it cost.

use align_data::Packing;
use align_stage::RunFigures;
use align_train::Metrics;
use serde::Serialize;

/// The report of a finished run, as a script reads it. What was measured on held-out rows is absent where there
/// were none.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The figures that every run has.
    #[serde(flatten)]
    pub run: RunFigures,
    /// How full the bins were, where training rows were packed.
    pub packing: Option<Packing>,
    /// Held-out loss before training, in nats per labelled token.
    pub loss_before: Option<f64>,
    /// Held-out loss after training.
    pub loss_after: Option<f64>,
    /// Share of held-out labels that are the most likely token, before training.
    pub mean_token_accuracy_before: Option<f64>,
    /// Held-out token accuracy after training.
    pub mean_token_accuracy_after: Option<f64>,
}

impl Report {
    /// A report of how the run went, with what was measured on held-out rows before and after.
    pub fn new(run: RunFigures, held_out: Option<(Metrics, Metrics)>) -> Self {
        let (before, after) = held_out.unzip();
        let figure = |metrics: &Option<Metrics>, name| metrics.as_ref().and_then(|metrics| metrics.get(name));
        Self {
            run,
            packing: None,
            loss_before: figure(&before, "loss"),
            loss_after: figure(&after, "loss"),
            mean_token_accuracy_before: figure(&before, "mean_token_accuracy"),
            mean_token_accuracy_after: figure(&after, "mean_token_accuracy"),
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.run)?;
        if let Some(packing) = &self.packing {
            writeln!(f, "packed                {packing}")?;
        }
        let lines = [
            ("held-out loss        ", self.loss_before, self.loss_after),
            ("held-out accuracy    ", self.mean_token_accuracy_before, self.mean_token_accuracy_after),
        ];
        for (name, before, after) in lines {
            if let (Some(before), Some(after)) = (before, after) {
                writeln!(f, "{name} {before:.4} -> {after:.4}")?;
            }
        }
        Ok(())
    }
}
