//! `report.json` of an on-policy run: what changed on held-out prompts, how it went, and what it cost.

use align_stage::{ChangedAnswer, JudgedChanges, RunFigures};
use align_stats::{WinRate, ci95_of_several, hit};
use align_train::TrainerState;
use serde::Serialize;
use serde_json::Value;

use crate::scoring::moments;
use crate::{Alarm, HeldOutLook, Sampled};

/// How many changed answers are shown.
const SHOWN: usize = 3;

/// The win rate against the starting model: how often an answer is better than that model's to the same prompt,
/// each answer beside each of the other's.
#[derive(Clone, Debug, Serialize)]
pub struct MeasuredWinRate {
    /// The measure: the name of a judge that training knows nothing of, or `score` where there is none.
    pub measure: String,
    /// The rate and its interval; ties count half.
    #[serde(flatten)]
    pub rate: WinRate,
    /// Mean of the measure before training.
    pub mean_before: f64,
    /// Mean of the measure after training.
    pub mean_after: f64,
}

/// A logged value and the update after which it was logged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Updates made.
    pub step: u64,
    /// The value.
    pub value: f64,
}

/// An action of the supervisor.
#[derive(Clone, Debug, Serialize)]
pub struct SupervisorAction {
    /// The phase, from 0.
    pub phase: usize,
    /// The action and its reason.
    #[serde(flatten)]
    pub alarm: Alarm,
}

/// The report of a finished run, as a script reads it. What was measured on held-out prompts is absent where there
/// were none.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The figures that every run has.
    #[serde(flatten)]
    pub run: RunFigures,
    /// `ppo`, `grpo`, …
    pub method: &'static str,
    /// Held-out prompts.
    pub held_out_prompts: usize,
    /// The sampling of the held-out answers, before training and after.
    pub held_out_sampling: Option<Sampled>,
    /// Mean held-out score before training.
    pub score_before: Option<f64>,
    /// Mean held-out score after training.
    pub score_after: Option<f64>,
    /// Deviation of the held-out scores before training: what the rise is measured in.
    pub score_std_before: Option<f64>,
    /// The win rate of the trained model against the model it started from.
    pub win_rate: Option<MeasuredWinRate>,
    /// KL from the reference in nats per held-out completion, after training.
    pub kl: Option<f64>,
    /// Its 95 % interval, by bootstrap over the held-out prompts.
    pub kl_ci95: Option<[f64; 2]>,
    /// The largest `objective/kl` in the log.
    pub kl_max: Option<f64>,
    /// `objective/kl` as logged.
    pub kl_over_time: Vec<Point>,
    /// `objective/scores` as logged.
    pub scores_over_time: Vec<Point>,
    /// The supervisor's actions, in order.
    pub supervisor_actions: Vec<SupervisorAction>,
    /// Held-out prompts that are answered otherwise than before.
    pub prompts_changed: usize,
    /// A judge's verdict on the changed answers, where a judge was named: on the first answer to each prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_judged: Option<JudgedChanges>,
    /// The first few of those.
    pub samples: Vec<ChangedAnswer>,
}

impl Report {
    /// A report of how the run went, and how held-out prompts were answered before and after. `seed` is of the interval.
    pub fn new(
        run: RunFigures,
        method: &'static str,
        looks: Option<&(HeldOutLook, HeldOutLook)>,
        alarms: &[(usize, Alarm)],
        state: &TrainerState,
        seed: u64,
    ) -> Self {
        let before = looks.map(|(before, _)| moments(&before.scores));
        let after = looks.map(|(_, after)| moments(&after.scores));
        let mut samples =
            looks.map_or_else(Vec::new, |(before, after)| ChangedAnswer::of(&before.texts, &after.texts));
        let prompts_changed = samples.len();
        samples.truncate(SHOWN);
        let kl_over_time = logged(state, "objective/kl");
        let action =
            |(phase, alarm): &(usize, Alarm)| SupervisorAction { phase: *phase, alarm: alarm.clone() };
        Self {
            run,
            method,
            held_out_prompts: looks.map_or(0, |(before, _)| before.sampled.prompts),
            held_out_sampling: looks.map(|(before, _)| before.sampled.clone()),
            score_before: before.map(|(mean, ..)| mean),
            score_after: after.map(|(mean, ..)| mean),
            score_std_before: before.map(|(_, std, _)| std),
            win_rate: looks.and_then(|(before, after)| MeasuredWinRate::of(before, after, seed)),
            kl: looks.and_then(|(_, after)| after.kl.as_deref()).map(|kl| moments(kl).0),
            kl_ci95: looks.and_then(|(_, after)| kl_ci95(after, seed)),
            kl_max: kl_over_time.iter().map(|point| point.value).reduce(f64::max),
            kl_over_time,
            scores_over_time: logged(state, "objective/scores"),
            supervisor_actions: alarms.iter().map(action).collect(),
            prompts_changed,
            changes_judged: looks.and_then(|(before, after)| judged_changes(before, after)),
            samples,
        }
    }
}

