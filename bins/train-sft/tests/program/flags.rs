//! Every option does what `--help` says.

use std::collections::BTreeSet;
use std::fs;

use crate::stage;
use crate::support::{Place, QUICK, Run, evaluated, names, training};

#[test]
fn every_option_in_help_stands_in_these_tests() {
    let place = Place::new();
    let help = place.succeeds("--help").stdout;
    let flags = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let names = flags
        .map(|flag| flag.split(|c: char| c != '-' && !c.is_ascii_lowercase() && !c.is_ascii_digit()).next());
    let names: Vec<_> = names.map(Option::unwrap).collect();
    assert!(names.len() > 35, "{names:?}");
    let tests = stage::TESTS.concat().replace('_', "-");
    // A revision is of the hub alone, which is not reached from here; align-cli tests it on a server of its own.
    let untried =
        names.iter().filter(|name| **name != "model-revision" && !tests.contains(&format!("--{name}")));
    assert_eq!(untried.collect::<Vec<_>>(), [&""; 0]);
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
    assert_eq!(counts("--dataset-train-split train[-4:] --dataset-test-split test[:50%]"), (4, 2));
    let card = "---\nconfigs:\n- config_name: few\n  data_files:\n  - split: train\n    path: second.*\n  - split: test\n    \
                path: first.*\n- config_name: other\n  data_files: train.jsonl\n---\n";
    place.write("set/README.md", card);
    assert_eq!(counts("--dataset-config few"), (2, 5));
}

