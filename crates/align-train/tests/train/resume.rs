//! A resumed run is the run that was never stopped: weights, log and state, to the bit.

use std::fs;
use std::path::Path;

use align_train::{Checkpoint, Outcome, OutputDir, Resume, Run, TrainOptions};

use crate::toy::{Finished, Regression, options, train};

/// 9 updates in three epochs of 8 rows: windows of 3, 3 and 2 rows, logged every second step, evaluated
/// every third.
pub(crate) fn run_options(change: impl FnOnce(&mut TrainOptions)) -> TrainOptions {
    options(|options| {
        options.num_train_epochs = 3.0;
        options.per_device_train_batch_size = 2;
        options.gradient_accumulation_steps = 2;
        options.logging_steps = 2;
        options.eval_strategy = align_train::Strategy::Steps;
        options.eval_steps = Some(3);
        options.save_steps = Some(1);
        change(options);
    })
}

pub(crate) fn resumed(from: &str) -> TrainOptions {
    run_options(|options| options.resume_from_checkpoint = Some(from.to_owned()))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        if item.path().is_dir() {
            copy(&item.path(), &to.join(item.file_name()));
        } else {
            fs::copy(item.path(), to.join(item.file_name())).unwrap();
        }
    }
}

/// A directory as a process leaves it that stopped after the checkpoint of `step`.
pub(crate) fn stopped_after(step: usize, whole: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for step in 1..=step {
        let name = format!("checkpoint-{step}");
        if !whole.join(&name).is_dir() {
            continue;
        }
        copy(&whole.join(&name), &dir.path().join(&name));
    }
    // It had logged more than the checkpoint knows.
    fs::copy(whole.join("metrics.jsonl"), dir.path().join("metrics.jsonl")).unwrap();
    dir
}

fn whole_run() -> (tempfile::TempDir, Finished) {
    let dir = tempfile::tempdir().unwrap();
    let finished = train(dir.path(), &run_options(|_| {})).unwrap();
    (dir, finished)
}

fn lines(dir: &Path) -> usize {
    fs::read_to_string(dir.join("metrics.jsonl")).unwrap().lines().count()
}

#[test]
fn a_run_stopped_after_any_step_ends_with_the_same_bits() {
    let (dir, whole) = whole_run();
    assert_eq!(whole.state.global_step, 6);
    for step in 1..=6 {
        let stopped = stopped_after(step, dir.path());
        let again = train(stopped.path(), &resumed("last")).unwrap();
        assert_eq!(again.outcome, Outcome::Completed);
        assert_eq!(again.objective.bits(), whole.objective.bits(), "weights, stopped after {step}");
        assert_eq!(again.objective.steps_seen, 6, "the objective's state, stopped after {step}");
        assert_eq!(again.timeless_log(), whole.timeless_log(), "log, stopped after {step}");
        assert_eq!(lines(stopped.path()), lines(dir.path()), "metrics.jsonl, stopped after {step}");
        let moments = |dir: &Path| fs::read(dir.join("checkpoint-6/optimizer.safetensors")).unwrap();
        if step < 6 {
            assert_eq!(tensors(&moments(stopped.path())), tensors(&moments(dir.path())), "moments");
        }
    }
}

fn tensors(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let tensors = candle_core::safetensors::load_buffer(file, &candle_core::Device::Cpu).unwrap();
    let bytes = |t: &candle_core::Tensor| format!("{:?}", t.flatten_all().unwrap().to_string()).into_bytes();
    let mut tensors: Vec<_> = tensors.into_iter().map(|(name, tensor)| (name, bytes(&tensor))).collect();
    tensors.sort();
    tensors
}

