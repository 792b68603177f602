//! The files in the repository are those that this program writes, to the byte.

use std::path::Path;
use std::process::{Command, Output};

fn make_fixtures(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_make-fixtures")).args(arguments).output().expect("the program runs")
}

#[test]
fn the_fixtures_in_the_repository_are_those_written_now() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let output = make_fixtures(&["--check", "--output-dir", fixtures.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_changed_file_is_found_with_its_line_and_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(make_fixtures(&["--output-dir", path, "--seed", "7"]).status.success());
    assert!(make_fixtures(&["--check", "--output-dir", path, "--seed", "7"]).status.success());

    let file = folder.path().join("data/preference/test.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\"chosen\"", "\"choosen\"", 1)).unwrap();
    let output = make_fixtures(&["--check", "--output-dir", path, "--seed", "7"]);
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("data/preference/test.jsonl differs in line 1"), "{message}");

    assert!(make_fixtures(&["--output-dir", path, "--seed", "7"]).status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}
