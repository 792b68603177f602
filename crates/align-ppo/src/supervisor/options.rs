//! Every threshold and every answer, as options.

use std::collections::BTreeMap;

use align_train::Result;
use serde::Serialize;
use serde_json::Value;

use super::{Response, Rule};
use crate::refusal::{no_effect, refuse};

const KL_FACTOR: f64 = 1.5;
const LEARNING_RATE_FACTOR: f64 = 0.3;
const MAX_ROLL_BACKS: usize = 3;

/// When the supervisor steps in, and how: a threshold for each rule, and `on_RULE` with what follows.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Supervisor")]
pub struct SupervisorOptions {
    /// Mean score of a phase's completions [default: 10]
    #[arg(long, value_parser = align_limits::finite(), allow_negative_numbers = true)]
    pub reward_level: Option<f64>,
    /// What follows [default: warn]
    #[arg(long, value_enum)]
    pub on_reward_level: Option<Response>,
    /// Rise of the mean score from the phases before, in standard deviations of their scores [default: 3]
    #[arg(long, value_parser = align_limits::finite())]
    pub reward_jump: Option<f64>,
    /// What follows [default: warn]
    #[arg(long, value_enum)]
    pub on_reward_jump: Option<Response>,
    /// KL from the reference in nats per completion, over supervisor_window phases [default: 10]
    #[arg(long, value_parser = align_limits::finite())]
    pub kl_level: Option<f64>,
    /// What follows [default: raise_kl; without a KL penalty lower_learning_rate]
    #[arg(long, value_enum)]
    pub on_kl_level: Option<Response>,
    /// KL from the reference in a single phase that is never allowed [default: 50]
    #[arg(long, value_parser = align_limits::finite())]
    pub kl_limit: Option<f64>,
    /// What follows [default: roll_back]
    #[arg(long, value_enum)]
    pub on_kl_limit: Option<Response>,
    /// Rise of the KL over supervisor_window phases, in units of its rise over as many before; rises below 1 nat
    /// or a quarter of the KL before do not count [default: 4]
    #[arg(long, value_parser = align_limits::finite())]
    pub kl_acceleration: Option<f64>,
    /// What follows [default: warn]
    #[arg(long, value_enum)]
    pub on_kl_acceleration: Option<Response>,
    /// Entropy per token as a share of that at the start, below which it has collapsed [default: 0.05]
    #[arg(long, value_parser = align_limits::finite())]
    pub entropy_collapse: Option<f64>,
    /// What follows [default: warn]
    #[arg(long, value_enum)]
    pub on_entropy_collapse: Option<Response>,
    /// Share of tokens (of completions where the ratio is theirs) that are clipped [default: 0.5]
    #[arg(long, value_parser = align_limits::finite())]
    pub clip_fraction: Option<f64>,
    /// What follows [default: lower_learning_rate]
    #[arg(long, value_enum)]
    pub on_clip_fraction: Option<Response>,
    /// Loss of the critic [default: 10]
    #[arg(long, value_parser = align_limits::finite())]
    pub value_loss: Option<f64>,
    /// What follows [default: warn]
    #[arg(long, value_enum)]
    pub on_value_loss: Option<Response>,
    /// Distance of the mean importance ratio from 1 [default: 0.5]
    #[arg(long, value_parser = align_limits::finite())]
    pub ratio_drift: Option<f64>,
    /// What follows [default: lower_learning_rate]
    #[arg(long, value_enum)]
    pub on_ratio_drift: Option<Response>,
    /// Factor by which the mean length of completions has grown or shrunk since the start [default: 3]
    #[arg(long, value_parser = align_limits::finite())]
    pub length_change: Option<f64>,
    /// What follows [default: warn]
    #[arg(long, value_enum)]
    pub on_length_change: Option<Response>,
    /// Share of different prompts that get one and the same answer, in phases of four and more [default: 0.5]
    #[arg(long, value_parser = align_limits::finite())]
    pub duplicates: Option<f64>,
    /// What follows [default: roll_back]
    #[arg(long, value_enum)]
    pub on_duplicates: Option<Response>,
    /// Share of completions that are empty or repeat themselves, beyond that of the first phase [default: 0.3]
    #[arg(long, value_parser = align_limits::finite())]
    pub degenerate: Option<f64>,
    /// What follows [default: roll_back]
    #[arg(long, value_enum)]
    pub on_degenerate: Option<Response>,
    /// Correlation of score and length among a phase's completions, over supervisor_window phases [default: 0.75]
    #[arg(long, value_parser = align_limits::finite())]
    pub reward_length_correlation: Option<f64>,
    /// What follows [default: stop]
    #[arg(long, value_enum)]
    pub on_reward_length_correlation: Option<Response>,
    /// What follows a loss, a gradient or a measurement that is not finite [default: roll_back]
    #[arg(long, value_enum)]
    pub on_not_finite: Option<Response>,
    /// Phases over which what fluctuates is averaged, and for which a rule rests once it was answered
    #[arg(long, value_parser = align_limits::count(), default_value_t = 3)]
    pub supervisor_window: usize,
    /// What raise_kl multiplies the KL coefficient by
    #[arg(long, value_parser = align_limits::finite(), default_value_t = KL_FACTOR)]
    pub kl_factor: f64,
    /// What lower_learning_rate multiplies the learning rate by
    #[arg(long, value_parser = align_limits::finite(), default_value_t = LEARNING_RATE_FACTOR)]
    pub learning_rate_factor: f64,
    /// Roll-backs after which the next one stops the run instead
    #[arg(long, value_parser = align_limits::count(), default_value_t = MAX_ROLL_BACKS)]
    pub max_roll_backs: usize,
}

