//! SIGTERM in the middle of a run. A program of its own, because a signal is for the whole process.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "train/toy.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod toy;

use std::path::Path;

use align_train::{
    Batches, Objective, Outcome, Result, Run, StepLoss, Strategy, TrainOptions, Update, Weights, fit,
};
use signal_hook::consts::SIGTERM;
use toy::{HeldOut, Loader, Regression, Row, options, rows, save_model};

/// The toy, in a process that is told to stop while it makes a certain update.
struct Terminated {
    inner: Regression,
    at: usize,
}

impl Objective for Terminated {
    type Batch = Vec<Row>;

    fn weights(&self, batch: &Vec<Row>) -> Weights {
        self.inner.weights(batch)
    }

    fn loss(&self, batch: &Vec<Row>, totals: &Weights) -> Result<StepLoss> {
        if self.inner.steps_seen + 1 == self.at {
            signal_hook::low_level::raise(SIGTERM).unwrap();
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

fn train(dir: &Path, options: &TrainOptions, at: usize) -> (Outcome, toy::Finished) {
    let config = options.check(1e-3).unwrap();
    let mut objective = Terminated { inner: Regression::new(), at };
    let params = objective.inner.params.clone();
    let mut batches = Loader::new(rows(8), config.per_device_train_batch_size);
    let steps = config.total_steps(batches.batches_per_epoch().unwrap());
    let mut run = Run::open(dir, false, &config, options, |dir: &Path| save_model(&params, dir)).unwrap();
    let mut updater = config.updater(&params, steps).unwrap();
    let mut held_out = HeldOut::of(&objective.inner);
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
    let (outcome, whole) = train(whole_dir.path(), &fresh, usize::MAX);
    assert_eq!(outcome, Outcome::Completed);
    for at in [1, 3, 4, 9] {
        let dir = tempfile::tempdir().unwrap();
        let (outcome, stopped) = train(dir.path(), &fresh, at);
        let checkpoint = dir.path().join(format!("checkpoint-{at}"));
        assert_eq!(outcome, Outcome::Interrupted { signal: SIGTERM, checkpoint });
        assert_eq!(stopped.state.global_step, at);
        let evaluated = stopped
            .state
            .log_history
            .iter()
            .any(|entry| entry.contains_key("eval_loss") && entry["step"].as_u64() == Some(at as u64));
        assert!(!evaluated, "an evaluation delayed the end");

        let (outcome, again) = train(dir.path(), &resumed, usize::MAX);
        assert_eq!(outcome, Outcome::Completed);
        assert_eq!(again.objective.bits(), whole.objective.bits(), "told to stop at {at}");
        assert_eq!(again.timeless_log(), whole.timeless_log(), "told to stop at {at}");
    }
}