/// What the judge says of first answers that changed.
fn judged_changes(before: &HeldOutLook, after: &HeldOutLook) -> Option<JudgedChanges> {
    let first = |look: &HeldOutLook, judged: &[f64]| -> Vec<f64> {
        judged.iter().step_by(look.sampled.num_generations).copied().collect()
    };
    let ((name, old), (_, new)) = before.judged.as_ref().zip(after.judged.as_ref())?;
    let (old, new) = (first(before, old), first(after, new));
    Some(JudgedChanges::of(name, (&before.texts, &old), (&after.texts, &new)))
}

/// The interval of the mean KL. Prompts are drawn with all their answers, which are alike.
fn kl_ci95(look: &HeldOutLook, seed: u64) -> Option<[f64; 2]> {
    let prompts = look.kl.as_deref()?.chunks(look.sampled.num_generations);
    let prompts: Vec<(f64, f64)> = prompts.map(|kl| (kl.iter().sum(), kl.len() as f64)).collect();
    ci95_of_several(&prompts, seed)
}

impl MeasuredWinRate {
    fn of(before: &HeldOutLook, after: &HeldOutLook, seed: u64) -> Option<Self> {
        let (measure, old, new) = match (&before.judged, &after.judged) {
            (Some((name, old)), Some((_, new))) => (name.as_str(), old, new),
            _ => ("score", &before.scores, &after.scores),
        };
        let answers = before.sampled.num_generations;
        let against_each = |(new, old): (&[f64], &[f64])| -> Vec<f64> {
            let margins = new.iter().flat_map(|new| old.iter().map(move |old| new - old));
            // What was not scored is neither a win nor a loss.
            margins.filter(|margin| !margin.is_nan()).map(hit).collect()
        };
        let preferences: Vec<Vec<f64>> =
            new.chunks(answers).zip(old.chunks(answers)).map(against_each).collect();
        let (mean_before, mean_after) = (moments(old).0, moments(new).0);
        let rate = WinRate::of_prompts(&preferences, seed)?;
        Some(Self { measure: measure.to_owned(), rate, mean_before, mean_after })
    }
}

/// The values of a metric over the log.
fn logged(state: &TrainerState, name: &str) -> Vec<Point> {
    let point = |entry: &serde_json::Map<String, Value>| {
        Some(Point { step: entry.get("step")?.as_u64()?, value: entry.get(name)?.as_f64()? })
    };
    state.log_history.iter().filter_map(point).collect()
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.run)?;
        let prompts = self.held_out_prompts;
        if let Some(Sampled { num_generations, temperature, max_new_tokens, seed, .. }) =
            self.held_out_sampling
        {
            let answers = if num_generations == 1 { "answer" } else { "answers" };
            writeln!(
                f,
                "held-out              {prompts} prompts, {num_generations} {answers} to each at temperature \
                 {temperature}, at most {max_new_tokens} tokens, seed {seed}"
            )?;
        }
        if let (Some(before), Some(after), Some(std)) =
            (self.score_before, self.score_after, self.score_std_before)
        {
            let rise = (after - before) / std.max(f64::MIN_POSITIVE);
            writeln!(f, "mean score            {before:.3} -> {after:.3} ({rise:+.2} deviations)")?;
        }
        if let Some(MeasuredWinRate { measure, rate, mean_before, mean_after }) = &self.win_rate {
            let [low, high] = rate.ci95.map(|end| 100.0 * end);
            let percent = 100.0 * rate.win_rate;
            writeln!(
                f,
                "win rate              {percent:.1} % [{low:.1}, {high:.1}] against the start, by {measure}"
            )?;
            writeln!(f, "{:<22}{mean_before:.3} -> {mean_after:.3}", format!("mean {measure}"))?;
        }
        if let Some(kl) = self.kl {
            let interval =
                self.kl_ci95.map(|[low, high]| format!(" [{low:.2}, {high:.2}]")).unwrap_or_default();
            write!(f, "KL from reference     {kl:.2}{interval} nats per completion")?;
            match self.kl_max {
                Some(most) => writeln!(f, ", at most {most:.2} in training")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "supervisor            {} actions", self.supervisor_actions.len())?;
        for SupervisorAction { phase, alarm } in &self.supervisor_actions {
            writeln!(f, "  phase {phase}: {} because of {}: {}", alarm.action, alarm.rule, alarm.reason)?;
        }
        if prompts > 0 {
            let changed = self.prompts_changed;
            write!(f, "\n{changed} of {prompts} held-out prompts are answered otherwise than before")?;
            match &self.changes_judged {
                Some(judged) => writeln!(f, " ({judged}):")?,
                None => writeln!(f, ":")?,
            }
        }
        self.samples.iter().try_for_each(|sample| write!(f, "\n{sample}"))
    }
}
