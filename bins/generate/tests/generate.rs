//! The program as its user meets it, on a small model with random weights and a chat template.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/runs")
}

/// Exit code, standard output and standard error.
fn run(arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut command = cargo_bin_cmd!("generate");
    command.arg("--model").arg(fixtures().join("model")).args(arguments).write_stdin(stdin);
    let output = command.output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes Unicode");
    (output.status.code().expect("no signal ended it"), text(output.stdout), text(output.stderr))
}

fn rows(arguments: &[&str], stdin: &str) -> Vec<Value> {
    let arguments = [arguments, &["--output=-", "--max-new-tokens=6"]].concat();
    let (code, stdout, stderr) = run(&arguments, stdin);
    assert_eq!(code, 0, "{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// What must not depend on the batch. Sums of floats may, in their last digits.
fn texts(rows: &[Value]) -> Vec<[&Value; 2]> {
    rows.iter().map(|row| [&row["prompt"], &row["completion"]]).collect()
}

/// Bad input: exit code 2, one line that contains `complaint`, nothing on standard output.
fn refused(arguments: &[&str], stdin: &str, complaint: &str) {
    let (code, stdout, stderr) = run(arguments, stdin);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(complaint), "{stderr}");
}

#[test]
fn the_seed_decides_what_is_sampled() {
    let sampled = |seed| rows(&["--prompt=I need your advice.", "--seed", seed], "");
    assert_eq!(sampled("1"), sampled("1"));
    assert_ne!(sampled("1"), sampled("2"));
}

#[test]
fn greedy_decoding_ignores_the_seed() {
    let greedy = |seed| rows(&["--prompt=I need your advice.", "--temperature=0", "--seed", seed], "");
    assert_eq!(greedy("1"), greedy("2"));
}

#[test]
fn completions_of_one_prompt_differ_in_every_batch() {
    let many = rows(&["--prompt=Hello.", "--num-return-sequences=40"], "");
    assert!(many.iter().all(|row| row["prompt"] == many[0]["prompt"]));
    let different: BTreeSet<String> = many.iter().map(|row| row["completion"].to_string()).collect();
    assert_eq!((many.len(), different.len()), (40, 40));
    let three = rows(&["--prompt=Hello.", "--num-return-sequences=3"], "");
    assert_eq!(texts(&three), texts(&many[..3]));
}

#[test]
fn what_a_prompt_is_batched_with_changes_nothing() {
    let lines: Vec<String> =
        (0..40).map(|n| format!("Please count to {n}.{}", " Now.".repeat(n % 7))).collect();
    let all = rows(&["--temperature=0"], &lines.join("\n"));
    assert_eq!(all.len(), 40);
    for n in [0, 31, 32, 39] {
        let alone = rows(&["--temperature=0", "--prompt", &lines[n]], "");
        assert_eq!(texts(&alone), texts(&all[n..=n]));
    }
    let sampled = |lines: &[String]| rows(&[], &lines.join("\n"));
    assert_eq!(texts(&sampled(&lines[..2])), texts(&sampled(&lines)[..2]));
}

#[test]
fn typed_text_is_a_users_message_and_a_string_in_a_data_set_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prompts.jsonl");
    let conversation =
        json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello."}]);
    fs::write(&file, format!("{}\n{}\n", json!({"prompt": "Hello."}), json!({"prompt": conversation})))
        .unwrap();
    let file = file.to_str().unwrap();

    let typed = rows(&["--temperature=0", "--prompt=Hello.", "--system=Be kind."], "");
    let raw = rows(&["--temperature=0", "--prompt=Hello.", "--prompt-format=raw"], "");
    let from_file = rows(&["--temperature=0", "--prompts", file], "");
    assert_eq!(typed[0]["prompt"], conversation);
    assert_eq!(raw[0]["prompt"], "Hello.");
    assert_eq!(texts(&from_file), texts(&[raw, typed].concat()));
}