/// The supervision that a method allows: which knobs there are, and which rules have nothing to measure.
#[derive(Clone, Debug, Default)]
pub struct Supervised {
    /// A KL penalty, whose coefficient can be raised.
    pub kl_penalty: bool,
    /// The rules that there is nothing to measure for, and why.
    pub without: BTreeMap<Rule, &'static str>,
}

impl Supervised {
    /// The reason why ratios say nothing where a phase has a single update.
    pub const ONE_UPDATE: &str =
        "with one update a phase it is the policy that sampled which is updated, and every ratio is 1";
}

/// A rule's threshold and answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Threshold {
    pub(super) threshold: f64,
    pub(super) response: Response,
}

/// The checked options of the supervisor.
#[derive(Clone, Debug)]
pub struct SupervisorConfig {
    pub(super) rules: BTreeMap<Rule, Threshold>,
    pub(super) window: usize,
    pub(super) kl_factor: f64,
    pub(super) learning_rate_factor: f64,
    pub(super) max_roll_backs: usize,
}

/// A rule, the names of its options, what was given, and what holds if nothing was.
struct Row {
    rule: Rule,
    names: (&'static str, &'static str),
    given: (Option<f64>, Option<Response>),
    default: (f64, Response),
}

impl SupervisorOptions {
    /// Checks the options against each other and against what there is to watch.
    ///
    /// # Errors
    /// A number out of its range, or an option that would have no effect.
    pub fn check(&self, supervised: &Supervised) -> Result<SupervisorConfig> {
        let mut rules = BTreeMap::new();
        for Row { rule, names, given, default } in self.rows(supervised) {
            let watched =
                Threshold { threshold: given.0.unwrap_or(default.0), response: given.1.unwrap_or(default.1) };
            if !watched.threshold.is_finite() {
                return refuse(names.0, watched.threshold, "must be a number");
            }
            if let Some(reason) = supervised.without.get(&rule) {
                let problem = || format!("has no effect: {reason}; remove it");
                let response = given.1.map(Response::name);
                let threshold = given.0.map(|it| it.to_string());
                threshold.map_or(Ok(()), |value| no_effect(names.0, value, problem()))?;
                response.map_or(Ok(()), |value| no_effect(names.1, value, problem()))?;
                continue;
            }
            if watched.response == Response::Off && given.0.is_some() {
                let problem = format!("has no effect while `{}` is off; remove one of them", names.1);
                return no_effect(names.0, watched.threshold, problem);
            }
            if watched.response == Response::RaiseKl && !supervised.kl_penalty {
                let problem =
                    "the method has no KL penalty that could be raised; give another answer, or a penalty";
                return refuse(names.1, "raise_kl", problem);
            }
            rules.insert(rule, watched);
        }
        self.check_numbers()?;
        self.check_answers(&rules)?;
        Ok(SupervisorConfig {
            rules,
            window: self.supervisor_window,
            kl_factor: self.kl_factor,
            learning_rate_factor: self.learning_rate_factor,
            max_roll_backs: self.max_roll_backs,
        })
    }

