//! `report.json` of a run: how far to trust the reward model, and what it cost.

use align_data::KnownAnswers;
use align_stage::{AnswersOnly, RunFigures};
use align_text::printable;
use serde::Serialize;

use crate::{Judged, Quality, RewardNormalization, Twins, accuracy};

/// The report of a finished run, as a script reads it. What was measured on held-out rows is absent where there
/// were none.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The figures that every run has.
    #[serde(flatten)]
    pub run: RunFigures,
    /// Held-out accuracy before training.
    pub accuracy_before: Option<f64>,
    /// The quality of the rewards of held-out rows.
    #[serde(flatten)]
    pub quality: Option<Quality>,
    /// Held-out answers that training has word for word, and what looking them up reaches.
    pub known_answers: Option<KnownAnswers>,
    /// The mean and deviation of rewards on [`Report::normalized_on`].
    pub normalization: RewardNormalization,
    /// [`NORMALIZED_ON`]: a sample of the training rows, so that held-out figures in normalised units are held out. A model's
    /// rewards of what it was trained on lie further apart: those of new answers deviate by somewhat less than 1.
    pub normalized_on: &'static str,
    /// The largest difference between a reward of the trained model and of the one that was saved and read again.
    pub reload_difference: f64,
    /// The sanity check, where it was asked for.
    pub overfit: Option<Overfit>,
}

/// The name of the answers that the reward normalization is measured on.
pub const NORMALIZED_ON: &str = "training";

/// The sanity check: an attempt to learn a few rows by heart, and what became of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Overfit {
    /// Pairs of answers in the rows.
    pub pairs: usize,
    /// Share of their pairs that the model gets right.
    pub accuracy: f64,
    /// The largest share there can be: answers that are the same get the same reward.
    pub attainable: f64,
    /// Whether it was reached, but for one pair in a hundred.
    pub passed: bool,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.run)?;
        if let Some(quality) = &self.quality {
            write!(f, "{}", Printed { quality, before: self.accuracy_before })?;
        }
        let RewardNormalization { mean, std, answers } = self.normalization;
        let kind = self.normalized_on;
        writeln!(f, "normalisation         mean {mean:.3}, deviation {std:.3} on {answers} {kind} answers")?;
        writeln!(f, "saved and read again  rewards differ by {:.1e} at most", self.reload_difference)?;
        self.overfit.map_or(Ok(()), |overfit| writeln!(f, "sanity check          {overfit}"))
    }
}

impl Overfit {
    /// The sanity check's result, from the rewards of the rows that were trained on.
    pub fn of(judged: &[Judged<'_>]) -> Self {
        let (mut pairs, mut attainable) = (0u32, 0.0);
        for row in judged {
            let completions = &row.row.answers.completions;
            for (i, j) in row.pairs() {
                pairs += 1;
                attainable += if completions[i] == completions[j] { 0.5 } else { 1.0 };
            }
        }
        let (accuracy, attainable) = (accuracy(judged), attainable / f64::from(pairs.max(1)));
        Self { pairs: pairs as usize, accuracy, attainable, passed: accuracy >= attainable - 0.01 }
    }
}

impl std::fmt::Display for Overfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pairs, accuracy, attainable, passed } = self;
        let verdict = if *passed { "were learned" } else { "were not learned" };
        write!(f, "the {pairs} pairs trained on {verdict}: accuracy {accuracy:.3} of at most {attainable:.3}")
    }
}

/// The measures as text.
struct Printed<'a> {
    quality: &'a Quality,
    before: Option<f64>,
}

impl std::fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Quality { accuracy, accuracy_ci95: [low, high], baselines, calibration, .. } = self.quality;
        let (rows, pairs) = (self.quality.held_out_rows, self.quality.held_out_pairs);
        let before = self.before.map(|before| format!("{before:.3} -> ")).unwrap_or_default();
        writeln!(f, "accuracy              {before}{accuracy:.3}, 95 % interval {low:.3} to {high:.3}")?;
        writeln!(f, "                      on {pairs} pairs of {rows} held-out rows")?;
        let (longer, shorter, majority) = (baselines.longer, baselines.shorter, baselines.majority);
        writeln!(f, "  longer wins         {longer:.3}\n  shorter wins        {shorter:.3}")?;
        writeln!(f, "  majority in training {majority:.3}")?;
        if let Some(AnswersOnly { accuracy, examples }) = baselines.answers_only {
            writeln!(
                f,
                "  answers alone       {accuracy:.3} by a bag of words that sees no prompt, from {examples} of training"
            )?;
        }
        for (source, of_source) in &self.quality.accuracy_by_source {
            let source = printable(source);
            writeln!(f, "  {source:<19} {:.3} of {} pairs", of_source.accuracy, of_source.pairs)?;
        }
        if let Some(Twins { twins, others }) = self.quality.twins {
            writeln!(f, "  few words differ    {:.3} of {} pairs", twins.accuracy, twins.pairs)?;
            writeln!(f, "  all other pairs     {:.3} of {} pairs", others.accuracy, others.pairs)?;
        }
        let (ece, after) = (calibration.ece, calibration.ece_after_temperature);
        let (brier, temperature) = (calibration.brier, calibration.temperature);
        writeln!(
            f,
            "calibration error     {ece:.3}, {after:.3} at temperature {temperature:.2}; Brier {brier:.3}"
        )?;
        let (usual, p) = (calibration.ece_if_calibrated, calibration.ece_p_value);
        writeln!(f, "  of a calibrated one {usual:.3} on so many pairs; as large as here with p = {p:.3}")?;
        writeln!(f, "  confidence           accuracy    pairs")?;
        for bin in &calibration.reliability {
            writeln!(
                f,
                "  {:.2} to {:.2}: {:.3}  {:.3}   {:>6}",
                bin.from, bin.to, bin.confidence, bin.accuracy, bin.pairs
            )?;
        }
        for (name, rewards) in [
            ("rewards of chosen   ", self.quality.chosen_rewards),
            ("rewards of rejected ", self.quality.rejected_rewards),
        ] {
            let (mean, std, p10, p90) = (rewards.mean, rewards.std, rewards.p10, rewards.p90);
            writeln!(f, "{name}  {mean:.3} ± {std:.3}, tenth to nine tenths {p10:.3} to {p90:.3}")?;
        }
        let correlation = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.3}"));
        let (all, within) = (self.quality.length_correlation, self.quality.length_correlation_in_pairs);
        writeln!(
            f,
            "with length           {} over answers, {} within pairs",
            correlation(all),
            correlation(within)
        )?;
        if !self.quality.failures.is_empty() {
            writeln!(f, "\nmost wrong about:")?;
        }
        for failure in &self.quality.failures {
            let [prompt, chosen, rejected] =
                [&failure.prompt, &failure.chosen, &failure.rejected].map(|text| printable(text.trim()));
            writeln!(f, "\n{}: {prompt}", failure.origin)?;
            writeln!(f, "  chosen   {:+.3}: {chosen}", failure.chosen_reward)?;
            writeln!(f, "  rejected {:+.3}: {rejected}", failure.rejected_reward)?;
        }
        writeln!(f)
    }
}
