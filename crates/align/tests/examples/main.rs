//! Every example runs as its reader would run it, and the short ones are short.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod ranks;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Where cargo puts examples: beside the directory of tests.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(program.exists(), "{}: `cargo test -p candle-align` builds it", program.display());
    program
}

fn run(name: &str, output_dir: &Path) -> Output {
    let output = Command::new(program(name)).arg(output_dir).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn trains(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let output_dir = dir.path().join("run");
    let output = run(name, &output_dir);
    assert!(output_dir.join("model.safetensors").exists(), "{name}");
    assert!(
        output.stderr.is_empty(),
        "a library prints nothing: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn jobs_train() {
    ["dpo", "own_loss", "own_reward", "own_data"].iter().for_each(|name| trains(name));
}

#[test]
fn a_loop_of_ones_own_trains() {
    trains("own_loop");
}

#[test]
fn models_of_ones_own_learn() {
    let nowhere = Path::new("unused");
    ["candle_nn", "own_model"].iter().for_each(|name| drop(run(name, nowhere)));
}

#[test]
fn the_short_ones_are_short() {
    for (name, most) in [("dpo", 20), ("own_loss", 40), ("own_reward", 40)] {
        let path = format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        let lines =
            std::fs::read_to_string(path).unwrap().lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= most, "{name}: {lines} lines");
    }
}