#[test]
fn a_process_killed_while_it_saves_leaves_the_last_checkpoint_usable() {
    let (dir, whole) = whole_run();
    // Everything a save writes, in the order it writes it, cut off after each file.
    let saved = dir.path().join("checkpoint-4");
    let mut files: Vec<_> = fs::read_dir(&saved).unwrap().map(|item| item.unwrap().file_name()).collect();
    files.retain(|name| name != "MANIFEST.json" && name != "objective");
    for written in 0..files.len() {
        let stopped = stopped_after(3, dir.path());
        let partial = stopped.path().join(".align/tmp/checkpoint-4.x7");
        fs::create_dir_all(&partial).unwrap();
        for name in &files[..written] {
            fs::copy(saved.join(name), partial.join(name)).unwrap();
        }
        let again = train(stopped.path(), &resumed("last")).unwrap();
        assert_eq!(again.objective.bits(), whole.objective.bits(), "killed after {written} files");
        assert!(!partial.exists());
    }
}

#[test]
fn a_checkpoint_that_was_complete_but_not_in_its_place_counts() {
    let (dir, _) = whole_run();
    let stopped = stopped_after(3, dir.path());
    // It replaces one of the same step, which was moved away already.
    copy(&dir.path().join("checkpoint-4"), &stopped.path().join(".align/tmp/checkpoint-4.x7"));
    copy(&dir.path().join("checkpoint-4"), &stopped.path().join(".align/tmp/checkpoint-4.x8/old"));
    let finished = train(stopped.path(), &resumed("last")).unwrap();
    assert_eq!(finished.state.global_step, 6);
    assert_eq!(Checkpoint::open(&stopped.path().join("checkpoint-4")).unwrap().step(), 4);
}

#[test]
fn a_damaged_checkpoint_is_skipped_as_last_and_refused_by_name() {
    let (dir, whole) = whole_run();
    let stopped = stopped_after(4, dir.path());
    let damaged = stopped.path().join("checkpoint-4");
    let weights = damaged.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();

    let error = train(stopped.path(), &resumed(damaged.to_str().unwrap())).err().unwrap().to_string();
    assert!(error.contains("model.safetensors: is damaged: its content is not what was saved"), "{error}");
    let again = train(stopped.path(), &resumed("true")).unwrap();
    assert_eq!(again.objective.bits(), whole.objective.bits());

    fs::remove_file(damaged.join("optimizer.safetensors")).unwrap();
    let error = Checkpoint::open(&damaged).unwrap_err().to_string();
    assert!(error.contains("optimizer.safetensors: is missing"), "{error}");
    fs::remove_file(damaged.join("MANIFEST.json")).unwrap();
    let error = Checkpoint::open(&damaged).unwrap_err().to_string();
    assert!(error.contains("is not a complete checkpoint"), "{error}");
    assert!(
        Checkpoint::open(&stopped.path().join("checkpoint-99")).unwrap_err().to_string().contains("no such")
    );
}

#[test]
fn resuming_with_other_options_is_an_error_that_names_them() {
    let (dir, _) = whole_run();
    let changed = run_options(|options| {
        options.resume_from_checkpoint = Some("last".into());
        options.learning_rate = Some(0.1);
        options.gradient_accumulation_steps = 1;
    });
    let error = train(dir.path(), &changed).err().unwrap().to_string();
    assert!(
        error.contains("gradient_accumulation_steps was 2, is 1; learning_rate was 0.05, is 0.1"),
        "{error}"
    );
}

#[test]
fn a_finished_run_can_be_made_longer() {
    let (dir, _) = whole_run();
    let longer = run_options(|options| {
        options.resume_from_checkpoint = Some("last".into());
        options.num_train_epochs = 4.0;
    });
    assert_eq!(train(dir.path(), &longer).unwrap().state.global_step, 8);
}

