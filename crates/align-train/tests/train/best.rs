//! The best checkpoint of a run is known by what it is, and not by the path that it had.

use std::fs;
use std::path::Path;

use align_train::{LrSchedulerType, Strategy, TrainOptions};

use crate::toy::{Finished, options, train};

/// The evaluation with the largest loss is the best, which is the first.
fn worst(change: impl FnOnce(&mut TrainOptions)) -> TrainOptions {
    options(|options| {
        (options.eval_strategy, options.eval_steps) = (Strategy::Steps, Some(1));
        (options.metric_for_best_model, options.greater_is_better) = (Some("eval_loss".into()), Some(true));
        options.load_best_model_at_end = true;
        options.save_steps = Some(4);
        change(options);
    })
}

fn resumed(from: &Path) -> TrainOptions {
    worst(|options| options.resume_from_checkpoint = Some(from.display().to_string()))
}

/// The weights after the first step.
fn first() -> Vec<u32> {
    let dir = tempfile::tempdir().unwrap();
    let one =
        options(|options| (options.max_steps, options.lr_scheduler_type) = (1, LrSchedulerType::Linear));
    train(dir.path(), &one).unwrap().objective.bits()
}

/// A finished run in `moved`, and under the path that it had when it noted its best checkpoint another run.
fn moved(dir: &Path) {
    let old = dir.join("old");
    train(&old, &worst(|_| {})).unwrap();
    fs::rename(&old, dir.join("moved")).unwrap();
    train(&old, &worst(|options| options.learning_rate = Some(0.2))).unwrap();
}

#[test]
fn the_best_checkpoint_lies_beside_the_one_that_is_resumed_whatever_its_path_was() {
    let dir = tempfile::tempdir().unwrap();
    moved(dir.path());
    let new = dir.path().join("new");
    let Finished { objective, state, .. } =
        train(&new, &resumed(&dir.path().join("moved/checkpoint-4"))).unwrap();
    assert_eq!(objective.bits(), first());
    let best = dir.path().join("moved/checkpoint-1").display().to_string();
    assert_eq!(state.best_model_checkpoint, Some(best));
    // From there once more: neither beside it nor in the new directory, but where it was noted to be.
    let third = dir.path().join("third");
    assert_eq!(train(&third, &resumed(&new.join("checkpoint-8"))).unwrap().objective.bits(), first());
}

#[test]
fn a_best_checkpoint_that_is_gone_is_missed_before_the_run_begins() {
    let dir = tempfile::tempdir().unwrap();
    moved(dir.path());
    fs::remove_dir_all(dir.path().join("moved/checkpoint-1")).unwrap();
    let new = dir.path().join("new");
    let refused = || train(&new, &resumed(&dir.path().join("moved/checkpoint-4"))).err().unwrap().to_string();
    let error = refused();
    assert!(
        error.contains("moved/checkpoint-4: speaks of checkpoint-1 of its run, the best so far"),
        "{error}"
    );
    assert!(error.contains("old/checkpoint-1 is of another run"), "{error}");
    assert!(!new.exists(), "nothing was begun");
    // Another run's is no better where the right one would be looked for.
    fs::rename(dir.path().join("old/checkpoint-1"), dir.path().join("moved/checkpoint-1")).unwrap();
    assert!(refused().contains("moved/checkpoint-1 is of another run"), "{}", refused());
    // Nobody asks for it where the run does not end with it.
    let mut indifferent = resumed(&dir.path().join("moved/checkpoint-4"));
    (indifferent.load_best_model_at_end, indifferent.early_stopping_patience) = (false, Some(99));
    train(&new, &indifferent).unwrap();
}