#[test]
fn rows_are_a_data_set_to_train_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("completions.jsonl");
    let pairs = fixtures().join("pairs.jsonl");
    let (prompts, output) = (pairs.to_str().unwrap(), file.to_str().unwrap());
    let (code, stdout, stderr) =
        run(&["--prompts", prompts, "--prompt-format=chat", "--max-new-tokens=2", "--output", output], "");
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let demonstrations = align_data::load_demonstrations(&file, "train").unwrap();
    assert_eq!(demonstrations.len(), align_data::load_prompts(&pairs, "train").unwrap().len());
    let first: Value =
        serde_json::from_str(fs::read_to_string(&file).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(first["completion"][0]["role"], "assistant");
    assert_eq!((&first["tokens"], &first["finished"]), (&json!(2), &json!(false)));
    assert!(first["log_prob"].as_f64().unwrap() < 0.0);
}

#[test]
fn a_config_of_a_data_set_is_read_by_its_card() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    put("few.jsonl", "{\"prompt\": \"One\"}\n");
    put("many.jsonl", "{\"prompt\": \"Two\"}\n{\"prompt\": \"Three\"}\n");
    put(
        "README.md",
        "---\nconfigs:\n- config_name: few\n  data_files:\n  - split: test\n    path: few.jsonl\n- config_name: many\n  \
         data_files:\n  - split: test\n    path: many.jsonl\n---\n",
    );
    let set = dir.path().to_str().unwrap();
    let of = |config: &str| rows(&["--prompts", set, "--dataset-config", config], "").len();
    assert_eq!((of("few"), of("many")), (1, 2));
    refused(&["--prompts", set], "", "a config has to be named with --dataset-config");
    refused(&["--prompts", set, "--dataset-config=no"], "", "no config `no`");
    let file = dir.path().join("few.jsonl");
    refused(
        &["--prompts", file.to_str().unwrap(), "--dataset-config=few"],
        "",
        "`dataset_config`: has no effect",
    );
}

#[test]
fn a_completion_that_ended_before_the_limit_says_so() {
    // The model is random: each token ends the text with about one in a thousand.
    let arguments = ["--prompt=Hello.", "--num-return-sequences=32", "--max-new-tokens=200", "--output=-"];
    let (code, stdout, stderr) = run(&arguments, "");
    assert_eq!(code, 0, "{stderr}");
    let rows: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ended = |row: &&Value| row["finished"] == json!(true);
    assert!(rows.iter().filter(ended).count() > 0);
    for row in &rows {
        assert!(row["tokens"] == json!(200) || ended(&row));
        assert!(!row["completion"][0]["content"].as_str().unwrap().contains("</s>"));
    }
}

#[test]
fn a_person_reads_the_prompt_and_then_the_completion() {
    let (code, stdout, stderr) = run(&["--prompt=Hello.", "--max-new-tokens=3", "--temperature=0"], "");
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[0], "user: Hello.");
    assert!(lines[1].starts_with("assistant: "), "{stdout}");
    assert!(stdout.contains("(3 tokens, cut at max_new_tokens; log-prob -"), "{stdout}");
    assert!(!stdout.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{stdout:?}");
}

#[test]
fn prompts_that_cannot_be_used_are_named() {
    refused(&[], "", "no prompts");
    refused(&[], "Hello.\n\nBye.\n", "<stdin>:2: the prompt is empty");
    refused(&["--prompt=Hello.", "--prompt= "], "", "--prompt:2: the prompt is empty");
    refused(&["--prompt=a", "--prompts=b.jsonl"], "", "`--prompt` and `--prompts` exclude each other");
    refused(&["--prompts=missing.jsonl"], "", "missing.jsonl");
    refused(&["--prompt=Hello.", "--max-new-tokens=512"], "", "--prompt:1: the prompt has 6 tokens");
    refused(&["--prompt=a", "--split=train"], "", "`split` has no effect");
    refused(&["--prompt=a", "--dataset-config=b"], "", "`dataset_config` has no effect");
    refused(&["--prompt=a", "--prompt-format=raw", "--system=b"], "", "`--system` needs a conversation");
}

