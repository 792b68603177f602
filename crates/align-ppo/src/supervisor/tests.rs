//! The rules on made-up series: each is broken by the sign it is about, and quiet runs break none.

use std::collections::BTreeMap;

use align_train::Metrics;

use super::{Response, Rule, Supervised, Supervisor, SupervisorOptions};
use crate::{Action, Alarm, Sample, Watch as _};

const WHOLE: Supervised = Supervised { kl_penalty: true, without: BTreeMap::new() };

fn supervisor(options: &SupervisorOptions) -> Supervisor {
    Supervisor::new(options.check(&WHOLE).unwrap())
}

fn defaults() -> SupervisorOptions {
    SupervisorOptions {
        supervisor_window: 3,
        kl_factor: 1.5,
        learning_rate_factor: 0.3,
        max_roll_backs: 3,
        ..SupervisorOptions::default()
    }
}

/// A run's phase: metrics by name, and samples.
struct Made {
    metrics: Metrics,
    samples: Vec<Sample>,
}

/// A phase of a healthy run: rising scores, a slow KL, answers of their own, length without a meaning.
fn healthy(phase: usize) -> Made {
    let step = phase as f64;
    let mut metrics = Metrics::default();
    for (name, value) in [
        ("objective/kl", 0.3 * step),
        ("policy/entropy_avg", 1.5 - 0.05 * step),
        ("policy/clipfrac_avg", 0.12),
        ("loss/value_avg", 0.4),
        ("val/ratio", 1.01),
    ] {
        metrics.mean(name, value, 1.0);
    }
    let sample = |i: usize| Sample {
        phase,
        step: phase,
        origin: format!("prompts.jsonl:{i}"),
        prompt: format!("What is {i} plus {phase}?"),
        completion: format!("{i} plus {phase} is {}, of course.", i + phase),
        score: Some(0.1 * step + if i.is_multiple_of(3) { 0.8 } else { -0.4 }),
        tokens: 10 + (i * 5) % 7,
        finished: true,
    };
    Made { metrics, samples: (0..16).map(sample).collect() }
}

fn set(made: &mut Made, name: &str, value: f64) {
    let mut metrics = Metrics::default();
    metrics.mean(name, value, 1.0);
    let others: Vec<(String, f64)> =
        made.metrics.values().filter(|(other, _)| *other != name).map(|(n, v)| (n.to_owned(), v)).collect();
    others.iter().for_each(|(name, value)| metrics.mean(name, *value, 1.0));
    made.metrics = metrics;
}

/// Adds to a score.
fn raise(sample: &mut Sample, by: f64) {
    sample.score = sample.score.map(|score| score + by);
}

/// The first phase with an alarm, its rule and action, of `phases` phases that `spoil` changes.
fn first_alarm(
    options: &SupervisorOptions,
    phases: usize,
    spoil: impl Fn(usize, &mut Made),
) -> Option<(usize, String, Action)> {
    let mut supervisor = supervisor(options);
    for phase in 1..=phases {
        let mut made = healthy(phase);
        spoil(phase, &mut made);
        if let Some(found) = supervisor.observe(phase, &made.metrics, &made.samples).first() {
            return Some((phase, found.rule.clone(), found.action));
        }
    }
    None
}

fn check(rule: Rule, phase: usize, action: Action, spoil: impl Fn(usize, &mut Made)) {
    assert_eq!(first_alarm(&defaults(), 30, spoil), Some((phase, rule.name().to_owned(), action)));
}

const LOWER: Action = Action::LowerLearningRate { factor: 0.3 };

#[test]
fn a_healthy_run_has_no_alarms() {
    assert_eq!(first_alarm(&defaults(), 25, |_, _| ()), None);
}

#[test]
fn a_run_that_solves_its_task_has_no_alarms() {
    // Scores from 0.2 to 1, all of them right in the end, with little entropy left and short answers.
    let solved = |phase: usize, made: &mut Made| {
        set(made, "policy/entropy_avg", 1.5 * 0.88f64.powi(phase as i32));
        let right = 3 + phase.min(13);
        made.samples.iter_mut().enumerate().for_each(|(i, sample)| {
            sample.score = Some(f64::from(u8::from(i < right)));
            sample.tokens = 8 + i % 3;
        });
    };
    assert_eq!(first_alarm(&defaults(), 20, solved), None);
}