#[test]
fn several_data_sets_are_mixed_and_a_resumed_run_keeps_the_mixture() {
    let place = Place::new();
    let data = fs::read_to_string(place.path("data.jsonl")).unwrap();
    place.write("few.jsonl", data.lines().take(6).map(|line| format!("{line}\n")).collect::<String>());
    let shown =
        |options: &str| place.succeeds(&format!("--model model --output-dir out --dry-run {options}")).stdout;
    let check = |options: &str, rows: usize, few: &str| {
        let shown = shown(options);
        assert!(shown.contains(&format!("training rows as tokens: {rows}")), "{options}: {shown}");
        assert!(shown.contains(&format!("  6 rows ({few} %) of few.jsonl\n")), "{options}: {shown}");
    };
    let sets = |of_data: &str, of_few: &str| {
        format!(r#"[{{"path":"data.jsonl"{of_data}}},{{"path":"few.jsonl"{of_few}}}]"#)
    };
    check(&format!("--datasets {}", sets("", "")), 30, "20.0");
    let weighed = format!("--datasets {}", sets(r#","fraction":2"#, r#","fraction":1"#));
    check(&weighed, 18, "33.3");
    check("--dataset-mixer data.jsonl=0.26,few.jsonl=1", 12, "50.0");
    place.write(
        "recipe.yaml",
        "datasets:\n- path: json\n  data_files: data.jsonl\n  fraction: 2\n- path: few.jsonl\n  fraction: 1.0\n  name:\n",
    );
    check("--config recipe.yaml", 18, "33.3");
    let named =
        place.succeeds("--model model --output-dir out --dry-run --config recipe.yaml --dataset data.jsonl");
    assert!(named.stdout.contains("training rows as tokens: 24"), "{}", named.stdout);

    let run =
        format!("--model model --output-dir out {QUICK}").replace("--save-strategy no", "--save-steps 2");
    place.succeeds(&format!("{run} {weighed}"));
    let report = place.run("out").json("report.json");
    let few = serde_json::json!({"name": "few.jsonl", "rows": 6, "used": 6});
    assert_eq!(report["data"]["read"]["sources"][1], few);
    let changed = sets(r#","fraction":3"#, r#","fraction":1"#);
    for other in [format!("--datasets {changed}"), "--dataset data.jsonl".to_owned()] {
        let ended = place.ended(&format!("{run} --resume-from-checkpoint last {other}"));
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("training_rows"), "{}", ended.stderr);
    }
    let model = place.run("out").model();
    fs::remove_dir_all(place.path("out/checkpoint-3")).unwrap();
    place.succeeds("--model model --output-dir out --resume-from-checkpoint last");
    assert!(place.run("out").model() == model, "a resumed run of a mixture ends otherwise");
}

#[test]
fn a_stream_is_read_as_far_as_it_is_trained_on() {
    let place = Place::new();
    let data = fs::read_to_string(place.path("data.jsonl")).unwrap();
    // Behind the rows of three updates nothing could be read.
    let rows: Vec<&str> = data.lines().take(6).collect();
    place.write("stream.jsonl", format!("{}\nno row\n", rows.join("\n")));
    let run = |out: &str, options: &str| {
        let words = training(out, &format!("{QUICK} --per-device-train-batch-size 2 {options}"));
        place.succeeds(&if out == "out" { words.replace("data.jsonl", "stream.jsonl") } else { words });
        place.run(out).model()
    };
    let streamed = run("out", "--dataset-streaming true");
    assert!(streamed == run("part", "--dataset-train-split train[:6] --train-sampling-strategy sequential"));
    assert_eq!(place.run("out").json("report.json")["data"]["read"]["rows"], 6);
}

#[test]
fn columns_may_be_called_otherwise() {
    let place = Place::new();
    let shown = |options: &str| place.succeeds(&training("out", &format!("--dry-run {options}"))).stdout;
    let before = shown("");
    assert!(before.contains("training data: read as ") && before.contains("`prompt`"), "{before}");
    let column = crate::stage::COMPLETIONS[0];
    let renamed = fs::read_to_string(place.path("data.jsonl")).unwrap();
    place.write("data.jsonl", renamed.replace(&format!("\"{column}\""), "\"answer_a\""));
    assert_eq!(shown(&format!("--column-mapping {column}=answer_a")), before);
    let ended = place.ended(&training("out", &format!("--column-mapping {column}=answer_b")));
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let ended = place.ended(&training("out", "--column-mapping nonsense"));
    assert!(ended.code == Some(2) && ended.stderr.contains("column_mapping"), "{}", ended.stderr);
}

#[test]
fn unusable_rows_are_left_out_up_to_a_share_and_reported() {
    let place = Place::new();
    let data = fs::read_to_string(place.path("data.jsonl")).unwrap();
    let column = crate::stage::COMPLETIONS[0];
    let mut bad: serde_json::Value = serde_json::from_str(data.lines().next().unwrap()).unwrap();
    bad[column] = "".into();
    place.write("data.jsonl", format!("{data}{bad}\n"));
    let ended = place.ended(&training("out", QUICK));
    assert_eq!(ended.code, Some(2));
    for fragment in ["data.jsonl:25: ", "at least 1 of 25 rows cannot be used", "max_bad_rows = 0.01"] {
        assert!(ended.stderr.contains(fragment), "{}", ended.stderr);
    }
    assert!(!place.path("out").exists());
    let shown = place.succeeds(&training("out", &format!("{QUICK} --max-bad-rows 0.04"))).stdout;
    assert!(shown.contains("1 of 25 rows left out\n  1 rows: `"), "{shown}");
    let read = &place.run("out").json("report.json")["data"]["read"];
    assert_eq!((&read["rows"], &read["used"], &read["bad"]), (&25.into(), &24.into(), &1.into()));
    assert_eq!(read["left_out"][0]["reason"], format!("`{column}`: expected text"));
    assert_eq!(read["read_as"][0]["rows"], 24);
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
        "--train-sampling-strategy group_by_length",
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
        "--optim adamw_8bit",
        "--optim adafactor",
        "--optim lion",
        "--optim sgd",
        "--optim sgd --optim-args momentum=0.9",
        "--optim muon",
        "--optim muon --optim-args ns_steps=2",
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
        rates("warmup_stable_decay", "--lr-scheduler-kwargs num_decay_steps=3,decay_type=linear"),
        rates("cosine", "--lr-scheduler-kwargs num_cycles=1.5"),
        rates("cosine_with_restarts", "--lr-scheduler-kwargs num_cycles=2"),
        rates("cosine_with_min_lr", "--lr-scheduler-kwargs {\"min_lr\":0.001}"),
        rates("polynomial", "--lr-scheduler-kwargs power=2"),
        rates(
            "reduce_lr_on_plateau",
            "--lr-scheduler-kwargs patience=0,threshold=0.99 --eval-dataset data.jsonl --eval-strategy steps --eval-steps 2",
        ),
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
