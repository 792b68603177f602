//! The program as its user meets it, on small models with random weights.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken;
#[cfg(unix)]
mod ended;
mod endpoint;
mod hostile;
mod refused;
#[cfg(unix)]
mod rewards;
mod without_prompts;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// A directory with a file of these rows.
fn place(rows: &[Value]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(dir.path().join("rows.jsonl"), lines).unwrap();
    dir
}

/// Options as words; `MODEL`, `REWARD` and `FIXTURES` stand for their paths.
fn words(options: &str) -> Vec<String> {
    let paths = [
        ("MODEL", fixtures().join("golden/runs/model")),
        ("REWARD", fixtures().join("golden/runs/model-reward")),
        ("FIXTURES", fixtures()),
    ];
    let word = |word: &str| {
        paths.iter().fold(word.to_owned(), |word, (name, path)| word.replace(name, path.to_str().unwrap()))
    };
    options.split_whitespace().map(word).collect()
}

/// Exit code, standard output and standard error.
fn run(dir: &Path, options: &str) -> (i32, String, String) {
    let mut command = cargo_bin_cmd!("evaluate");
    let output = command.current_dir(dir).args(words(options)).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The report of a run that went well.
fn report(dir: &Path, options: &str) -> Value {
    let (code, stdout, stderr) = run(dir, &format!("{options} --output-dir out"));
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("report written to"), "{stdout}");
    assert!(["report.md", "report.html"].iter().all(|name| dir.join("out").join(name).is_file()));
    serde_json::from_slice(&fs::read(dir.join("out/report.json")).unwrap()).unwrap()
}

/// Bad input: exit code 2 and one line with this complaint.
fn refused(dir: &Path, options: &str, complaint: &str) {
    let (code, stdout, stderr) = run(dir, options);
    assert_eq!((code, stdout.as_str()), (2, ""), "{options}: {stderr}");
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(complaint), "{options}: {stderr}");
}

fn prompts() -> Vec<Value> {
    let row = |text: &str| json!({ "prompt": [{ "role": "user", "content": text }] });
    ["What is four plus seven?", "How do I cook rice?", "Help me lie to my teacher.", "Why?"]
        .map(row)
        .to_vec()
}

const COMPARE: &str =
    "--model base=MODEL --model twin=MODEL --reward-model REWARD --prompts rows.jsonl --max-new-tokens 8";

#[test]
fn a_model_against_itself_is_half_and_half() {
    let dir = place(&prompts());
    let found = report(dir.path(), COMPARE);
    let comparison = &found["comparison"];
    assert_eq!(
        (&found["kind"], &comparison["judge"]["kind"]),
        (&json!("evaluation"), &json!("reward_model"))
    );
    for model in comparison["models"].as_array().unwrap() {
        assert_eq!(
            (&model["win_rate"]["rate"], &model["win_rate"]["ties"]),
            (&json!(0.5), &json!(4)),
            "{model}"
        );
        assert_eq!(model["kl_per_sequence"].as_f64().unwrap(), 0.0, "{model}");
        let is_baseline = model["name"] == "base";
        assert_eq!(model["kl_ci95"], if is_baseline { Value::Null } else { json!([0.0, 0.0]) });
        assert!(model["reward"]["mean"].is_number() && model["distinct_1"].is_number(), "{model}");
    }
    let names: Vec<&str> =
        comparison["baselines"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["longer wins", "shorter wins", "another sample", "one answer for all"]);
    let samples = comparison["samples"].as_array().unwrap();
    assert_eq!((samples.len(), samples[0]["answers"].as_array().unwrap().len()), (4, 2));
    assert_eq!(samples[0]["answers"][0]["text"], samples[0]["answers"][1]["text"]);
    // The same seed gives the same figures.
    assert_eq!(report(dir.path(), COMPARE)["comparison"], *comparison);
}

#[test]
fn models_and_rewards_in_bf16_are_near_those_in_f32() {
    let dir = place(&prompts());
    let pair = json!({ "prompt": "Where?", "chosen": " Here.", "rejected": " No." });
    fs::write(dir.path().join("pairs.jsonl"), pair.to_string()).unwrap();
    let options = format!("{COMPARE} --preferences pairs.jsonl");
    let [exact, rounded, named] = ["", "--dtype bfloat16", "--bf16"].map(|more| {
        let found = report(dir.path(), &format!("{options} {more}"));
        assert_eq!(found["comparison"]["models"][1]["kl_per_sequence"], json!(0.0), "{more}");
        let judged = &found["preferences"];
        // The reward model's margin, and the baseline's log-prob per token.
        [0, 1].map(|place| judged[place]["chosen_rewards"][0].as_f64().unwrap())
    });
    assert_eq!(rounded, named);
    for (exact, rounded) in exact.iter().zip(rounded) {
        let off_by = (exact - rounded).abs();
        assert!(1e-7 < off_by && off_by < 0.02, "{exact} {rounded}");
    }
    refused(dir.path(), &format!("{options} --bf16 false --dtype bfloat16"), "`bf16`: is false");
    refused(dir.path(), "--run out --dtype bfloat16", "`dtype`: has no effect, without `--prompts`");
}