#[test]
fn rewards_that_rise_too_high_or_at_once_are_named() {
    check(Rule::RewardLevel, 5, Action::Warn, |phase, made| {
        made.samples.iter_mut().for_each(|sample| raise(sample, 2.2 * (phase as f64 - 1.0).min(5.0)));
        // Wide enough that it is no jump.
        made.samples.iter_mut().step_by(2).for_each(|sample| raise(sample, 6.0));
    });
    check(Rule::RewardJump, 6, Action::Warn, |phase, made| {
        made.samples.iter_mut().for_each(|sample| raise(sample, if phase < 6 { 0.0 } else { 4.0 }));
    });
}

#[test]
fn the_kl_is_watched_by_level_limit_and_speed() {
    let kl = |of: fn(usize) -> f64| move |phase: usize, made: &mut Made| set(made, "objective/kl", of(phase));
    // Means over three phases: 8, 9, 10, 11.
    check(Rule::KlLevel, 12, Action::RaiseKl { factor: 1.5 }, kl(|phase| phase as f64));
    check(Rule::KlLimit, 4, Action::RollBack, kl(|phase| if phase < 4 { 1.0 } else { 400.0 }));
    check(
        Rule::KlAcceleration,
        11,
        Action::Warn,
        kl(|phase| if phase < 10 { 0.1 * phase as f64 } else { 3.0 }),
    );
}

#[test]
fn updates_that_are_too_large_lower_the_learning_rate() {
    check(Rule::ClipFraction, 4, LOWER, |phase, made| {
        set(made, "policy/clipfrac_avg", 0.2 * phase as f64 - 0.05);
    });
    check(Rule::RatioDrift, 1, LOWER, |_, made| set(made, "val/ratio", 1.9));
    check(Rule::ValueLoss, 2, Action::Warn, |phase, made| {
        set(made, "loss/value_avg", if phase == 1 { 1.0 } else { 40.0 });
    });
    check(Rule::EntropyCollapse, 6, Action::Warn, |phase, made| {
        set(made, "policy/entropy_avg", if phase < 4 { 1.5 } else { 0.01 });
    });
}

#[test]
fn texts_are_watched_for_length_sameness_and_repetition() {
    check(Rule::LengthChange, 7, Action::Warn, |phase, made| {
        made.samples.iter_mut().for_each(|sample| sample.tokens *= if phase < 6 { 1 } else { 5 });
    });
    check(Rule::LengthChange, 8, Action::Warn, |phase, made| {
        made.samples.iter_mut().for_each(|sample| sample.tokens = if phase < 6 { 12 } else { 3 });
    });
    check(Rule::Duplicates, 6, Action::RollBack, |phase, made| {
        let same = made.samples.iter_mut().skip(if phase < 5 { 16 } else { 4 });
        same.for_each(|sample| sample.completion = "I cannot help with that.".to_owned());
    });
    check(Rule::Degenerate, 5, Action::RollBack, |phase, made| {
        let broken = made.samples.iter_mut().take(if phase < 5 { 1 } else { 8 });
        broken.for_each(|sample| sample.completion = "and so and so and so and so and so and so".to_owned());
    });
    check(Rule::RewardLengthCorrelation, 3, Action::Stop, |_, made| {
        made.samples.iter_mut().for_each(|sample| sample.score = Some(0.1 * sample.tokens as f64));
    });
}

#[test]
fn what_is_not_finite_rolls_back_until_it_may_no_more() {
    let mut supervisor = supervisor(&defaults());
    for phase in 1..=4 {
        let alarms = supervisor.not_finite(phase, "step 3: the loss is NaN");
        let expected = if phase <= 3 { Action::RollBack } else { Action::Stop };
        let reason = "step 3: the loss is NaN".to_owned();
        assert_eq!(alarms, [Alarm { action: expected, rule: "not_finite".to_owned(), reason }]);
    }
    check(Rule::NotFinite, 2, Action::RollBack, |phase, made| {
        set(made, "loss/policy_avg", if phase < 2 { 0.1 } else { f64::NAN });
    });
}

#[test]
fn an_answered_rule_rests_for_a_window() {
    let mut supervisor = supervisor(&defaults());
    let answered: Vec<usize> = (1..=9)
        .filter(|&phase| {
            let mut made = healthy(phase);
            set(&mut made, "val/ratio", 3.0);
            !supervisor.observe(phase, &made.metrics, &made.samples).is_empty()
        })
        .collect();
    assert_eq!(answered, [1, 5, 9]);
}

