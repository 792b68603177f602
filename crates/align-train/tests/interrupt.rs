//! A signal in the middle of a run. A program of its own, because a signal is for the whole process.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "train/toy.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod toy;

use std::path::Path;

use align_train::{
    Batches, Evaluate, Metrics, Objective, Outcome, OutputDir, Ranks, Result, Run, RunControl, StepLoss,
    Stop, StopReason, Strategy, TrainOptions, Update, Weights, fit,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::raise;
use toy::{HeldOut, Loader, Regression, Row, options, rows, save_model};

/// When and how a run is told to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Never,
    /// While it makes this update.
    Update(usize, i32),
    /// In the evaluation after this update.
    Evaluation(usize, i32),
}

/// The toy, in a process that is told to stop while it makes a certain update.
struct Terminated {
    inner: Regression,
    told: Told,
}

impl Objective for Terminated {
    type Batch = Vec<Row>;

    fn weights(&self, batch: &Vec<Row>) -> Weights {
        self.inner.weights(batch)
    }

    fn loss<'a>(&'a self, batch: &'a Vec<Row>, totals: &Weights) -> Result<StepLoss<'a>> {
        if let Told::Update(at, signal) = self.told
            && self.inner.steps_seen + 1 == at
        {
            raise(signal).unwrap();
        }
        self.inner.loss(batch, totals)
    }

    fn rows(&self, batch: &Vec<Row>) -> Vec<String> {
        self.inner.rows(batch)
    }

    fn after_update(&mut self, update: &Update) -> Result<()> {
        self.inner.after_update(update)
    }

    fn save_state(&self, dir: &Path) -> Result<()> {
        self.inner.save_state(dir)
    }

    fn restore_state(&mut self, dir: &Path) -> Result<()> {
        self.inner.restore_state(dir)
    }
}

/// Held-out rows, in a process that is told to stop while it begins to look at them.
struct Watched {
    inner: HeldOut,
    told: Told,
}

impl Evaluate for Watched {
    fn evaluate(&mut self, step: usize, stop: &Stop) -> Result<Metrics> {
        if let Told::Evaluation(at, signal) = self.told
            && step == at
        {
            raise(signal).unwrap();
        }
        self.inner.evaluate(step, stop)
    }
}

fn train(dir: &Path, options: &TrainOptions, told: Told, stop: Stop) -> (Outcome, toy::Finished) {
    let config = options.check(1e-3).unwrap();
    let mut objective = Terminated { inner: Regression::new(), told };
    let params = objective.inner.params.clone();
    let mut batches = Loader::new(rows(8), config.per_device_train_batch_size);
    let steps = config.total_steps(batches.batches_per_epoch().unwrap());
    let output = OutputDir::take(dir, false, &config.resume).unwrap();
    let accepted = Run::accept(output, &config, options, |dir: &Path| save_model(&params, dir)).unwrap();
    let mut run = accepted.begin(RunControl { stop, ..RunControl::default() }).unwrap();
    let mut updater = config.updater(&params, steps).unwrap();
    let mut held_out = Watched { inner: HeldOut::of(&objective.inner, Ranks::default()), told };
    let outcome = fit(&mut objective, Some(&mut held_out), &mut batches, &mut updater, &mut run).unwrap();
    let state = run.state().clone();
    (outcome.clone(), toy::Finished { outcome, objective: objective.inner, state })
}

/// Steps 3, 6 and 9 end an epoch and are evaluated; 4 has nothing due. No checkpoints are asked for.
#[test]
fn a_run_that_is_told_to_stop_finishes_its_step_saves_and_goes_on_exactly() {
    let fresh = options(|options| {
        options.logging_steps = 2;
        options.eval_strategy = Strategy::Epoch;
        options.save_strategy = Strategy::No;
    });
    let resumed = TrainOptions { resume_from_checkpoint: Some("last".into()), ..fresh.clone() };
    let whole_dir = tempfile::tempdir().unwrap();
    let (outcome, whole) = train(whole_dir.path(), &fresh, Told::Never, Stop::default());
    assert_eq!(outcome, Outcome::Completed);
    for told in [
        Told::Update(1, SIGTERM),
        Told::Update(3, SIGINT),
        Told::Update(4, SIGHUP),
        Told::Update(9, SIGTERM),
        Told::Evaluation(3, SIGTERM),
        Told::Evaluation(9, SIGHUP),
    ] {
        if matches!(told, Told::Update(_, SIGHUP) | Told::Evaluation(_, SIGHUP)) && ignores_hangup() {
            continue;
        }
        let (Told::Update(at, signal) | Told::Evaluation(at, signal)) = told else { unreachable!() };
        let dir = tempfile::tempdir().unwrap();
        let (outcome, stopped) = train(dir.path(), &fresh, told, Stop::on_signals().unwrap());
        let checkpoint = dir.path().join(format!("checkpoint-{at}"));
        assert_eq!(
            outcome,
            Outcome::Interrupted { reason: StopReason::Signal(signal), checkpoint },
            "{told:?}"
        );
        assert_eq!(stopped.state.global_step, at);
        let evaluated = stopped
            .state
            .log_history
            .iter()
            .any(|entry| entry.contains_key("eval_loss") && entry["step"].as_u64() == Some(at as u64));
        assert!(!evaluated, "an evaluation delayed the end");

        let (outcome, again) = train(dir.path(), &resumed, Told::Never, Stop::default());
        assert_eq!(outcome, Outcome::Completed);
        assert_eq!(again.objective.bits(), whole.objective.bits(), "{told:?}");
        assert_eq!(again.timeless_log(), whole.timeless_log(), "{told:?}");
    }
}

#[test]
fn a_program_that_asks_stops_a_run_after_its_step() {
    let fresh = options(|options| options.save_strategy = Strategy::No);
    let dir = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    stop.clone().request();
    let (outcome, stopped) = train(dir.path(), &fresh, Told::Never, stop);
    let checkpoint = dir.path().join("checkpoint-1");
    assert_eq!(outcome, Outcome::Interrupted { reason: StopReason::Requested, checkpoint });
    assert_eq!(stopped.state.global_step, 1);
}

/// Whether this process was started by `nohup` or its like: then no hangup reaches it, which is right.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_none_or(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}