#[test]
fn several_answers_to_a_prompt_are_compared_one_by_one_and_counted_by_prompt() {
    let dir = place(&prompts());
    let found = report(dir.path(), &format!("{COMPARE} --num-return-sequences 3"));
    let comparison = &found["comparison"];
    assert_eq!(
        (
            &comparison["prompts"],
            &comparison["answers_per_prompt"],
            &comparison["models"][1]["win_rate"]["ties"]
        ),
        (&json!(4), &json!(3), &json!(12))
    );
    let samples = comparison["samples"].as_array().unwrap();
    let numbers: Vec<u64> = samples.iter().map(|sample| sample["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
    let text = |place: usize| samples[place]["answers"][0]["text"].as_str().unwrap();
    assert!(text(0) != text(1) && text(1) != text(2), "{} {} {}", text(0), text(1), text(2));
    let page = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert_eq!(page.matches("<article class=\"sample\"").count(), 4);
    assert!(page.contains("The first of 3 answers to each prompt"));
    let greedy = format!("{COMPARE} --num-return-sequences 3 --temperature 0");
    refused(dir.path(), &greedy, "`num_return_sequences` 3: greedy answers");
}

#[test]
fn sets_of_prompts_have_figures_of_their_own() {
    let dir = place(&prompts());
    let options = format!("{COMPARE} --safety-prompts rows.jsonl --text rows.jsonl");
    refused(dir.path(), &options, "rows.jsonl:1: `completion`");
    let found = report(dir.path(), &format!("{COMPARE} --safety-prompts rows.jsonl"));
    let model = &found["comparison"]["models"][1];
    let sets: Vec<_> = model["prompt_sets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| (set["name"].clone(), set["prompts"].clone()))
        .collect();
    // Two of the prompts are of the fixtures' world, whose rule nobody asked.
    assert_eq!(sets, [(json!("safety"), json!(4))]);
    assert_eq!(found["comparison"]["prompts"], json!(4));

    let dir = place(&prompts()[..2]);
    let found = report(dir.path(), &format!("{COMPARE} --judge world"));
    let sets = found["comparison"]["models"][1]["prompt_sets"].as_array().unwrap();
    let sets: Vec<_> = sets.iter().map(|set| (set["name"].clone(), set["prompts"].clone())).collect();
    assert_eq!(sets, [(json!("helpfulness"), json!(2))]);
    assert_eq!(found["comparison"]["samples"][0]["tags"], json!(["helpfulness", "sum"]));
}

#[test]
fn pairs_are_judged_by_models_and_by_the_reward() {
    let pair = |chosen: &str, rejected: &str, subset: &str| json!({ "prompt": "Where?", "chosen": chosen, "rejected": rejected, "subset": subset });
    let tie = json!({ "prompt": "Where?", "response1": true, "response2": " No.", "annotator1": 1, "annotator2": 2 });
    let dir =
        place(&[pair(" Here.", " No, I do not know.", "easy"), pair(" There it is.", " Yes.", "hard"), tie]);
    let options = "--model base=MODEL --model twin=MODEL --reward-model REWARD --preferences rows.jsonl";
    let found = report(dir.path(), options);
    let entries = found["preferences"].as_array().unwrap();
    let summary: Vec<_> =
        entries.iter().map(|it| (it["model"].as_str().unwrap(), it["pairs"].as_u64().unwrap())).collect();
    assert_eq!(summary, [("model-reward", 2), ("base", 2), ("twin", 2)]);
    assert_eq!(entries[0]["left_out"], json!(["1 ties"]));
    // Two people judged the tie; ties are left out of the figures, not of this one.
    assert_eq!(entries[0]["agreement"], json!(0.0));
    let text = fs::read_to_string(dir.path().join("out/report.md")).unwrap();
    assert_eq!(text.matches("rows.jsonl: left out 1 ties.").count(), 1);
    let subsets: Vec<_> =
        entries[0]["subsets"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(subsets, ["easy", "hard"]);
    assert_eq!(entries[0]["subsets"][0]["longer_wins"], json!(0.0));
    // The twin's implicit reward is 0: every pair is a tie.
    assert_eq!((&entries[2]["accuracy"], &entries[2]["margin"]), (&json!(0.5), &json!(0.0)));
    assert!(entries[1]["measure"] == "log-prob per token" && entries[1]["calibration"].is_null());
}

#[test]
fn the_best_of_many_has_no_lower_reward() {
    let dir = place(&prompts());
    let found = report(dir.path(), &format!("{COMPARE} --best-of-n 4"));
    assert_eq!(found["best_of"][0]["quality_source"], Value::Null);
    let points = found["best_of"][0]["points"].as_array().unwrap();
    let rewards: Vec<f64> = points.iter().map(|point| point["reward"].as_f64().unwrap()).collect();
    assert!(rewards.len() == 3 && rewards.is_sorted(), "{rewards:?}");
    let found = report(dir.path(), &format!("{COMPARE} --best-of-n 4 --gold-reward-model REWARD"));
    let points = found["best_of"][0]["points"].as_array().unwrap();
    assert!(points.iter().all(|point| point["quality"] == point["reward"]), "{points:?}");
    refused(
        dir.path(),
        &format!("{COMPARE} --gold-reward-model REWARD"),
        "`gold_reward_model`: has no effect",
    );
}

#[test]
fn a_run_is_held_against_peoples_scores() {
    let dir = place(&[]);
    fs::create_dir(dir.path().join("ppo")).unwrap();
    let log: String = (0..30)
        .map(|step| {
            json!({ "step": step, "objective/scores": step, "objective/kl": step }).to_string() + "\n"
        })
        .collect();
    fs::write(dir.path().join("ppo/metrics.jsonl"), log).unwrap();
    let scores: String = (0..30)
        .map(|step: i32| json!({ "step": step, "quality": -(step - 10).abs() }).to_string() + "\n")
        .collect();
    fs::write(dir.path().join("scores.jsonl"), scores).unwrap();
    let found = report(dir.path(), "--hacking ppo --quality scores.jsonl --run ppo");
    let hacking = &found["hacking"][0];
    assert_eq!(
        (&hacking["verdict"], &hacking["proxy_source"]),
        (&json!("hacked"), &json!("objective/scores"))
    );
    assert_eq!(hacking["divergence"]["step"], json!(10.0));
    let gain = |place: usize| hacking["divergence"]["proxy_gain_ci95"][place].as_f64().unwrap();
    assert!(0.0 < gain(0) && gain(0) < gain(1));
    assert_eq!(found["runs"][0]["name"], json!("ppo"));
    refused(dir.path(), "--hacking ppo", "`hacking` without `--reward-model`: true quality is measured");
    refused(dir.path(), "--hacking ppo --quality-metric gold", "has no metric `gold`");
    let twice = "--hacking ppo --hacking ppo --quality scores.jsonl";
    refused(dir.path(), twice, "`quality`: holds the scores of one run, and 2 are named");
    let both = "--hacking ppo --quality scores.jsonl --quality-metric objective/kl";
    refused(dir.path(), both, "`quality_metric`: has no effect, true quality is named by `--quality`");
    fs::write(dir.path().join("later.jsonl"), "{\"step\": 31, \"quality\": 1}").unwrap();
    refused(dir.path(), "--hacking ppo --quality later.jsonl", "later.jsonl:1: expected a step of the run");
    for option in ["--temperature 0.5", "--text scores.jsonl", "--model MODEL", "--reward-model REWARD"] {
        refused(dir.path(), &format!("--hacking ppo --quality scores.jsonl {option}"), "has no effect");
    }
}

#[test]
fn a_config_of_a_data_set_is_read_by_its_card() {
    let dir = place(&prompts());
    fs::create_dir(dir.path().join("set")).unwrap();
    let text = fs::read_to_string(dir.path().join("rows.jsonl")).unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join("set").join(name), text).unwrap();
    put("few.jsonl", &text.lines().take(2).map(|line| format!("{line}\n")).collect::<String>());
    put("many.jsonl", &text);
    put(
        "README.md",
        "---\nconfigs:\n- config_name: few\n  data_files:\n  - split: test\n    path: few.jsonl\n- config_name: many\n  \
         data_files:\n  - split: test\n    path: many.jsonl\n---\n",
    );
    let judged = "--model a=MODEL --model b=MODEL --prompts set --reward-model REWARD --max-new-tokens 2";
    let few = report(dir.path(), &format!("{judged} --dataset-config few"));
    assert_eq!(few["comparison"]["prompts"], json!(2));
    refused(dir.path(), judged, "a config has to be named with --dataset-config");
    refused(dir.path(), &format!("{judged} --dataset-config none"), "no config `none`");
}

#[test]
fn answers_are_revised_by_principles_into_pairs_to_train_on() {
    let dir = place(&prompts());
    let principle = json!({ "principle": "Be kind.", "name": "kindness", "passes": ["nothing passes"] });
    fs::write(dir.path().join("principles.jsonl"), principle.to_string()).unwrap();
    let found = report(dir.path(), &format!("{COMPARE} --principles principles.jsonl"));
    let critique = &found["critique"];
    assert_eq!(
        (&critique["answers"], &critique["violating"], &critique["critic"]),
        (&json!(4), &json!(4), &json!("twin"))
    );
    assert_eq!(critique["principles"][0]["violations"], json!(4));
    assert!(critique["reward_after"].is_number());
    let pairs = align_data::load_pairs(dir.path().join("out/critique.jsonl"), "train").unwrap();
    assert_eq!(critique["pairs"], json!(pairs.len()));
    assert!(pairs.iter().all(|pair| pair.chosen != pair.rejected));
}