    /// The options that were not given, with the values they have then.
    pub fn defaulted(&self, supervised: &Supervised) -> Vec<(&'static str, Value)> {
        let mut defaulted = Vec::new();
        for Row { rule, names, given, default } in self.rows(supervised) {
            if supervised.without.contains_key(&rule) {
                continue;
            }
            if given.0.is_none() && rule != Rule::NotFinite && given.1 != Some(Response::Off) {
                defaulted.push((names.0, default.0.into()));
            }
            if given.1.is_none() {
                defaulted.push((names.1, default.1.name().into()));
            }
        }
        defaulted
    }

    fn check_numbers(&self) -> Result<()> {
        if self.supervisor_window == 0 {
            return refuse("supervisor_window", 0, "must be at least 1");
        }
        if !(self.kl_factor > 1.0 && self.kl_factor.is_finite()) {
            return refuse("kl_factor", self.kl_factor, "must be above 1");
        }
        if !(self.learning_rate_factor > 0.0 && self.learning_rate_factor < 1.0) {
            return refuse("learning_rate_factor", self.learning_rate_factor, "must be between 0 and 1");
        }
        Ok(())
    }

    /// Refuses the size of an answer that no rule gives.
    fn check_answers(&self, rules: &BTreeMap<Rule, Threshold>) -> Result<()> {
        let answers = |response| rules.values().any(|watched| watched.response == response);
        let unused = |name: &str| format!("has no effect: no rule is answered by {name}; remove it");
        if self.kl_factor != KL_FACTOR && !answers(Response::RaiseKl) {
            return no_effect("kl_factor", self.kl_factor, unused("raise_kl"));
        }
        if self.learning_rate_factor != LEARNING_RATE_FACTOR && !answers(Response::LowerLearningRate) {
            return no_effect(
                "learning_rate_factor",
                self.learning_rate_factor,
                unused("lower_learning_rate"),
            );
        }
        if self.max_roll_backs != MAX_ROLL_BACKS && !answers(Response::RollBack) {
            return no_effect("max_roll_backs", self.max_roll_backs, unused("roll_back"));
        }
        Ok(())
    }

    fn rows(&self, supervised: &Supervised) -> Vec<Row> {
        use Response::{LowerLearningRate, RaiseKl, RollBack, Stop, Warn};
        let far = if supervised.kl_penalty { RaiseKl } else { LowerLearningRate };
        macro_rules! row {
            ($rule:ident, $threshold:ident, $on:ident, $default:expr) => {
                Row {
                    rule: Rule::$rule,
                    names: (stringify!($threshold), stringify!($on)),
                    given: (self.$threshold, self.$on),
                    default: $default,
                }
            };
        }
        vec![
            row!(RewardLevel, reward_level, on_reward_level, (10.0, Warn)),
            row!(RewardJump, reward_jump, on_reward_jump, (3.0, Warn)),
            row!(KlLevel, kl_level, on_kl_level, (10.0, far)),
            row!(KlLimit, kl_limit, on_kl_limit, (50.0, RollBack)),
            row!(KlAcceleration, kl_acceleration, on_kl_acceleration, (4.0, Warn)),
            row!(EntropyCollapse, entropy_collapse, on_entropy_collapse, (0.05, Warn)),
            row!(ClipFraction, clip_fraction, on_clip_fraction, (0.5, LowerLearningRate)),
            row!(ValueLoss, value_loss, on_value_loss, (10.0, Warn)),
            row!(RatioDrift, ratio_drift, on_ratio_drift, (0.5, LowerLearningRate)),
            row!(LengthChange, length_change, on_length_change, (3.0, Warn)),
            row!(Duplicates, duplicates, on_duplicates, (0.5, RollBack)),
            row!(Degenerate, degenerate, on_degenerate, (0.3, RollBack)),
            row!(
                RewardLengthCorrelation,
                reward_length_correlation,
                on_reward_length_correlation,
                (0.75, Stop)
            ),
            Row {
                rule: Rule::NotFinite,
                names: ("on_not_finite", "on_not_finite"),
                given: (None, self.on_not_finite),
                default: (0.0, RollBack),
            },
        ]
    }
}
