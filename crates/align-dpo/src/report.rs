//! `report.json` of a run: what changed on held-out rows, and what it cost.

use align_data::KnownAnswers;
use align_stage::{AnswersOnly, ChangedAnswer, JudgedChanges, RunFigures};
use serde::Serialize;

use crate::HeldOutLook;

/// How many changed answers are shown.
const SHOWN: usize = 3;

/// The report of a finished run, as a script reads it. What was measured on held-out rows is absent where there
/// were none.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The figures that every run has.
    #[serde(flatten)]
    pub run: RunFigures,
    /// Held-out rows: pairs, or single answers.
    pub held_out_rows: usize,
    /// Held-out accuracy before training; one half where the policy starts as its own reference.
    pub accuracy_before: Option<f64>,
    /// Held-out accuracy after training.
    pub accuracy_after: Option<f64>,
    /// The accuracies apart by how alike a pair's answers are, where there are twins among them.
    pub twins: Option<Twins>,
    /// The accuracy that words reach without the prompt: the accuracies above are to be read beside it.
    pub answers_only: Option<AnswersOnly>,
    /// Held-out answers that training has word for word, and what looking them up reaches.
    pub known_answers: Option<KnownAnswers>,
    /// Held-out margin of implicit rewards before training.
    pub margin_before: Option<f64>,
    /// Held-out margin of implicit rewards after training.
    pub margin_after: Option<f64>,
    /// KL from the reference in nats per sampled completion, after training.
    pub kl: Option<f64>,
    /// Its 95 % interval: what another choice of prompts and another draw of completions could have given.
    pub kl_ci95: Option<[f64; 2]>,
    /// Held-out prompts whose completions were compared.
    pub prompts_compared: usize,
    /// Prompts among those that are answered otherwise than before.
    pub prompts_changed: usize,
    /// A judge's verdict on the changed answers, where a judge was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_judged: Option<JudgedChanges>,
    /// The first few of the changed ones.
    pub samples: Vec<ChangedAnswer>,
}

/// Accuracies on pairs whose answers are twins, of which only the prompt says the better one, and on the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Twins {
    /// Where few words differ.
    pub twins: GroupAccuracy,
    /// Elsewhere.
    pub others: GroupAccuracy,
}

/// The accuracy on some of the held-out pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GroupAccuracy {
    /// Pairs.
    pub pairs: usize,
    /// Before training.
    pub accuracy_before: f64,
    /// After training.
    pub accuracy_after: f64,
}

impl Twins {
    /// Of pairs of which it is known whether they are twins.
    fn of(known: &[bool], before: Option<[f64; 2]>, after: Option<[f64; 2]>) -> Option<Self> {
        let ([twins_before, others_before], [twins_after, others_after]) = before.zip(after)?;
        let group = |kind, accuracy_before, accuracy_after| GroupAccuracy {
            pairs: known.iter().filter(|twins| **twins == kind).count(),
            accuracy_before,
            accuracy_after,
        };
        Some(Self {
            twins: group(true, twins_before, twins_after),
            others: group(false, others_before, others_after),
        })
    }
}

impl Report {
    /// A report of how the run went, how held-out rows looked before and after (`twins` says which of them are such), what
    /// their answers give away without the prompt, and what a judge says of the answers that changed.
    pub fn new(
        run: RunFigures,
        held_out: Option<(HeldOutLook, HeldOutLook)>,
        twins: &[bool],
        (answers_only, known_answers): (Option<AnswersOnly>, Option<KnownAnswers>),
        changes_judged: Option<JudgedChanges>,
    ) -> Self {
        let (before, after) = held_out.unzip();
        let compared = before.as_ref().map_or(0, |look| look.texts.len());
        let changed =
            |(before, after): (&HeldOutLook, &HeldOutLook)| ChangedAnswer::of(&before.texts, &after.texts);
        let mut samples = before.as_ref().zip(after.as_ref()).map(changed).unwrap_or_default();
        let prompts_changed = samples.len();
        samples.truncate(SHOWN);
        Self {
            run,
            held_out_rows: before.as_ref().map_or(0, |look| look.rows),
            accuracy_before: before.as_ref().map(|look| look.accuracy),
            accuracy_after: after.as_ref().map(|look| look.accuracy),
            twins: Twins::of(
                twins,
                before.as_ref().and_then(|look| look.twins),
                after.as_ref().and_then(|look| look.twins),
            ),
            answers_only,
            known_answers,
            margin_before: before.as_ref().and_then(|look| look.margin),
            margin_after: after.as_ref().and_then(|look| look.margin),
            kl: after.as_ref().and_then(|look| look.kl),
            kl_ci95: after.as_ref().and_then(|look| look.kl_ci95),
            prompts_compared: compared,
            prompts_changed,
            changes_judged,
            samples,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.run)?;
        if let (Some(before), Some(after)) = (self.accuracy_before, self.accuracy_after) {
            writeln!(
                f,
                "preference accuracy   {before:.3} -> {after:.3} on {} held-out rows",
                self.held_out_rows
            )?;
        }
        let groups = self.twins.map(|it| [("few words differ ", it.twins), ("all other pairs  ", it.others)]);
        for (name, GroupAccuracy { pairs, accuracy_before, accuracy_after }) in groups.into_iter().flatten() {
            writeln!(f, "  {name}   {accuracy_before:.3} -> {accuracy_after:.3} of {pairs} pairs")?;
        }
        if let Some(AnswersOnly { accuracy, examples }) = self.answers_only {
            writeln!(
                f,
                "  answers alone       {accuracy:.3} by a bag of words that sees no prompt, from {examples} of training"
            )?;
        }
        if let (Some(before), Some(after)) = (self.margin_before, self.margin_after) {
            writeln!(f, "reward margin         {before:.3} -> {after:.3}")?;
        }
        if let Some(kl) = self.kl {
            let interval =
                self.kl_ci95.map(|[low, high]| format!(" [{low:.2}, {high:.2}]")).unwrap_or_default();
            writeln!(f, "KL from reference     {kl:.2}{interval} nats per completion")?;
        }
        if self.prompts_compared > 0 {
            let (changed, compared) = (self.prompts_changed, self.prompts_compared);
            write!(f, "\n{changed} of {compared} held-out prompts are answered otherwise than before")?;
            match &self.changes_judged {
                Some(judged) => writeln!(f, " ({judged}):")?,
                None => writeln!(f, ":")?,
            }
        }
        self.samples.iter().try_for_each(|sample| write!(f, "\n{sample}"))
    }
}
