//! The program as its user meets it, on a small reward model with random weights.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod rewards;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::{Value, json};

fn runs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/runs")
}

/// A directory with a copy of the model and a data file of these rows.
fn place(rows: &[Value]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("model")).unwrap();
    for entry in fs::read_dir(runs().join("model-reward")).unwrap() {
        let path = entry.unwrap().path();
        fs::write(dir.path().join("model").join(path.file_name().unwrap()), fs::read(&path).unwrap())
            .unwrap();
    }
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(dir.path().join("rows.jsonl"), lines).unwrap();
    dir
}

/// Exit code, standard output and standard error with the model.
fn run(dir: &Path, options: &str) -> (i32, String, String) {
    run_alone(dir, &format!("--model model {options}"))
}

/// The same with no model but those that the options name.
fn run_alone(dir: &Path, options: &str) -> (i32, String, String) {
    let mut command = cargo_bin_cmd!("score");
    command.current_dir(dir).args(["--dataset", "rows.jsonl"]);
    let output = command.args(options.split_whitespace()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn scored(rows: &[Value], options: &str) -> Vec<Value> {
    let dir = place(rows);
    let (code, stdout, stderr) = run(dir.path(), options);
    assert_eq!(code, 0, "{stderr}");
    lines(&stdout)
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_no_bug() {
    let dir = place(&[json!({ "prompt": "Hi", "completion": "Hello." })]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_score"));
    command.current_dir(dir.path()).args(["--dataset", "rows.jsonl", "--model", "model"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: standard output: No space left on device"), "{stderr}");
}

/// Bad input: exit code 2 and one line with this complaint.
fn refused(dir: &Path, options: &str, complaint: &str) {
    refused_alone(dir, &format!("--model model {options}"), complaint);
}

fn refused_alone(dir: &Path, options: &str, complaint: &str) {
    let (code, stdout, stderr) = run_alone(dir, options);
    assert_eq!((code, stdout.as_str()), (2, ""), "{options}: {stderr}");
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(complaint), "{options}: {stderr}");
}

const ANSWERS: [&str; 4] =
    [" Yes.", " The pots of Larkfield are good.", " No, I do not know.", " Larkfield."];

/// Each answer in a row of its own.
fn rows() -> Vec<Value> {
    ANSWERS.iter().map(|answer| json!({ "prompt": "Where?", "completion": answer })).collect()
}

fn scores(rows: &[Value]) -> Vec<f64> {
    rows.iter().map(|row| row["score"].as_f64().unwrap()).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-5
}

#[test]
fn an_answer_has_one_score_however_it_is_asked_for() {
    let alone = scored(&rows(), "");
    assert_eq!((&alone[1]["prompt"], &alone[1]["completion"]), (&json!("Where?"), &json!(ANSWERS[1])));
    let expected = scores(&alone);
    assert!(expected.windows(2).all(|two| !close(two[0], two[1])), "{expected:?}");
    let one_at_a_time = scores(&scored(&rows(), "--batch-size 1"));
    assert!(expected.iter().zip(&one_at_a_time).all(|(a, b)| close(*a, *b)));

    let listed = scored(&[json!({ "prompt": "Where?", "completions": ANSWERS })], "");
    let listed: Vec<f64> = serde_json::from_value(listed[0]["scores"].clone()).unwrap();
    assert!(expected.iter().zip(&listed).all(|(a, b)| close(*a, *b)), "{listed:?}");
}

#[test]
fn scores_of_products_in_bf16_are_near_and_the_same_under_both_names() {
    let [exact, rounded, named, off] =
        ["", "--dtype bfloat16", "--bf16", "--bf16 false"].map(|options| scores(&scored(&rows(), options)));
    assert_eq!((&rounded, &exact), (&named, &off));
    let off_by = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs());
    assert!(
        off_by.clone().all(|it| it < 0.02) && off_by.clone().any(|it| it > 1e-6),
        "{exact:?} {rounded:?}"
    );
    let dir = place(&rows());
    refused(dir.path(), "--bf16 false --dtype bfloat16", "`bf16`: is false, and `dtype` says bfloat16");
    refused_alone(dir.path(), "--reward length:1..9 --bf16", "`bf16`: has no effect, `reward` does not name");
}

#[test]
fn two_answers_are_compared() {
    let expected = scores(&scored(&rows(), ""));
    let pair = json!({ "prompt": "Where?", "chosen": ANSWERS[0], "rejected": ANSWERS[1] });
    let compared = scored(&[pair], "--write compare").remove(0);
    let probability = 1.0 / (1.0 + (expected[1] - expected[0]).exp());
    assert!(close(compared["probability"].as_f64().unwrap(), probability), "{compared}");
    let dir = place(&rows());
    refused(dir.path(), "--write compare", "compares two answers, and the row has 1");
}

#[test]
fn of_many_answers_the_best_is_kept_and_set_against_the_worst() {
    let expected = scores(&scored(&rows(), ""));
    let place_of = |wanted: f64| ANSWERS[expected.iter().position(|score| *score == wanted).unwrap()];
    let best = place_of(expected.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let worst = place_of(expected.iter().copied().fold(f64::INFINITY, f64::min));
    // A second prompt, whose answers come in one row.
    let rows = [rows(), vec![json!({ "prompt": "Who?", "completions": [" I.", " You and I."] })]].concat();
    let kept = scored(&rows, "--write best");
    assert_eq!((kept.len(), &kept[0]["completion"], &kept[0]["candidates"]), (2, &json!(best), &json!(4)));

    let dir = self::place(&rows);
    let (code, stdout, stderr) = run(dir.path(), "--write preferences --output pairs.jsonl");
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    let pairs = align_data::load_pairs(dir.path().join("pairs.jsonl"), "train").unwrap();
    assert_eq!((&pairs[0].chosen, &pairs[0].rejected), (&best.into(), &worst.into()));
    let written = lines(&fs::read_to_string(dir.path().join("pairs.jsonl")).unwrap());
    assert_eq!(written.len(), 2);
    assert!(written.iter().all(|row| row["score_chosen"].as_f64() > row["score_rejected"].as_f64()));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "something is left beside the file");
    refused(dir.path(), "--write preferences --output pairs.jsonl", "output pairs.jsonl: exists");
}

#[test]
fn normalised_scores_are_in_deviations_from_the_mean() {
    let expected = scores(&scored(&rows(), ""));
    let dir = place(&rows());
    refused(dir.path(), "--normalize", "model has no reward_normalization.json");
    let normalization = json!({ "mean": 0.5, "std": 2.0, "answers": 9 }).to_string();
    fs::write(dir.path().join("model/reward_normalization.json"), normalization).unwrap();
    let (_, stdout, _) = run(dir.path(), "--normalize");
    let found = scores(&lines(&stdout));
    assert!(expected.iter().zip(&found).all(|(a, b)| close((a - 0.5) / 2.0, *b)));
}

#[test]
fn rules_score_without_a_model_and_beside_one() {
    let rows = [
        json!({ "prompt": "3 + 4?", "completions": ["7", "It is 8."], "truth": "#### 7" }),
        json!({ "prompt": "Twice 6?", "completions": ["Twelve, that is 12.", "12"], "truth": 12 }),
    ];
    let dir = place(&rows);
    let rules = "--reference-column truth --reward numeric_answer 0.5*length:1..3 --reward=-0.25*format:^It";
    let (code, stdout, stderr) = run_alone(dir.path(), rules);
    assert_eq!(code, 0, "{stderr}");
    let scores =
        |stdout: &str| -> Vec<Value> { lines(stdout).iter().map(|row| row["scores"].clone()).collect() };
    assert_eq!(scores(&stdout), [json!([1.5, -0.25]), json!([1.0, 1.5])]);

    let of_model = scores(&run(dir.path(), "").1);
    let mixed = scores(&run(dir.path(), "--reward 2*model --reward 0.5*length:1..3").1);
    let expected = 2.0 * of_model[0][0].as_f64().unwrap() + 0.5;
    assert!(close(mixed[0][0].as_f64().unwrap(), expected), "{mixed:?}, {of_model:?}");

    refused_alone(dir.path(), "--reward numeric_answer", "the row has none; `reference_column` = answer");
    refused_alone(dir.path(), "", "`model_name_or_path`: is required");
    refused_alone(dir.path(), "--reward length:5..1", "from the shorter to the longer, found 5 to 1");
    refused(
        dir.path(),
        "--reward exact_match",
        "`model_name_or_path`: has no effect, `reward` does not name",
    );
    refused(dir.path(), "--reward model 2*model", "names `model` 2 times");
    refused(dir.path(), "--reference-column truth", "no reward compares with a right answer");
}

#[test]
fn a_row_is_scored_before_the_next_one_is_there() {
    let dir = place(&rows());
    let expected = scores(&scored(&rows(), ""));
    let mut command = Command::new(env!("CARGO_BIN_EXE_score"));
    command.current_dir(dir.path()).args(["--model", "model", "--dataset", "-", "--batch-size", "1"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut asked, answered) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answered = BufReader::new(answered).lines();
    for (row, expected) in rows().iter().zip(&expected) {
        writeln!(asked, "{row}").unwrap();
        let answer: Value = serde_json::from_str(&answered.next().unwrap().unwrap()).unwrap();
        assert!(close(answer["score"].as_f64().unwrap(), *expected));
    }
    drop(asked);
    assert!(answered.next().is_none() && child.wait().unwrap().success());
}

#[test]
fn rows_before_a_wrong_one_are_scored_and_a_file_is_whole_or_not_there() {
    let rows = [rows()[0].clone(), json!({ "prompt": "Where?" }), rows()[1].clone()];
    let dir = place(&rows);
    let (code, stdout, stderr) = run(dir.path(), "--batch-size 1");
    assert_eq!((code, lines(&stdout).len()), (2, 1), "{stderr}");
    assert!(stderr.contains("rows.jsonl:2: `completion`: expected"), "{stderr}");
    let (code, ..) = run(dir.path(), "--batch-size 1 --output scores.jsonl");
    assert_eq!((code, fs::read_dir(dir.path()).unwrap().count()), (2, 2), "something is left of the file");
}

#[test]
fn the_shipped_reward_model_prefers_better_answers() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let text = fs::read_to_string(fixtures.join("data/preference/test.jsonl")).unwrap();
    let rows = lines(&text);
    let dir = place(&rows);
    let model = fixtures.join("models/tiny-reward");
    let options = format!("--model {} --normalize --write compare", model.display());
    let (code, stdout, stderr) = run_alone(dir.path(), &options);
    assert_eq!(code, 0, "{stderr}");
    let right = lines(&stdout).iter().filter(|row| row["probability"].as_f64().unwrap() > 0.5).count();
    assert!(right >= 270, "{right} of {} pairs", rows.len());
}

#[test]
fn a_config_of_a_data_set_is_read_by_its_card() {
    let dir = place(&rows());
    fs::create_dir(dir.path().join("set")).unwrap();
    let text = fs::read_to_string(dir.path().join("rows.jsonl")).unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join("set").join(name), text).unwrap();
    put("few.jsonl", text.lines().next().unwrap());
    put("many.jsonl", &text);
    put(
        "README.md",
        "---\nconfigs:\n- config_name: few\n  data_files:\n  - split: test\n    path: few.jsonl\n- config_name: many\n  \
         data_files:\n  - split: test\n    path: many.jsonl\n---\n",
    );
    let scored = |config: &str| {
        let mut command = cargo_bin_cmd!("score");
        command.current_dir(dir.path()).args([
            "--model",
            "model",
            "--dataset",
            "set",
            "--dataset-config",
            config,
        ]);
        let output = command.output().unwrap();
        (output.status.code(), lines(&String::from_utf8(output.stdout).unwrap()).len())
    };
    assert_eq!(scored("few"), (Some(0), 1));
    assert_eq!(scored("many"), (Some(0), text.lines().count()));
    assert_eq!(scored("none").0, Some(2));
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let dir = place(&rows());
    refused(dir.path(), "--dataset-config few", "`dataset_config`: has no effect");
    refused(dir.path(), "--write preferences --split train", "`split`: has no effect");
    refused(place(&[]).path(), "", "rows.jsonl holds no rows");
    refused(dir.path(), "--output nowhere/out.jsonl", "output nowhere/out.jsonl: cannot write there");
    let alone = place(&rows()[..1]);
    refused(alone.path(), "--write preferences", "needs at least two answers to a prompt");
    let equal = place(&[json!({ "prompt": "Where?", "completions": [" Here.", " Here."] })]);
    refused(equal.path(), "--write preferences", "all rewards are equal: the answers to each of 1 prompts");
    let config = runs().join("model");
    for name in ["config.json", "model.safetensors"] {
        fs::write(dir.path().join("model").join(name), fs::read(config.join(name)).unwrap()).unwrap();
    }
    refused(dir.path(), "", "model: is a language model; expected a reward model");
}
