//! Every option does what `--help` says, in each of its spellings.

use std::collections::BTreeSet;
use std::fs;

use crate::stage;
use crate::support::{Place, Run, training};

/// Three quick steps.
const QUICK: &str = "--max-steps 3 --learning-rate 1e-3 --max-length 60 --logging-steps 1 --report-to none \
    --save-strategy no";

fn names(run: &Run, folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(run.dir.join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn evaluated(options: &str) -> String {
    format!("--eval-dataset data.jsonl {} {options}", stage::QUICK_EVALUATION)
}

#[test]
fn booleans_and_names_have_several_spellings() {
    let place = Place::new();
    let steps_logged = |out: &str, option: &str| {
        let options = format!("--max-steps 2 --logging-steps 2 --save-strategy no --report-to none {option}");
        place.train(out, &options).metric("learning_rate").len()
    };
    assert_eq!(steps_logged("default", ""), 1);
    assert_eq!(steps_logged("bare", "--logging-first-step"), 2);
    assert_eq!(steps_logged("equals", "--logging_first_step=true"), 2);
    assert_eq!(steps_logged("word", "--logging-first-step true"), 2);
    assert_eq!(steps_logged("off", "--logging-first-step False"), 1);

    let older = place.succeeds(&training("out", "--evaluation_strategy no --max-seq-length 60 --dry-run"));
    assert!(older.stderr.contains("`--evaluation-strategy` is an older name; taken as `--eval-strategy`"));
    assert!(older.stderr.contains("`--max-seq-length` is an older name; taken as `--max-length`"));
}

#[test]
fn a_config_file_is_written_down_flags() {
    let place = Place::new();
    let flags = place.train("flags", &format!("{QUICK} --seed 5 --weight-decay 0.1"));
    place.write(
        "run.toml",
        "model = \"model\"\ndataset_name = \"data.jsonl\"\nmax_steps = 3\nlearning_rate = 1e-3\nmax-length = 60\n\
         logging_steps = 100\nreport_to = [\"none\"]\nsave_strategy = \"no\"\nseed = 5\nweight_decay = 0.1\n",
    );
    place.succeeds("--config run.toml --output-dir file --logging-steps 1");
    assert!(place.run("file").model() == flags.model(), "a file and flags are not the same");
    assert_eq!(place.run("file").log(), flags.log(), "the flag did not win over the file");
    place.succeeds("--config flags/training_args.toml --output-dir again");
    assert!(place.run("again").model() == flags.model(), "training_args.toml does not repeat the run");
    assert_eq!(place.run("again").log(), flags.log());
}

#[test]
fn looking_writes_nothing() {
    let place = Place::new();
    let before = place.tree();
    let shown = place.succeeds(&training("out", "--inspect --per-device-train-batch-size 2")).stdout;
    assert_eq!(shown.matches("row ").count(), 2, "{shown}");
    assert_eq!(shown.matches("</s>⟧").count(), 2 * stage::COMPLETIONS.len(), "{shown}");
    let shown = place.succeeds(&training("out", "--dry-run --num-train-epochs 2")).stdout;
    assert!(shown.contains("6 steps would be made; nothing was written"), "{shown}");
    assert_eq!(place.tree(), before);
}

#[test]
fn runs_without_a_name_are_numbered() {
    let place = Place::new();
    for number in 1..=2 {
        place.succeeds("--model model --dataset data.jsonl --max-steps 1 --save-strategy no");
        assert!(place.run(&format!("runs/{}-{number}", stage::STAGE)).has("model.safetensors"));
    }
    assert_eq!(names(&place.run("."), "runs").len(), 2);
}

#[test]
fn a_run_leaves_its_model_its_figures_and_its_options() {
    let place = Place::new();
    let run = place
        .train("out", &evaluated("--max-steps 4 --logging-steps 2 --eval-strategy steps --eval-steps 3"));
    for name in fs::read_dir(place.path("model")).unwrap().map(|entry| entry.unwrap().file_name()) {
        assert!(run.dir.join(&name).is_file(), "the model's {} is not carried over", name.display());
    }
    let report = run.json("report.json");
    assert_eq!((report["kind"].as_str(), report["steps"].as_u64()), (Some(stage::STAGE), Some(4)));
    assert_eq!(report["outcome"], "completed");
    assert!(report["train_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(run.metric("eval_loss").len(), 2, "after step 3 and at the end");
    let lines = fs::read_to_string(run.dir.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(&lines, run.json("trainer_state.json")["log_history"].as_array().unwrap());
    let events = names(&run, "runs");
    assert!(
        events.len() == 1 && events.iter().all(|name| name.starts_with("events.out.tfevents.")),
        "{events:?}"
    );
    assert!(names(&run, "checkpoint-4").contains("optimizer.safetensors"));

    // What was trained is what is saved, and who may read the config may read the model.
    assert_eq!(fs::read(run.dir.join("checkpoint-4/model.safetensors")).unwrap(), run.model());
    let permissions = |name: &str| fs::metadata(run.dir.join(name)).unwrap().permissions();
    assert_eq!(permissions("model.safetensors"), permissions("config.json"));

    let quiet = place.train("quiet", QUICK);
    assert!(!quiet.has("runs") && quiet.has("metrics.jsonl"), "--report-to none writes an event file");
}

#[test]
fn a_directory_is_split_by_file_names() {
    let place = Place::new();
    fs::create_dir(place.path("set")).unwrap();
    let data = fs::read_to_string(place.path("data.jsonl")).unwrap();
    let rows = |count: usize| data.lines().take(count).map(|line| format!("{line}\n")).collect::<String>();
    for (split, count) in [("train", 9), ("test", 3), ("first", 5), ("second", 2)] {
        place.write(&format!("set/{split}.jsonl"), rows(count));
    }
    let counts = |options: &str| {
        let words = format!("--model model --dataset set --output-dir out --dry-run {options}");
        let shown = place.succeeds(&words).stdout;
        let count = |kind: &str| {
            let (_, rest) = shown.split_once(&format!("{kind} rows as tokens: ")).unwrap();
            rest.split_whitespace().next().unwrap().parse::<usize>().unwrap()
        };
        (count("training"), count("held-out"))
    };
    assert_eq!(counts(""), (9, 3));
    assert_eq!(counts("--dataset-train-split first --dataset-test-split second"), (5, 2));
    assert_eq!(counts("--eval-dataset data.jsonl"), (9, 24));
}

#[test]
fn length_options_decide_what_is_read() {
    let place = Place::new();
    // The text of one batch of rows, which is longer the more of them is kept.
    let shown = |options: &str| {
        let options = format!("--inspect --per-device-train-batch-size 24 {options}");
        place.succeeds(&training("out", &options)).stdout
    };
    let whole = shown("");
    let options = [
        "--max-length 50",
        "--max-length 50 --truncation-mode keep_end",
        "--max-prompt-length 6",
        "--max-completion-length 6",
        "--train-sampling-strategy sequential",
        "--seed 1",
    ];
    let texts: BTreeSet<_> = options.iter().map(|option| shown(option)).chain([whole.clone()]).collect();
    assert_eq!(texts.len(), options.len() + 1, "two of these options show the same");
    assert_eq!(shown("--max-length 0"), whole, "no row is longer than the default of 1024 tokens");
    assert!(options[..4].iter().all(|option| shown(option).len() < whole.len()), "nothing was cut");
    assert_eq!(shown("--add-bos-token true").matches("<s>").count(), 24);
    assert_eq!(shown("--add-bos-token=false").matches("<s>").count(), 0);
}

#[test]
fn what_concerns_the_updates_changes_the_model() {
    let place = Place::new();
    let mut models = vec![("nothing", place.train("base", QUICK).model())];
    let options = [
        "--seed 1",
        "--train-sampling-strategy sequential",
        "--per-device-train-batch-size 4",
        "--gradient-accumulation-steps 2",
        "--lr-scheduler-type constant",
        "--warmup-steps 2",
        "--weight-decay 0.5",
        "--adam-beta1 0.5",
        "--adam-beta2 0.5",
        "--adam-epsilon 1e-3",
        "--max-grad-norm 0",
        "--max-grad-norm 0.1",
    ];
    for (number, option) in options.iter().enumerate() {
        models.push((option, place.train(&number.to_string(), &format!("{QUICK} {option}")).model()));
    }
    for (number, (option, model)) in models.iter().enumerate() {
        let same = models[..number].iter().find(|(_, earlier)| earlier == model);
        assert!(same.is_none(), "`{option}` gives the model of `{}`", same.unwrap().0);
    }
    assert!(place.train("again", QUICK).model() == models[0].1, "the same options give another model");
}

#[test]
fn every_schedule_has_rates_of_its_own() {
    let place = Place::new();
    let rates = |kind: &str, options: &str| {
        let options = format!(
            "--max-steps 6 --lr-scheduler-type {kind} {options} --learning-rate 0.01 \
            --max-length 30 --per-device-train-batch-size 1 --logging-steps 1 --save-strategy no --report-to none \
            --overwrite-output-dir"
        );
        place.train("out", &options).metric("learning_rate")
    };
    let schedules = [
        rates("constant", ""),
        rates("constant_with_warmup", "--warmup-steps 2"),
        rates("linear", ""),
        rates("cosine", "--warmup-ratio 0.33"),
        rates("inverse_sqrt", "--warmup-steps 2"),
        rates("warmup_stable_decay", "--warmup-steps 1 --num-decay-steps 3"),
    ];
    for (number, rates) in schedules.iter().enumerate() {
        assert!(rates.len() == 6 && !schedules[..number].contains(rates), "{rates:?}");
        assert_eq!(rates.iter().copied().fold(0.0, f64::max), 0.01, "{rates:?}");
    }
    let ratio = rates("linear", "--warmup-ratio 0.5");
    assert_eq!(ratio, rates("linear", "--warmup-steps 3"));
    assert_eq!(ratio, rates("linear", "--warmup_steps 0.5"));
}

#[test]
fn the_length_of_a_run_is_in_epochs_or_in_steps() {
    let place = Place::new();
    let steps = |options: &str| {
        let shown = place.succeeds(&training("out", &format!("{options} --dry-run"))).stdout;
        shown.lines().last().unwrap().split_whitespace().next().unwrap().parse::<usize>().unwrap()
    };
    assert_eq!(steps(""), 9, "24 rows, 8 to a step, 3 epochs");
    assert_eq!(steps("--num-train-epochs 0.5"), 2);
    assert_eq!(steps("--num-train-epochs 2 --gradient-accumulation-steps 2"), 4);
    assert_eq!(steps("--num-train-epochs 2 --per-device-train-batch-size 5"), 10);
    assert_eq!(steps("--max-steps 5"), 5);
}

#[test]
fn evaluations_and_checkpoints_come_when_they_should() {
    let place = Place::new();
    let short = "--num-train-epochs 2 --report-to none --max-length 40";
    let by_epoch =
        place.train("epochs", &evaluated(&format!("{short} --eval-strategy epoch --save-strategy epoch")));
    assert_eq!(by_epoch.metric("eval_loss").len(), 2);
    assert!(by_epoch.has("checkpoint-3") && by_epoch.has("checkpoint-6"));
    let early = "--eval-strategy steps --eval-on-start --eval-steps 4 --per-device-eval-batch-size 3";
    let by_steps = place.train(
        "steps",
        &evaluated(&format!("{short} {early} --save-steps 1 --save-total-limit 2 --logging-steps 100")),
    );
    assert_eq!(by_steps.metric("eval_loss").len(), 3, "before the start, after step 4, at the end");
    let kept = names(&by_steps, ".").into_iter().filter(|name| name.starts_with("checkpoint-"));
    assert_eq!(kept.collect::<Vec<_>>(), ["checkpoint-5", "checkpoint-6"]);
    let losses = |run: &Run| *run.metric("eval_loss").last().unwrap();
    let apart = (losses(&by_steps) - losses(&by_epoch)).abs();
    assert!(apart < 1e-5, "the size of evaluation batches changes what is measured by {apart}");
    assert!(!place.train("none", QUICK).has("checkpoint-3"));
}

/// The loss falls in each of these steps; with `--greater-is-better` the first evaluation is the best.
#[test]
fn the_best_evaluation_decides() {
    let place = Place::new();
    let options = "--max-steps 6 --learning-rate 1e-3 --max-length 40 --report-to none --eval-strategy steps \
        --eval-steps 1 --save-steps 1 --metric-for-best-model loss --greater-is-better";
    let best =
        place.train("best", &evaluated(&format!("{options} --load-best-model-at-end --save-total-limit 1")));
    assert_eq!(best.json("trainer_state.json")["best_global_step"], 1);
    assert_eq!(best.model(), fs::read(best.dir.join("checkpoint-1/model.safetensors")).unwrap());
    assert!(best.has("checkpoint-6") && !best.has("checkpoint-5"), "the limit keeps the best and the last");

    let steps = |out: &str, stop: &str| {
        let report = place.train(out, &evaluated(&format!("{options} {stop}"))).json("report.json");
        (report["outcome"].as_str().unwrap().to_owned(), report["steps"].as_u64().unwrap())
    };
    assert_eq!(steps("impatient", "--early-stopping-patience 1"), ("stopped_early".to_owned(), 2));
    assert_eq!(steps("patient", "--early-stopping-patience 3"), ("stopped_early".to_owned(), 4));
    let falling = options.replace("--greater-is-better", "--greater-is-better=false");
    let improving = |out: &str, threshold: &str| {
        let options = evaluated(&format!("{falling} --early-stopping-patience 2 {threshold}"));
        place.train(out, &options).json("report.json")["steps"].as_u64().unwrap()
    };
    assert_eq!(improving("improving", ""), 6);
    assert_eq!(improving("demanding", "--early-stopping-threshold 1000"), 3);
}

#[test]
fn overwriting_replaces_the_run_and_nothing_else() {
    let place = Place::new();
    place.train("out", "--max-steps 3 --save-steps 1");
    place.write("out/notes.txt", "mine");
    place.train("out", &format!("{QUICK} --overwrite-output-dir"));
    let run = place.run("out");
    assert!(
        !run.has("checkpoint-1") && !run.has("checkpoint-3") && !run.has("runs"),
        "{:?}",
        names(&run, ".")
    );
    assert!(run.has("notes.txt"));
    assert!(run.model() == place.train("new", QUICK).model());
}
