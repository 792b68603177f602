//! However a run is stopped, going on from its last checkpoint ends as if it never had been: the same model
//! byte for byte, the same log but for how long things took.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use crate::stage;
use crate::support::{Place, Run, check, copy_dir, names, training, wait_until};

/// A run in which everything that a checkpoint must hold matters: 24 rows in micro-batches of 2, five to a
/// step, so that every third step is of two micro-batches and ends an epoch; rows shuffled anew in each epoch;
/// moments, weight decay and a schedule that depend on the step; log entries over two steps.
const OPTIONS: &str = "--train-sampling-strategy random --seed 7 --per-device-train-batch-size 2 \
    --gradient-accumulation-steps 5 --learning-rate 1e-3 --lr-scheduler-type cosine --warmup-steps 2 \
    --weight-decay 0.1 --max-length 80 --logging-steps 2";
const EPOCHS: &str = "--num-train-epochs 3";
/// Evaluations between the checkpoints, at them, and at the end.
const EVALUATION: &str = "--eval-dataset data.jsonl --eval-strategy steps --eval-steps 4";

fn assert_same_end(run: &Run, expected: &Run, how: &str) {
    assert_eq!(run.log(), expected.log(), "{how}: another log");
    assert!(run.model() == expected.model(), "{how}: another model");
}

#[test]
fn a_run_goes_on_from_each_of_its_checkpoints() {
    let place = Place::new();
    let options = format!("{OPTIONS} {EPOCHS} {EVALUATION} {} --save-steps 3", stage::QUICK_EVALUATION);
    let whole = place.train("whole", &options);
    assert_eq!(whole.json("trainer_state.json")["global_step"], 9);
    for step in [3, 6, 9] {
        let from = format!("--resume-from-checkpoint whole/checkpoint-{step}");
        let resumed = place.train(&format!("from-{step}"), &format!("{options} {from}"));
        assert_same_end(&resumed, &whole, &format!("from step {step}"));
    }

    // The word `last`, in the directory of a run that was stopped after step 6.
    copy_dir(&whole.dir, &place.path("stopped"));
    fs::remove_dir_all(place.path("stopped/checkpoint-9")).unwrap();
    let ended = place.succeeds(&training("stopped", &format!("{options} --resume-from-checkpoint last")));
    assert!(ended.stderr.contains("resumed from stopped/checkpoint-6 at step 6"), "{}", ended.stderr);
    assert_same_end(&place.run("stopped"), &whole, "from the last");
}

#[test]
fn every_optimizer_goes_on_to_the_bit_and_with_no_other() {
    let place = Place::new();
    for (optim, other) in [
        ("adamw_8bit", "adamw_torch"),
        ("adafactor", "lion"),
        ("lion", "sgd"),
        ("sgd --optim-args momentum=0.9", "adafactor"),
        ("muon", "adamw_8bit"),
    ] {
        let options = |optim: &str| {
            format!(
                "--optim {optim} --max-steps 4 --save-steps 2 --learning-rate 1e-3 --max-length 60 --weight-decay 0.1 \
                 --report-to none --overwrite-output-dir"
            )
        };
        let whole = place.train("whole", &options(optim));
        let from = "--resume-from-checkpoint whole/checkpoint-2";
        let resumed = place.train("resumed", &format!("{} {from}", options(optim)));
        assert!(resumed.model() == whole.model(), "{optim}: another model");
        let name = optim.split(' ').next().unwrap();
        let ended = place.ended(&training("refused", &format!("{} {from}", options(other))));
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let expected = format!("optim was \"{name}\", is \"{other}\"");
        assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    }
}

#[test]
fn what_is_not_given_is_as_the_run_had_it_that_is_resumed() {
    let place = Place::new();
    let whole = place.train("whole", &format!("{OPTIONS} {EPOCHS} --save-steps 3"));
    let notice = "options that are not given are those of whole/training_args.toml";
    fs::remove_dir_all(place.path("whole/checkpoint-9")).unwrap();
    // The run's name stands for its last checkpoint.
    for (from, step) in [("whole/checkpoint-3", 3), ("whole", 6), ("./whole/", 6)] {
        let out = format!("from-{}-{step}", from.len());
        let words = format!("--resume-from-checkpoint {from} --output-dir {out}");
        let looked = place.succeeds(&format!("{words} --dry-run"));
        let left = format!("{} steps would be made after the {step} of the checkpoint", 9 - step);
        assert!(looked.stdout.contains(&left), "{}", looked.stdout);
        let ended = place.succeeds(&words);
        assert!(
            ended.stderr.contains("those of") && ended.stderr.contains("training_args.toml"),
            "{}",
            ended.stderr
        );
        assert_same_end(&place.run(&out), &whole, from);
    }
    // In its own directory, where an option that is given holds.
    let ended = place.succeeds("--resume-from-checkpoint whole --num-train-epochs 4");
    assert!(ended.stderr.contains(notice), "{}", ended.stderr);
    assert!(ended.stderr.contains("num_train_epochs was 3.0, is 4.0"), "{}", ended.stderr);
    assert_eq!(place.run("whole").json("trainer_state.json")["global_step"], 12);
    check(
        &place,
        "--resume-from-checkpoint whole --seed 8",
        &["made with other options", "seed was 7, is 8"],
    );
    // A config file that is named has all options.
    check(&place, "--resume-from-checkpoint whole --config absent.toml", &["--config absent.toml"]);
}