#[test]
fn going_back_beyond_a_later_checkpoint_needs_the_later_one_out_of_the_way() {
    let (dir, whole) = whole_run();
    let earlier = resumed(dir.path().join("checkpoint-2").to_str().unwrap());
    let error = train(dir.path(), &earlier).err().unwrap().to_string();
    assert!(error.contains("is later than the checkpoint to resume from"), "{error}");
    // Into another directory it may go.
    let other = tempfile::tempdir().unwrap();
    assert_eq!(train(other.path(), &earlier).unwrap().objective.bits(), whole.objective.bits());
}

#[test]
fn there_must_be_something_to_resume() {
    let dir = tempfile::tempdir().unwrap();
    let error = train(dir.path(), &resumed("last")).err().unwrap().to_string();
    assert!(error.contains("has no complete checkpoint to resume from"), "{error}");
    let error = train(&dir.path().join("missing"), &resumed("last")).err().unwrap().to_string();
    assert!(error.contains("missing: has no complete checkpoint to resume from"), "{error}");
    assert!(!dir.path().join("missing").exists());
}

#[test]
fn a_run_whose_patience_is_used_up_stays_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let impatient = |options: &mut TrainOptions| {
        options.eval_steps = Some(1);
        options.early_stopping_patience = Some(1);
        options.early_stopping_threshold = Some(1e9);
    };
    let first = train(dir.path(), &run_options(impatient)).unwrap();
    assert_eq!((&first.outcome, first.state.global_step), (&Outcome::StoppedEarly, 2));
    let again = run_options(|options| {
        impatient(options);
        options.resume_from_checkpoint = Some("last".into());
    });
    let again = train(dir.path(), &again).unwrap();
    assert_eq!((&again.outcome, again.state.global_step), (&Outcome::StoppedEarly, 2));
}

/// Removes the last byte of a file.
fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
}

fn checkpoints(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("checkpoint")).collect();
    names.sort();
    names
}

#[test]
fn damaged_later_checkpoints_are_set_aside_and_never_cost_a_good_one() {
    let (dir, whole) = whole_run();
    let stopped = stopped_after(6, dir.path());
    for step in [5, 6] {
        truncate(&stopped.path().join(format!("checkpoint-{step}/optimizer.safetensors")));
    }
    // A directory of that name from an earlier damage, and a damaged one before the start.
    fs::create_dir(stopped.path().join("checkpoint-6.damaged")).unwrap();
    truncate(&stopped.path().join("checkpoint-2/optimizer.safetensors"));
    let mut limited = resumed("last");
    limited.save_total_limit = Some(1);
    let finished = train(stopped.path(), &limited).unwrap();
    assert_eq!(finished.objective.bits(), whole.objective.bits());
    let expected = [
        "checkpoint-2",
        "checkpoint-5.damaged",
        "checkpoint-6",
        "checkpoint-6.damaged",
        "checkpoint-6.damaged-2",
    ];
    assert_eq!(checkpoints(stopped.path()), expected);
}

#[test]
fn something_else_in_the_place_of_a_later_checkpoint_is_refused() {
    let (dir, _) = whole_run();
    let stopped = stopped_after(3, dir.path());
    let place = stopped.path().join("checkpoint-5");
    fs::write(&place, "mine").unwrap();
    let refused = || train(stopped.path(), &resumed("last")).err().unwrap().to_string();
    assert!(refused().contains("checkpoint-5: is in the way of a checkpoint"), "{}", refused());
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    fs::write(place.join("notes.txt"), "mine").unwrap();
    assert!(refused().contains("checkpoint-5: is in the way of a checkpoint"), "{}", refused());
    assert_eq!(checkpoints(stopped.path()).len(), 4);
    // One that the run never comes to is in nobody's way.
    fs::rename(&place, stopped.path().join("checkpoint-2.old")).unwrap();
    train(stopped.path(), &resumed("last")).unwrap();
}

