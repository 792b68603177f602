//! A supervisor over an on-policy run: rules over metrics and samples that end in actions.
//!
//! What the tutorials call `monitor_ppo_health`, made to act: after every rollout phase it looks at the reward, the KL,
//! the updates and the texts, and says what to do, from a warning to the end of the run. It is pure: it sees numbers
//! and texts and returns [`Alarm`]s; the loop carries them out and logs them. What it measures are signs and not
//! proofs: a run without alarms may still learn the wrong thing, so read the samples.

mod history;
mod options;
mod rule;
mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use align_train::{Error, Metrics, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use options::{Supervised, SupervisorConfig, SupervisorOptions};
pub use rule::{Response, Rule};

use crate::{Action, Alarm, Sample, Watch};
use history::{History, Phase};
use options::Threshold;

/// The supervisor, which watches a run by the rules of its options.
#[doc(alias = "monitor_ppo_health")]
#[derive(Clone, Debug)]
pub struct Supervisor {
    config: SupervisorConfig,
    state: State,
}

/// What it has seen and done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    history: History,
    /// The phase up to which a rule that was answered rests.
    resting: BTreeMap<Rule, usize>,
    roll_backs: usize,
}

/// A rule that was broken: by what value (none if it is no number), and what that means.
struct Broken {
    rule: Rule,
    value: Option<f64>,
    meaning: String,
}

impl Supervisor {
    /// A supervisor at the start of a run.
    pub fn new(config: SupervisorConfig) -> Self {
        Self { config, state: State::default() }
    }

    /// The alarms for what was broken: what is to be done in the order in which it has to be done, then warnings. A
    /// stop stands alone; an action stands only once, whatever number of rules ask for it.
    fn answer(&mut self, phase: usize, broken: Vec<Broken>) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = Vec::new();
        for broken in broken {
            let Some(&watched) = self.config.rules.get(&broken.rule) else { continue };
            let Some(action) = self.action(phase, broken.rule, watched.response) else { continue };
            self.state.resting.insert(broken.rule, phase + self.config.window);
            let taken = alarms.iter().any(|alarm| alarm.action == action);
            alarms.push(Alarm {
                action: if taken { Action::Warn } else { action },
                rule: broken.rule.name().to_owned(),
                reason: broken.reason(watched),
            });
        }
        if alarms.iter().any(|alarm| alarm.action == Action::Stop) {
            alarms.retain(|alarm| matches!(alarm.action, Action::Stop | Action::Warn));
        }
        alarms.sort_by_key(|alarm| match alarm.action {
            Action::Stop => 0,
            Action::RollBack => 1,
            Action::LowerLearningRate { .. } => 2,
            Action::RaiseKl { .. } => 3,
            Action::Warn => 4,
        });
        self.state.roll_backs += usize::from(alarms.iter().any(|alarm| alarm.action == Action::RollBack));
        alarms
    }

    /// What follows from a broken rule; none where it rests.
    fn action(&self, phase: usize, rule: Rule, response: Response) -> Option<Action> {
        let action = match response {
            Response::Off => return None,
            Response::Warn => Action::Warn,
            Response::RaiseKl => Action::RaiseKl { factor: self.config.kl_factor },
            Response::LowerLearningRate => {
                Action::LowerLearningRate { factor: self.config.learning_rate_factor }
            }
            Response::RollBack if self.state.roll_backs >= self.config.max_roll_backs => Action::Stop,
            Response::RollBack => Action::RollBack,
            Response::Stop => Action::Stop,
        };
        // What was done by halves needs phases to show; what was taken back must not come again.
        let is_gentle = !matches!(action, Action::RollBack | Action::Stop);
        let rests = self.state.resting.get(&rule).is_some_and(|&until| phase <= until);
        (!(is_gentle && rests)).then_some(action)
    }
}

impl Watch for Supervisor {
    fn observe(&mut self, phase: usize, metrics: &Metrics, samples: &[Sample]) -> Vec<Alarm> {
        let seen = Phase::of(metrics, samples);
        let mut broken = Vec::new();
        for rule in Rule::ALL {
            let Some(watched) = self.config.rules.get(&rule) else { continue };
            let Some(value) = self.state.history.measure(rule, &seen, self.config.window) else { continue };
            if rule.is_broken_by(value, watched.threshold) {
                let value = value.is_finite().then_some(value);
                broken.push(Broken { rule, value, meaning: rule.meaning().to_owned() });
            }
        }
        self.state.history.push(seen, self.config.window);
        self.answer(phase, broken)
    }

    fn not_finite(&mut self, phase: usize, message: &str) -> Vec<Alarm> {
        self.answer(phase, vec![Broken { rule: Rule::NotFinite, value: None, meaning: message.to_owned() }])
    }

    fn may_roll_back(&self) -> bool {
        self.config.max_roll_backs > 0
            && self.config.rules.values().any(|watched| watched.response == Response::RollBack)
    }

    fn rolled_back(&mut self) {
        self.state.history.forget_recent();
    }

    fn state(&self) -> Value {
        serde_json::to_value(&self.state).expect("numbers under names are JSON")
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        self.state = serde_json::from_value(state.clone()).map_err(Error::stage)?;
        Ok(())
    }
}

impl Broken {
    fn reason(&self, watched: Threshold) -> String {
        let Self { rule, value, meaning } = self;
        match value {
            _ if *rule == Rule::NotFinite => meaning.clone(),
            None => format!("not a number, threshold {}: {meaning}", watched.threshold),
            Some(value) => format!("{value:.3}, threshold {}: {meaning}", watched.threshold),
        }
    }
}