#[test]
fn an_action_is_asked_for_once_and_a_stop_alone() {
    let mut made = healthy(1);
    set(&mut made, "objective/kl", 400.0);
    set(&mut made, "val/ratio", 3.0);
    set(&mut made, "policy/clipfrac_avg", 0.9);
    let actions = |options: &SupervisorOptions| -> Vec<(String, Action)> {
        let alarms = supervisor(options).observe(1, &made.metrics, &made.samples);
        alarms.into_iter().map(|alarm| (alarm.rule, alarm.action)).collect()
    };
    let expected = |alarms: &[(Rule, Action)]| -> Vec<(String, Action)> {
        alarms.iter().map(|(rule, action)| (rule.name().to_owned(), *action)).collect()
    };
    let all = [
        (Rule::KlLimit, Action::RollBack),
        (Rule::ClipFraction, LOWER),
        (Rule::KlLevel, Action::RaiseKl { factor: 1.5 }),
        (Rule::RatioDrift, Action::Warn),
    ];
    assert_eq!(actions(&defaults()), expected(&all));
    let stop = SupervisorOptions { on_kl_level: Some(Response::Stop), ..defaults() };
    assert_eq!(actions(&stop), expected(&[(Rule::KlLevel, Action::Stop), (Rule::RatioDrift, Action::Warn)]));
    let off = SupervisorOptions {
        on_kl_level: Some(Response::Off),
        on_kl_limit: Some(Response::Off),
        on_clip_fraction: Some(Response::Off),
        ..defaults()
    };
    assert_eq!(actions(&off), expected(&[(Rule::RatioDrift, LOWER)]));
}

#[test]
fn a_supervisor_that_was_saved_goes_on_as_if_never_saved() {
    let run = |saved: bool| {
        let mut supervisor = supervisor(&defaults());
        let mut found = Vec::new();
        for phase in 1..=12 {
            if saved && phase == 6 {
                let state = serde_json::from_str(&supervisor.state().to_string()).unwrap();
                supervisor = Supervisor::new(defaults().check(&WHOLE).unwrap());
                supervisor.restore(&state).unwrap();
            }
            let mut made = healthy(phase);
            set(&mut made, "objective/kl", 1.3 * phase as f64);
            made.samples.iter_mut().for_each(|sample| sample.tokens += 3 * phase);
            found.extend(supervisor.observe(phase, &made.metrics, &made.samples));
        }
        found
    };
    assert!(!run(false).is_empty());
    assert_eq!(run(true), run(false));
}

#[test]
fn options_without_effect_are_refused() {
    let refused = |options: SupervisorOptions, supervised: Supervised, expected: &str| {
        let error = options.check(&supervised).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let bare = || Supervised {
        kl_penalty: false,
        without: BTreeMap::from([(Rule::ValueLoss, "the method has no critic")]),
    };
    refused(
        SupervisorOptions { value_loss: Some(3.0), ..defaults() },
        bare(),
        "`value_loss` = 3: has no effect: the method has no critic",
    );
    let raise = SupervisorOptions { on_kl_level: Some(Response::RaiseKl), ..defaults() };
    refused(raise, bare(), "`on_kl_level` = raise_kl: the method has no KL penalty");
    let unmeasured = Supervised { without: BTreeMap::from([(Rule::KlLimit, "no KL")]), ..WHOLE };
    let stop = SupervisorOptions { on_kl_limit: Some(Response::Stop), ..defaults() };
    refused(stop, unmeasured, "`on_kl_limit` = stop: has no effect: no KL; remove it");
    let factor = SupervisorOptions { kl_factor: 2.0, ..defaults() };
    refused(factor, bare(), "`kl_factor` = 2: has no effect: no rule is answered by raise_kl");
    let gentle = SupervisorOptions {
        on_clip_fraction: Some(Response::Warn),
        on_ratio_drift: Some(Response::Warn),
        learning_rate_factor: 0.5,
        ..defaults()
    };
    refused(gentle, WHOLE, "`learning_rate_factor` = 0.5: has no effect: no rule is answered by lower");
    let off = SupervisorOptions { kl_limit: Some(9.0), on_kl_limit: Some(Response::Off), ..defaults() };
    refused(off, WHOLE, "`kl_limit` = 9: has no effect while `on_kl_limit` is off");
    refused(SupervisorOptions { kl_factor: 1.0, ..defaults() }, WHOLE, "`kl_factor` = 1: must be above 1");
    refused(SupervisorOptions { supervisor_window: 0, ..defaults() }, WHOLE, "must be at least 1");
    refused(SupervisorOptions { duplicates: Some(f64::NAN), ..defaults() }, WHOLE, "must be a number");
    let defaulted = defaults().defaulted(&bare());
    assert!(defaulted.contains(&("on_kl_level", "lower_learning_rate".into())));
    assert!(!defaulted.iter().any(|(name, _)| name.contains("value_loss")));
}