#[test]
fn a_file_that_a_checkpoint_does_not_list_is_not_part_of_it() {
    let (dir, whole) = whole_run();
    let stopped = stopped_after(3, dir.path());
    let checkpoint = stopped.path().join("checkpoint-3");
    let other = Regression::new();
    let weights =
        other.params.iter().map(|(name, param)| (name.to_owned(), param.tensor().detach())).collect();
    candle_core::safetensors::save(&weights, checkpoint.join("zzz.safetensors")).unwrap();
    fs::write(checkpoint.join("notes.txt"), "mine").unwrap();
    assert_eq!(train(stopped.path(), &resumed("last")).unwrap().objective.bits(), whole.objective.bits());

    let stopped = stopped_after(3, dir.path());
    fs::write(stopped.path().join("checkpoint-3/objective/steps"), "9").unwrap();
    let error = train(stopped.path(), &resumed("last")).err().unwrap().to_string();
    assert!(error.contains("checkpoint-3/objective/steps: is not part of the checkpoint"), "{error}");
}

#[test]
fn content_that_is_not_a_checkpoints_is_refused_by_file() {
    let (dir, _) = whole_run();
    for (name, content) in [
        ("optimizer.safetensors", "short"),
        ("model.safetensors", "short"),
        ("data_cursor.json", "[]"),
        ("objective/steps_seen", "many"),
    ] {
        let stopped = stopped_after(2, dir.path());
        let checkpoint = stopped.path().join("checkpoint-2");
        fs::write(checkpoint.join(name), content).unwrap();
        reseal(&checkpoint, name);
        let error = train(stopped.path(), &resumed("last")).err().unwrap().to_string();
        assert!(error.contains("checkpoint-2: cannot be resumed: "), "{name}: {error}");
    }
    let checkpoint = dir.path().join("checkpoint-6");
    let manifest = fs::read_to_string(checkpoint.join("MANIFEST.json")).unwrap();
    fs::write(checkpoint.join("MANIFEST.json"), manifest.replace("model.safetensors", "../../x")).unwrap();
    let error = Checkpoint::open(&checkpoint).unwrap_err().to_string();
    assert!(error.contains("`../../x` is no file of a checkpoint"), "{error}");
}

/// Makes the manifest right again for a file that was changed.
fn reseal(checkpoint: &Path, name: &str) {
    use sha2::Digest as _;
    let path = checkpoint.join("MANIFEST.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let content = fs::read(checkpoint.join(name)).unwrap();
    let hash: String = sha2::Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    manifest["files"][name] = serde_json::json!({ "size": content.len(), "sha256": hash });
    fs::write(path, manifest.to_string()).unwrap();
}

/// A run in `dir` beside these models, as far as its first checkpoint if it is new.
fn beside(dir: &Path, models: &serde_json::Value, resume: Resume) -> align_train::Result<()> {
    let options = run_options(|_| {});
    let config = align_train::TrainConfig { resume, ..options.check(1e-3).unwrap() };
    let objective = Regression::new();
    let output = OutputDir::take(dir, false, &config.resume)?;
    let settings = serde_json::json!({ "options": options, "frozen": models });
    let mut run =
        Run::open(output, &config, &settings, |dir: &Path| crate::toy::save_model(&objective.params, dir))?;
    run.save(&config.updater(&objective.params, 3)?, |_| Ok(())).map(drop)
}

#[test]
fn a_model_that_is_not_trained_must_be_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let models = serde_json::json!({ "reference": "1f", "reward_model": "2e" });
    beside(&out, &models, Resume::No).unwrap();
    beside(&out, &models, Resume::Last).unwrap();
    let changed = serde_json::json!({ "reference": "1f", "reward_model": "0a" });
    let error = beside(&out, &changed, Resume::Last).unwrap_err().to_string();
    assert!(
        error.contains("checkpoint-0: was made with another reward model: its weights are not"),
        "{error}"
    );
    // A checkpoint of before they were noted cannot tell.
    beside(&dir.path().join("older"), &serde_json::json!({}), Resume::No).unwrap();
    beside(&dir.path().join("older"), &models, Resume::Last).unwrap();
}
