//! How the program is called, and what it leaves: spellings of options, options in a file, looking without
//! writing, directories and the files in them.

use std::fs;

use crate::stage;
use crate::support::{Place, QUICK, check, evaluated, names, training};

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
    let kept = fs::read_to_string(place.path("again/first_batch.txt")).unwrap();
    let shown = place.succeeds("--config flags/training_args.toml --output-dir other --inspect").stdout;
    assert!(kept.contains('⟦') && shown.contains(kept.trim_end()), "{shown} has not {kept}");
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

#[test]
fn a_script_is_told_the_directory_and_a_program_json_lines() {
    let place = Place::new();
    let quiet = place.succeeds(&training("quiet", &format!("{QUICK} --quiet")));
    assert_eq!(quiet.stdout, "quiet\n");
    assert!(quiet.stderr.lines().all(|line| line.starts_with("warning: ")), "{}", quiet.stderr);

    let told = place.succeeds(&training("json", &format!("{QUICK} --json")));
    let lines = told.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let events: Vec<serde_json::Value> = lines.collect();
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!(named("findings").len(), 1);
    assert_eq!(named("starts")[0]["output_dir"], "json");
    let run = place.run("json");
    let logged: Vec<_> = named("log").into_iter().map(|event| event["step"].clone()).collect();
    let log = run.json("trainer_state.json")["log_history"].as_array().unwrap().clone();
    assert_eq!(logged, log.iter().map(|entry| entry["step"].clone()).collect::<Vec<_>>());
    assert_eq!(named("report")[0]["report"], run.json("report.json"));
    assert!(run.model() == place.run("quiet").model(), "who reads changes what is trained");
}

#[test]
fn the_short_help_fits_a_screen() {
    let place = Place::new();
    let (short, long) = (place.succeeds("-h").stdout, place.succeeds("--help").stdout);
    assert!(short.lines().count() <= 60 && short.contains("--model-name-or-path"), "{short}");
    assert!(short.contains("--help shows all"), "{short}");
    assert!(long.lines().count() > 3 * short.lines().count() && long.contains("--adam-beta2"), "{long}");
}

#[test]
fn what_a_flag_makes_moot_in_a_file_is_left_out_with_a_notice() {
    let place = Place::new();
    place.write(
        "run.toml",
        "model = \"model\"\ndataset_name = \"data.jsonl\"\neval_dataset = \"data.jsonl\"\neval_strategy = \"steps\"\n\
         eval_steps = 1\nmax_steps = 2\nreport_to = [\"none\"]\nsave_strategy = \"no\"\n",
    );
    let told = place.succeeds("--config run.toml --eval-strategy no --output-dir out").stderr;
    let notice = "warning: `eval_steps` of the config file has no effect beside the options given here, and is left out";
    assert!(told.lines().any(|line| line == notice), "{told}");
    assert_eq!(place.run("out").metric("eval_loss").len(), 0);
    let settings = fs::read_to_string(place.run("out").dir.join("training_args.toml")).unwrap();
    assert!(!settings.contains("eval_steps"), "{settings}");

    // In one layer, what has no effect is a mistake, also where the command line names another model.
    check(&place, "--config run.toml --eval-strategy no --eval-steps 1 --output-dir new", &["eval_steps"]);
    let text = fs::read_to_string(place.path("run.toml")).unwrap();
    place.write("run.toml", text.replace("\"steps\"", "\"no\""));
    check(&place, "--config run.toml --output-dir new", &["eval_steps"]);
    check(&place, "--config run.toml --model model --output-dir new", &["eval_steps"]);
}