#[test]
fn a_run_without_checkpoints_can_begin_again_as_the_error_says() {
    let place = Place::new();
    let options = format!("{OPTIONS} --max-steps 1 --save-strategy no");
    place.train("out", &options);
    let refused = |words: &str, fragments: &[&str]| {
        check(&place, &training("out", &format!("{options} {words}")), fragments);
    };
    refused("", &["out: not empty, it holds a run without checkpoints", "`--overwrite-output-dir`"]);
    for from in ["last", "out"] {
        let resume = format!("--resume-from-checkpoint {from}");
        refused(
            &resume,
            &["has no complete checkpoint to resume from; begin again with `--overwrite-output-dir`"],
        );
    }
    check(
        &place,
        &training("new", &format!("{options} --resume-from-checkpoint out")),
        &["out: has no complete checkpoint to resume from; start without `--resume-from-checkpoint`"],
    );
    place.succeeds(&training("out", &format!("{options} --overwrite-output-dir")));
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_one_before_it_is_the_last() {
    let place = Place::new();
    let options = format!("{OPTIONS} --max-steps 3 --save-steps 1");
    let whole = place.train("whole", &options);
    copy_dir(&whole.dir, &place.path("damaged"));
    fs::remove_dir_all(place.path("damaged/checkpoint-3")).unwrap();
    let optimizer = place.path("damaged/checkpoint-2/optimizer.safetensors");
    let mut bytes = fs::read(&optimizer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&optimizer, bytes).unwrap();

    let named =
        place.ended(&training("new", &format!("{options} --resume-from-checkpoint damaged/checkpoint-2")));
    assert_eq!(named.code, Some(2), "{}", named.stderr);
    assert!(named.stderr.contains("checkpoint-2/optimizer.safetensors: is damaged"), "{}", named.stderr);
    let last = place.succeeds(&training("damaged", &format!("{options} --resume-from-checkpoint last")));
    assert!(last.stderr.contains("resumed from damaged/checkpoint-1"), "{}", last.stderr);
    assert_same_end(&place.run("damaged"), &whole, "from the checkpoint before");
}

#[test]
fn paths_may_be_written_otherwise() {
    let place = Place::new();
    let options = format!("{OPTIONS} --max-steps 2 --save-steps 1");
    place.train("out", &options);
    fs::copy(place.path("data.jsonl"), place.path("renamed.jsonl")).unwrap();
    let absolute = place.path("model");
    for (model, data) in
        [(absolute.to_str().unwrap(), "data.jsonl"), ("./model", "./data.jsonl"), ("model", "renamed.jsonl")]
    {
        place.succeeds(&format!(
            "--model {model} --dataset {data} --output-dir out {options} --resume-from-checkpoint last"
        ));
    }
    let rows = fs::read_to_string(place.path("data.jsonl")).unwrap();
    place.write("other.jsonl", rows.lines().skip(1).map(|row| format!("{row}\n")).collect::<String>());
    let other = format!("--model model --dataset other.jsonl --output-dir out {options}");
    check(&place, &format!("{other} --resume-from-checkpoint last"), &["training_rows was"]);
}

#[test]
fn a_dry_run_refuses_the_checkpoints_that_a_run_refuses() {
    let place = Place::new();
    let options = format!("{OPTIONS} --max-steps 2 --save-steps 1");
    place.train("out", &options);
    place.succeeds(&training(
        "new",
        &format!("{options} --dry-run --resume-from-checkpoint out/checkpoint-1"),
    ));
    let optimizer = place.path("out/checkpoint-1/optimizer.safetensors");
    let mut bytes = fs::read(&optimizer).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&optimizer, bytes).unwrap();
    let other = options.replace("--seed 7", "--seed 8");
    for (options, from, problem) in [
        (&options, "out/checkpoint-1", "checkpoint-1/optimizer.safetensors: is damaged"),
        (&options, "model", "model: is not a complete checkpoint"),
        (&other, "out/checkpoint-2", "checkpoint-2 was made with other options: "),
    ] {
        for dry in ["", "--dry-run"] {
            check(
                &place,
                &training("new", &format!("{options} {dry} --resume-from-checkpoint {from}")),
                &[problem],
            );
        }
    }
    // In the directory of the run itself.
    fs::remove_dir_all(place.path("out/checkpoint-2")).unwrap();
    let last = training("out", &format!("{options} --dry-run --resume-from-checkpoint last"));
    check(&place, &last, &["out: has no complete checkpoint to resume from"]);
}

