//! `report.json` of a run: what changed on held-out pairs, and what it cost.

use align_train::{Outcome, Run};
use serde::Serialize;

use crate::Look;

/// A held-out prompt and what was said to it.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The prompt, with its markup.
    pub prompt: String,
    /// The policy's most likely completion before training.
    pub before: String,
    /// And after it.
    pub after: String,
}

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
    /// Pairs trained on in an epoch.
    pub train_pairs: usize,
    /// Held-out pairs.
    pub held_out_pairs: usize,
    /// Held-out accuracy before training; one half where the policy starts as its own reference.
    pub accuracy_before: Option<f64>,
    /// Held-out accuracy after training.
    pub accuracy_after: Option<f64>,
    /// Held-out margin of implicit rewards before training.
    pub margin_before: Option<f64>,
    /// Held-out margin of implicit rewards after training.
    pub margin_after: Option<f64>,
    /// KL from the reference in nats per sampled completion, after training.
    pub kl: Option<f64>,
    /// Mean training loss.
    pub train_loss: f64,
    /// Seconds of training, evaluations and checkpoints included.
    pub train_seconds: f64,
    /// Largest memory of the process in MB, where the system tells.
    pub peak_memory_mb: Option<f64>,
    /// Held-out prompts with the policy's most likely completion before and after.
    pub samples: Vec<Sample>,
}

impl Report {
    /// A report of how the run went, with how held-out pairs looked before and after.
    pub fn new(
        outcome: &Outcome,
        run: &Run<'_>,
        train_pairs: usize,
        held_out: Option<(Look, Look)>,
        peak_memory_mb: Option<f64>,
    ) -> Self {
        let (before, after) = held_out.unzip();
        Self {
            kind: "dpo",
            schema: 1,
            outcome: outcome.name(),
            steps: run.state().global_step,
            train_pairs,
            held_out_pairs: before.as_ref().map_or(0, |look| look.pairs),
            accuracy_before: before.as_ref().map(|look| look.accuracy),
            accuracy_after: after.as_ref().map(|look| look.accuracy),
            margin_before: before.as_ref().map(|look| look.margin),
            margin_after: after.as_ref().map(|look| look.margin),
            kl: after.as_ref().and_then(|look| look.kl),
            train_loss: run.train_loss(),
            train_seconds: run.train_seconds(),
            peak_memory_mb,
            samples: before.zip(after).map(|(before, after)| samples(before, after)).unwrap_or_default(),
        }
    }
}

fn samples(before: Look, after: Look) -> Vec<Sample> {
    let pairs = before.texts.into_iter().zip(after.texts);
    pairs.map(|((prompt, before), (_, after))| Sample { prompt, before, after }).collect()
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{} steps on {} pairs in {:.1} s, {}",
            self.steps, self.train_pairs, self.train_seconds, self.outcome
        )?;
        if let (Some(before), Some(after)) = (self.accuracy_before, self.accuracy_after) {
            writeln!(f, "\nheld-out pairs        {}", self.held_out_pairs)?;
            writeln!(f, "preference accuracy   {before:.3} -> {after:.3}")?;
        }
        if let (Some(before), Some(after)) = (self.margin_before, self.margin_after) {
            writeln!(f, "reward margin         {before:.3} -> {after:.3}")?;
        }
        if let Some(kl) = self.kl {
            writeln!(f, "KL from reference     {kl:.2} nats per completion")?;
        }
        if let Some(memory) = self.peak_memory_mb {
            writeln!(f, "peak memory           {memory:.0} MB")?;
        }
        for Sample { prompt, before, after } in &self.samples {
            writeln!(f, "\n{}\n  before: {}\n  after:  {}", prompt.trim(), before.trim(), after.trim())?;
        }
        Ok(())
    }
}
