//! What a run logs, evaluates, keeps and leaves behind.

use std::fs;
use std::path::Path;

use align_train::{LogEntry, Outcome, OutputDir, Run, Strategy, TrainOptions};

use crate::toy::{Finished, Regression, options, rows, save_model, train};

fn run(change: impl FnOnce(&mut TrainOptions)) -> (tempfile::TempDir, Finished) {
    let dir = tempfile::tempdir().unwrap();
    let finished = train(dir.path(), &options(change)).unwrap();
    (dir, finished)
}

fn checkpoints(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.contains("checkpoint"));
    names.sort();
    names
}

fn steps_with(finished: &Finished, metric: &str) -> Vec<u64> {
    let has = |entry: &&LogEntry| entry.contains_key(metric);
    finished.state.log_history.iter().filter(has).map(|entry| entry["step"].as_u64().unwrap()).collect()
}

#[test]
fn the_state_is_that_of_transformers() {
    let (dir, finished) = run(|options| {
        options.num_train_epochs = 2.0;
        options.logging_steps = 2;
        options.eval_strategy = Strategy::Epoch;
    });
    let json = fs::read_to_string(dir.path().join("trainer_state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names: Vec<_> = state.as_object().unwrap().keys().map(String::as_str).collect();
    // `TrainerState.load_from_json` of transformers passes every field to its constructor.
    let expected = [
        "best_global_step",
        "best_metric",
        "best_model_checkpoint",
        "epoch",
        "eval_steps",
        "global_step",
        "is_hyper_param_search",
        "is_local_process_zero",
        "is_world_process_zero",
        "log_history",
        "logging_steps",
        "max_steps",
        "num_input_tokens_seen",
        "num_train_epochs",
        "save_steps",
        "stateful_callbacks",
        "train_batch_size",
        "trial_name",
        "trial_params",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        (&state["global_step"], &state["max_steps"], &state["epoch"]),
        (&6.into(), &6.into(), &2.0.into())
    );
    assert_eq!(state["num_input_tokens_seen"], 2 * 15);

    let entries: Vec<Vec<_>> =
        finished.state.log_history.iter().map(|entry| entry.keys().cloned().collect()).collect();
    let update =
        ["loss", "grad_norm", "learning_rate", "absolute_error", "num_tokens", "step_time", "epoch", "step"];
    let evaluation = ["eval_absolute_error", "eval_loss", "eval_num_tokens", "eval_runtime", "epoch", "step"];
    let summary = [
        "train_runtime",
        "train_samples_per_second",
        "train_steps_per_second",
        "train_loss",
        "epoch",
        "step",
    ];
    assert_eq!(entries, [&update[..], &evaluation, &update, &update, &evaluation, &summary]);
    let lines = fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<LogEntry> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, finished.state.log_history);
}

#[test]
fn a_log_entry_is_the_mean_since_the_last_and_counts_from_the_beginning() {
    let (_dir, each) = run(|options| options.logging_steps = 1);
    let (_dir, third) = run(|options| options.logging_steps = 3);
    let value = |finished: &Finished, entry: usize, name: &str| {
        finished.state.log_history[entry][name].as_f64().unwrap()
    };
    let losses: Vec<_> = (0..3).map(|entry| value(&each, entry, "loss")).collect();
    assert!((value(&third, 0, "loss") - losses.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    assert_eq!(value(&third, 0, "grad_norm"), value(&each, 2, "grad_norm"));
    assert_eq!(value(&third, 0, "learning_rate"), value(&each, 2, "learning_rate"));
    // 8 rows of 1, 2, 3, 1, … tokens in an epoch.
    assert_eq!(value(&third, 0, "num_tokens"), 15.0);
    assert_eq!(value(&third, 1, "num_tokens"), 30.0);
    // The learning rate is the one the step was made with: the first of nine has the whole rate.
    assert_eq!(value(&each, 0, "learning_rate"), 0.05);
    assert!((value(&each, 8, "learning_rate") - 0.05 / 9.0).abs() < 1e-12);
    assert_eq!(value(&each, 0, "epoch"), 1.0 / 3.0);
}

#[test]
fn the_first_update_is_logged_on_request() {
    let (_dir, finished) = run(|options| {
        options.logging_steps = 4;
        options.logging_first_step = true;
    });
    assert_eq!(steps_with(&finished, "loss"), [1, 4, 8]);
}

#[test]
fn evaluation_comes_after_every_so_many_steps_and_the_last() {
    let evaluated = |change: fn(&mut TrainOptions)| steps_with(&run(change).1, "eval_loss");
    let steps = |options: &mut TrainOptions| {
        (options.eval_strategy, options.eval_steps) = (Strategy::Steps, Some(4));
    };
    assert_eq!(evaluated(steps), [4, 8, 9]);
    assert_eq!(evaluated(|options| options.eval_strategy = Strategy::Epoch), [3, 6, 9]);
    assert_eq!(evaluated(|_| {}), [0u64; 0]);
    let from_the_start = |options: &mut TrainOptions| {
        (options.eval_strategy, options.eval_on_start) = (Strategy::Epoch, true);
        options.max_steps = 4;
    };
    assert_eq!(evaluated(from_the_start), [0, 3, 4]);
}

#[test]
fn the_oldest_checkpoints_beyond_the_limit_go() {
    let (dir, _) = run(|options| {
        options.save_steps = Some(2);
        options.save_total_limit = Some(2);
    });
    assert_eq!(checkpoints(dir.path()), ["checkpoint-8", "checkpoint-9"]);
    let (dir, _) = run(|options| options.save_strategy = Strategy::Epoch);
    assert_eq!(checkpoints(dir.path()), ["checkpoint-3", "checkpoint-6", "checkpoint-9"]);
    let (dir, _) = run(|options| options.save_strategy = Strategy::No);
    assert!(checkpoints(dir.path()).is_empty());
}

/// Once, when it begins: a run that has nothing left to do saves nothing more.
#[test]
fn a_lower_limit_on_checkpoints_holds_from_the_start_of_a_resumed_run() {
    let (dir, _) = run(|options| options.save_steps = Some(2));
    assert_eq!(checkpoints(dir.path()).len(), 5);
    let limited = options(|options| {
        (options.save_steps, options.save_total_limit) = (Some(2), Some(2));
        options.resume_from_checkpoint = Some("last".into());
    });
    train(dir.path(), &limited).unwrap();
    assert_eq!(checkpoints(dir.path()), ["checkpoint-8", "checkpoint-9"]);
}

#[test]
fn a_checkpoint_to_go_back_to_stays_beyond_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(|options| options.save_total_limit = Some(1));
    let config = options.check(1e-3).unwrap();
    let mut objective = Regression::new();
    let params = objective.params.clone();
    let output = OutputDir::take(dir.path(), false, &config.resume).unwrap();
    let mut run = Run::open(output, &config, &options, |dir: &Path| save_model(&params, dir)).unwrap();
    let mut updater = config.updater(&params, 3).unwrap();
    let mut save = |good: Option<&str>| {
        updater.update(&mut objective, &[rows(4)]).unwrap();
        run.keep(good.map(|name| dir.path().join(name)).as_deref());
        run.save(&updater, |_| Ok(())).unwrap();
        checkpoints(dir.path())
    };
    assert_eq!(save(None), ["checkpoint-1"]);
    assert_eq!(save(Some("checkpoint-1")), ["checkpoint-1", "checkpoint-2"]);
    assert_eq!(save(Some("checkpoint-1")), ["checkpoint-1", "checkpoint-3"]);
    assert_eq!(save(None), ["checkpoint-4"]);
}

#[test]
fn a_run_can_end_with_its_best_weights_and_keeps_their_checkpoint() {
    // By the largest loss, so that the first evaluation is the best.
    let worst = |options: &mut TrainOptions| {
        (options.eval_strategy, options.eval_steps) = (Strategy::Steps, Some(1));
        (options.metric_for_best_model, options.greater_is_better) = (Some("eval_loss".into()), Some(true));
        options.load_best_model_at_end = true;
        options.save_steps = Some(4);
        options.save_total_limit = Some(1);
    };
    let (dir, finished) = run(worst);
    assert_eq!(finished.outcome, Outcome::Completed);
    assert_eq!(finished.state.best_global_step, Some(1));
    assert_eq!(finished.state.best_metric, finished.state.log_history[0]["eval_loss"].as_f64());
    assert_eq!(checkpoints(dir.path()), ["checkpoint-1", "checkpoint-9"]);
    let (_dir, one_step) = run(|options| {
        options.max_steps = 1;
        options.lr_scheduler_type = align_train::LrSchedulerType::Linear;
    });
    assert_eq!(finished.objective.bits(), one_step.objective.bits());
}

#[test]
fn a_run_stops_when_its_metric_no_longer_improves() {
    let (_dir, finished) = run(|options| {
        (options.eval_strategy, options.eval_steps) = (Strategy::Steps, Some(1));
        options.early_stopping_patience = Some(2);
        options.early_stopping_threshold = Some(1e9);
    });
    assert_eq!(finished.outcome, Outcome::StoppedEarly);
    assert_eq!(finished.state.global_step, 3);
}

#[test]
fn a_metric_that_is_not_measured_cannot_choose_the_best_model() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(|options| {
        options.eval_strategy = Strategy::Epoch;
        options.load_best_model_at_end = true;
        options.metric_for_best_model = Some("rewards/accuracies".into());
    });
    let error = train(dir.path(), &options).err().unwrap().to_string();
    assert!(error.contains("it measures absolute_error, loss, num_tokens"), "{error}");
}

#[test]
fn the_directory_of_another_run_is_not_touched() {
    let (dir, _) = run(|options| options.max_steps = 1);
    let before = fs::read(dir.path().join("metrics.jsonl")).unwrap();
    let error = train(dir.path(), &options(|_| {})).err().unwrap().to_string();
    assert!(error.contains("not empty, it may hold another run"), "{error}");
    assert_eq!(fs::read(dir.path().join("metrics.jsonl")).unwrap(), before);
}

#[test]
fn overwriting_removes_what_the_other_run_wrote_and_nothing_else() {
    let (dir, _) = run(|options| options.max_steps = 3);
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let options = options(|_| {});
    let config = options.check(1e-3).unwrap();
    let output = OutputDir::take(dir.path(), true, &config.resume).unwrap();
    let run = Run::open(output, &config, &options, |_: &Path| Ok(())).unwrap();
    assert!(run.state().log_history.is_empty());
    assert!(checkpoints(dir.path()).is_empty());
    assert_eq!(fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap(), "");
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
}

#[test]
fn what_somebody_else_wrote_is_not_written_over() {
    for name in [
        "metrics.jsonl",
        "trainer_state.json",
        "checkpoint-7/notes.txt",
        "checkpoint-2/notes.txt",
        "checkpoint-0/notes.txt",
        "runs", // a file where TensorBoard's folder has to be
    ] {
        let (dir, _) = run(|options| (options.max_steps, options.save_steps) = (3, Some(1)));
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        // A file of the run's that somebody wrote anew cannot be told from the run's.
        let notes = dir.path().join(".align/written");
        let noted = fs::read_to_string(&notes).unwrap().replace(&format!("{name}\n"), "");
        fs::write(&notes, noted).unwrap();
        fs::write(&path, "mine").unwrap();
        let model = fs::read(dir.path().join("checkpoint-3/model.safetensors")).unwrap();

        let config = options(|_| {}).check(1e-3).unwrap();
        let output = OutputDir::take(dir.path(), true, &config.resume).unwrap();
        let refused = Run::open(output, &config, &options(|_| {}), |_: &Path| Ok(()));
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("in the way"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read(dir.path().join("checkpoint-3/model.safetensors")).unwrap(), model, "{name}");
    }
}

#[test]
fn tensorboard_files_are_written_unless_reporting_is_off() {
    let (dir, _) = run(|_| {});
    assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 1);
    let (dir, _) = run(|options| options.report_to = vec![align_train::ReportTo::None]);
    assert!(!dir.path().join("runs").exists());
}