#[test]
fn settings_without_meaning_are_refused() {
    refused(&["--prompt=a", "--temperature=0", "--num-return-sequences=2"], "", "`num_return_sequences`");
    refused(&["--prompt=a", "--num-return-sequences=0"], "", "`--num-return-sequences`");
    refused(&["--prompt=a", "--top-p=0"], "", "`top_p`");
    refused(&["--prompt=a", "--temprature=0"], "", "did you mean `--temperature`?");
}

/// A copy of the model in which a weight is NaN.
fn broken_model() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures().join("model")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = dir.path().join("model.safetensors");
    let mut weights = fs::read(&path).unwrap();
    let last = weights.len() - 4;
    weights[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(path, weights).unwrap();
    dir
}

#[test]
fn a_model_that_computes_nan_ends_the_program_and_leaves_no_file() {
    let (model, out) = (broken_model(), tempfile::tempdir().unwrap());
    let file = out.path().join("rows.jsonl");
    for output in [None, Some("-"), file.to_str()] {
        for temperature in ["0", "1"] {
            let mut command = cargo_bin_cmd!("generate");
            command.args(["--prompt=Hello.", "--temperature", temperature, "--model"]).arg(model.path());
            output.map(|output| command.args(["--output", output]));
            let output = command.output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{stderr}");
            assert!(
                stderr.contains("error: the model's logits are not finite at token 0 of completion 0"),
                "{stderr}"
            );
        }
    }
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_no_bug() {
    for output in [&[][..], &["--output=-"]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_generate"));
        command.arg("--model").arg(fixtures().join("model")).args(["--prompt=Hello.", "--max-new-tokens=4"]);
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command.args(output).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("error: standard output: No space left on device"), "{stderr}");
    }
}

#[test]
fn an_output_that_cannot_be_made_is_refused_before_the_prompts_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let existing = dir.path().join("old.jsonl");
    fs::write(&existing, "old").unwrap();
    let output = |path: &Path| format!("--output={}", path.display());
    refused(&["--prompts=missing.jsonl", &output(&existing)], "", "old.jsonl: exists");
    refused(
        &["--prompts=missing.jsonl", &output(&dir.path().join("no/new.jsonl"))],
        "",
        "cannot write there",
    );
    assert_eq!(fs::read_to_string(&existing).unwrap(), "old");
}

#[test]
fn a_model_must_be_named_and_must_be_there() {
    let code = |arguments: &[&str]| {
        let output = cargo_bin_cmd!("generate").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (unnamed, complaint) = code(&["--prompt=a"]);
    assert!(unnamed == Some(2) && complaint.contains("`--model-name-or-path` is required"), "{complaint}");
    let (missing, complaint) = code(&["--prompt=a", "--model=./missing"]);
    assert!(missing == Some(2) && complaint.contains("./missing"), "{complaint}");
}

#[cfg(unix)]
#[test]
fn a_process_that_is_told_to_end_leaves_nothing_of_its_rows() {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let dir = tempfile::tempdir().unwrap();
        let left = || fs::read_dir(dir.path()).unwrap().count();
        let mut command = Command::new(env!("CARGO_BIN_EXE_generate"));
        command.current_dir(dir.path()).arg("--model").arg(fixtures().join("model"));
        command.args(["--prompt=Hello.", "--num-return-sequences=20000", "--output=rows.jsonl"]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        while left() == 0 {
            assert_eq!(child.try_wait().unwrap(), None, "it was over before it could be told to end");
            std::thread::yield_now();
        }
        let told = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
        assert!(told.unwrap().success());
        assert_eq!((child.wait().unwrap().signal(), left()), (Some(number), 0), "SIG{name}");
    }
}

#[test]
fn an_output_that_names_a_directory_is_refused_before_a_row_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["nd/", "nd/."] {
        let output = format!("--output={}/{name}", dir.path().display());
        refused(&["--prompt=Hello.", &output], "", "is no name of a file");
    }
}
