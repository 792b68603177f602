//! The one program as its user calls it, from a directory that has nothing.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;

use assert_cmd::Command;

/// A call from an empty directory, and what it printed.
fn call(dir: &Path, words: &str, code: i32) -> (String, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_align"));
    program.current_dir(dir).env("XDG_CACHE_HOME", dir.join("cache")).args(words.split_whitespace());
    let output = program.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "align {words}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn alone_it_says_what_to_type_next() {
    let dir = tempfile::tempdir().unwrap();
    let (text, complaint) = call(dir.path(), "", 0);
    assert!(text.contains("align dpo --model") && complaint.is_empty(), "{text}{complaint}");
    for command in
        ["sft", "reward", "dpo", "ppo", "grpo", "generate", "score", "export", "evaluate", "report"]
    {
        assert!(text.contains(&format!("\n  {command} ")), "{command} in {text}");
        let (short, _) = call(dir.path(), &format!("{command} -h"), 0);
        assert!(short.lines().count() <= 60 && short.contains(&format!("align {command}")), "{short}");
    }
    let (_, complaint) = call(dir.path(), "dop", 2);
    assert!(
        complaint.starts_with("error: `dop` is no command") && complaint.contains("`dpo`"),
        "{complaint}"
    );
    assert_eq!(call(dir.path(), "help dpo", 0), call(dir.path(), "dpo --help", 0));
    assert!(call(dir.path(), "--version", 0).0.starts_with("align 0."));
}

#[test]
fn the_built_in_examples_run_from_any_directory() {
    let dir = tempfile::tempdir().unwrap();
    for (command, options) in [
        ("sft", ""),
        ("reward", "--eval-steps 1"),
        ("dpo", "--eval-steps 1 --num-kl-prompts 2 --max-new-tokens 4"),
        ("ppo", "--num-eval-prompts 2"),
        ("grpo", "--num-eval-prompts 2"),
    ] {
        let (text, _) = call(dir.path(), &format!("{command} --dry-run {options}"), 0);
        assert!(text.contains("steps would be made"), "{text}");
    }
    let (made, complaint) = call(dir.path(), "sft --max-steps 1 --quiet", 0);
    assert_eq!((made.as_str(), complaint.as_str()), ("runs/sft-1\n", ""));
    let (text, _) = call(
        dir.path(),
        "generate --model runs/sft-1 --prompt Hello. --max-new-tokens 4 --output - --quiet",
        0,
    );
    let row: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(row["completion"].is_array(), "{text}");
    let cache = dir.path().join("cache/candle-align");
    let names: Vec<_> = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "unpacked once, and whole: {names:?}");
}

#[test]
fn grpo_is_grpo_without_its_recipe_too() {
    let dir = tempfile::tempdir().unwrap();
    let fixtures = format!("{}/fixtures", env!("CARGO_MANIFEST_DIR"));
    let words = format!(
        "--model {fixtures}/models/tiny-chat --dataset {fixtures}/data/sums --reward-funcs numeric_answer --dry-run \
         --per-device-train-batch-size 32 --total-episodes 256"
    );
    call(dir.path(), &format!("grpo {words} --num-generations 8"), 0);
    let (_, complaint) = call(dir.path(), &format!("ppo {words} --num-generations 8"), 2);
    assert!(complaint.contains("num_generations"), "{complaint}");
}

#[test]
fn shells_complete_commands_and_options() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (text, _) = call(dir.path(), &format!("completions {shell}"), 0);
        assert!(text.contains("evaluate") && text.contains("learning-rate"), "{shell}");
    }
    assert!(call(dir.path(), "completions tcsh", 2).1.contains("bash"));
}