#[cfg(unix)]
#[test]
fn a_signal_saves_a_checkpoint_to_go_on_from() {
    let place = Place::new();
    // Long enough that the signal comes long before the end.
    let options = "--per-device-train-batch-size 1 --gradient-accumulation-steps 2 --seed 3 --max-steps 60 \
        --learning-rate 1e-3 --lr-scheduler-type cosine --warmup-ratio 0.1 --max-length 40 --logging-steps 3 \
        --report-to none";
    let whole = place.train("whole", options);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = start(place.command(&training(signal, options)));
        wait_until(&mut child, || {
            fs::read_to_string(place.path(signal).join("metrics.jsonl")).is_ok_and(|log| log.len() > 200)
        });
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");

        // What to do next stands in the last line; it is done here as it stands there.
        let (_, advice) = stderr.trim_end().rsplit_once("error: interrupted; go on with ").unwrap();
        let step = place.run(signal).json("trainer_state.json")["global_step"].as_u64().unwrap();
        println!("SIG{signal} stopped the run after step {step} of 60");
        assert!((1..60).contains(&step), "interrupted at step {step}");
        assert_eq!(advice, format!("--resume-from-checkpoint {signal}/checkpoint-{step}"));
        place.succeeds(advice);
        assert_same_end(&place.run(signal), &whole, &format!("SIG{signal} at step {step}"));
    }
}

/// A checkpoint after every step, and `kill -9` again and again while one is being written or, in a run that
/// goes on after a kill, tidied up.
#[cfg(unix)]
#[test]
fn a_kill_while_saving_leaves_the_last_complete_checkpoint() {
    let place = Place::new();
    let options = format!("{OPTIONS} --max-steps 30 --save-steps 1");
    let whole = place.train("whole", &options);

    // Killed when the partial checkpoint has so many files: at once, in the middle, and with the most of them.
    for (round, files) in [0, 1, 2, 4, 6, 8].into_iter().enumerate() {
        // Without a first complete checkpoint there is nothing to go on from.
        let first = if round == 0 { "" } else { "--resume-from-checkpoint last" };
        let began = SystemTime::now();
        let mut child = start(place.command(&training("killed", &format!("{options} {first}"))));
        let is_saving = || partial_files(&place.path("killed"), began).is_some_and(|found| found >= files);
        // A stopped process saves nothing more: what is partial then is partial when it is killed.
        loop {
            wait_until(&mut child, || place.path("killed/checkpoint-1").is_dir() && is_saving());
            send(&child, "STOP");
            if is_saving() {
                break;
            }
            send(&child, "CONT");
        }
        child.kill().unwrap();
        assert_eq!(
            child.wait().unwrap().code(),
            None,
            "round {round}: the run was over before it could be killed"
        );
        assert!(is_saving(), "round {round}: the kill left no partial checkpoint");
    }
    place.succeeds(&training("killed", &format!("{options} --resume-from-checkpoint last")));
    assert_same_end(&place.run("killed"), &whole, "after the kills");
    let left = names(&place.run("killed"), ".align");
    assert_eq!(left, ["written".to_owned()].into(), "something partial is left");
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
    assert!(sent.unwrap().success(), "kill -{signal}");
}

/// How many files there are of a checkpoint that is being written, or of what was left of one tidied up, since that time.
fn partial_files(dir: &Path, since: SystemTime) -> Option<usize> {
    let partial = fs::read_dir(dir.join(".align/tmp")).ok()?.filter_map(Result::ok).find(|entry| {
        let is_partial = entry.file_name().to_string_lossy().starts_with("checkpoint-");
        is_partial && entry.metadata().and_then(|data| data.modified()).is_ok_and(|time| time > since)
    })?;
    Some(fs::read_dir(partial.path()).ok()?.count())
}
