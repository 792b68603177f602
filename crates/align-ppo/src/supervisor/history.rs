//! What a phase is reduced to, and what the rules measure on phases.

use align_train::Metrics;
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use super::sample;
use crate::Sample;

/// The numbers of one phase; none where there is nothing to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Phase {
    finite: bool,
    score: Option<f64>,
    score_deviation: Option<f64>,
    kl: Option<f64>,
    entropy: Option<f64>,
    clip_fraction: Option<f64>,
    value_loss: Option<f64>,
    ratio: Option<f64>,
    length: Option<f64>,
    duplicates: Option<f64>,
    degenerate: Option<f64>,
    correlation: Option<f64>,
}

/// The first phases and the latest ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct History {
    start: Vec<Phase>,
    recent: Vec<Phase>,
}

/// A rise of the KL from one window to the next, in nats, that is too small to be about speed.
const SLOW: f64 = 1.0;
/// A rise by this share of what it was is how the KL fluctuates.
const FLUCTUATION: f64 = 0.25;
/// The least speed that another is compared with.
const LEAST_SPEED: f64 = 0.25;

impl Phase {
    pub(super) fn of(metrics: &Metrics, samples: &[Sample]) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| metrics.get(name));
        let scores = sample::scores(samples);
        let finite = metrics.values().all(|(_, value)| value.is_finite())
            && samples.iter().all(|sample| sample.score.is_none_or(f64::is_finite));
        Self {
            finite,
            score: scores.map(|(mean, _)| mean),
            score_deviation: scores.map(|(_, deviation)| deviation),
            kl: first(&["objective/kl"]),
            entropy: first(&["policy/entropy_avg", "entropy"]),
            clip_fraction: first(&["policy/clipfrac_avg", "clip_ratio/region_mean", "cispo_clip_ratio"]),
            value_loss: first(&["loss/value_avg"]),
            ratio: first(&["val/ratio"]),
            length: sample::length(samples),
            duplicates: sample::duplicates(samples),
            degenerate: sample::degenerate(samples),
            correlation: sample::reward_length_correlation(samples),
        }
    }
}

impl History {
    /// What `rule` measures on the phase at hand, which is not in the history yet; none if it cannot say.
    pub(super) fn measure(&self, rule: Rule, now: &Phase, window: usize) -> Option<f64> {
        let mean = |of: fn(&Phase) -> Option<f64>| self.mean(now, window, of).map(|(mean, _)| mean);
        let lasting = |of: fn(&Phase) -> Option<f64>| {
            self.mean(now, window, of).filter(|(_, phases)| *phases == window).map(|(mean, _)| mean)
        };
        match rule {
            Rule::NotFinite => (!now.finite).then_some(f64::NAN),
            Rule::RewardLevel => mean(|phase| phase.score),
            Rule::RewardJump => self.jump(now),
            Rule::KlLevel => mean(|phase| phase.kl),
            Rule::KlLimit => now.kl,
            Rule::KlAcceleration => self.acceleration(now, window),
            Rule::EntropyCollapse => self.since_start(now, window, |phase| phase.entropy),
            Rule::ClipFraction => mean(|phase| phase.clip_fraction),
            Rule::ValueLoss => mean(|phase| phase.value_loss),
            Rule::RatioDrift => mean(|phase| phase.ratio.map(|ratio| (ratio - 1.0).abs())),
            Rule::LengthChange => {
                let share = self.since_start(now, window, |phase| phase.length)?;
                Some(share.max(share.recip()))
            }
            Rule::Duplicates => lasting(|phase| phase.duplicates),
            Rule::Degenerate => Some(now.degenerate? - self.start.first()?.degenerate?),
            Rule::RewardLengthCorrelation => lasting(|phase| phase.correlation),
        }
    }

    /// Keeps a phase; of the latest only as many as are looked at.
    pub(super) fn push(&mut self, phase: Phase, window: usize) {
        if self.start.len() < window {
            self.start.push(phase.clone());
        }
        self.recent.push(phase);
        let surplus = self.recent.len().saturating_sub(3 * window);
        self.recent.drain(..surplus);
    }

    /// The latest phases are no more: the run goes on from an earlier state.
    pub(super) fn forget_recent(&mut self) {
        self.recent.clear();
    }

    /// The mean over the window that ends with the phase at hand, and how many phases have it.
    fn mean(&self, now: &Phase, window: usize, of: impl Fn(&Phase) -> Option<f64>) -> Option<(f64, usize)> {
        let earlier = self.recent.iter().rev().take(window - 1);
        let values: Vec<f64> = earlier.chain([now]).filter_map(of).collect();
        (!values.is_empty()).then(|| (values.iter().sum::<f64>() / values.len() as f64, values.len()))
    }

    /// The window's mean as a share of the mean of the first phases; none before there are more than these.
    fn since_start(&self, now: &Phase, window: usize, of: fn(&Phase) -> Option<f64>) -> Option<f64> {
        if self.start.len() < window {
            return None;
        }
        let start: Vec<f64> = self.start.iter().filter_map(of).collect();
        let start = start.iter().sum::<f64>() / start.len() as f64;
        let (mean, _) = self.mean(now, window, of)?;
        (start > 0.0).then(|| mean / start)
    }

    /// The rise of the mean score from the latest phases, in their standard deviations.
    fn jump(&self, now: &Phase) -> Option<f64> {
        let latest = |of: fn(&Phase) -> Option<f64>| -> Option<f64> {
            let values: Vec<f64> = self.recent.iter().filter_map(of).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let deviation = latest(|phase| phase.score_deviation)?;
        (deviation > 1e-9).then_some((now.score? - latest(|phase| phase.score)?) / deviation)
    }

    /// The rise of the mean KL over the window by its rise over the window before; none of small rises.
    fn acceleration(&self, now: &Phase, window: usize) -> Option<f64> {
        let latest: Vec<f64> = self.recent.iter().chain([now]).rev().filter_map(|phase| phase.kl).collect();
        let mean = |windows: usize| -> Option<f64> {
            let values = latest.get(windows * window..(windows + 1) * window)?;
            Some(values.iter().sum::<f64>() / window as f64)
        };
        let (speed, before) = (mean(0)? - mean(1)?, mean(1)? - mean(2)?);
        let counts = speed > SLOW.max(FLUCTUATION * mean(1)?);
        counts.then(|| speed / before.max(LEAST_SPEED))
    }
}
