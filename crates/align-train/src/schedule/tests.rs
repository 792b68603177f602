//! Learning rates against transformers' `get_scheduler` (`fixtures/scripts/golden_optimizers.py`), by the options that a user
//! would give.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::*;
use crate::{Metrics, Strategy, TrainOptions};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    warmup: usize,
    kwargs: Map<String, Value>,
    rates: Vec<f64>,
    /// What evaluations measured, of a plateau; null for NaN.
    #[serde(default)]
    values: Vec<Option<f64>>,
}

fn cases() -> Vec<Case> {
    let golden = include_str!("../../../../fixtures/golden/optimizers/schedules.json");
    serde_json::from_str::<Golden>(golden).unwrap().cases
}

/// The schedule of a run of 10 updates with learning rate 0.5.
fn schedule(case: &Case) -> Schedule {
    let kind = serde_json::from_value(case.name.clone().into()).unwrap();
    let kwargs = Value::Object(case.kwargs.clone()).to_string();
    let options = TrainOptions {
        lr_scheduler_type: kind,
        lr_scheduler_kwargs: (!case.kwargs.is_empty()).then_some(kwargs),
        warmup_steps: (case.warmup > 0).then_some(case.warmup as f64),
        eval_strategy: Strategy::Steps,
        ..TrainOptions::default()
    };
    options.check(0.5).unwrap().schedule(10).unwrap()
}

#[test]
fn every_schedule_is_that_of_transformers() {
    let cases = cases();
    for &kind in LrSchedulerType::ALL {
        assert!(cases.iter().any(|case| case.name == kind.name()), "no case of {kind:?}");
    }
    for case in cases.iter().filter(|case| case.values.is_empty()) {
        let schedule = schedule(case);
        for (step, expected) in case.rates.iter().enumerate() {
            let found = schedule.rate(step);
            let (name, kwargs) = (&case.name, &case.kwargs);
            assert!(
                (found - expected).abs() < 1e-15,
                "{name} {kwargs:?}, step {step}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn a_plateau_is_that_of_torch_and_goes_on_after_it_was_saved() {
    for case in cases().iter().filter(|case| !case.values.is_empty()) {
        let schedule = schedule(case);
        let mut state = PlateauState::new(schedule.learning_rate);
        for (value, expected) in case.values.iter().zip(&case.rates) {
            let mut metrics = Metrics::default();
            metrics.mean("loss", value.unwrap_or(f64::NAN), 1.0);
            state.evaluated(schedule.plateau().unwrap(), &metrics).unwrap();
            let found = state.learning_rate();
            assert!((found - expected).abs() < 1e-15, "{:?}: {found}, not {expected}", case.kwargs);
            state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_metric_that_is_not_measured_is_an_error() {
    let plateaus = cases().into_iter().find(|case| !case.values.is_empty()).unwrap();
    let mut metrics = Metrics::default();
    metrics.mean("accuracy", 0.5, 1.0);
    let schedule = schedule(&plateaus);
    let error = PlateauState::new(0.5).evaluated(schedule.plateau().unwrap(), &metrics).unwrap_err();
    assert!(error.to_string().contains("it measures accuracy"), "{error}");
}
