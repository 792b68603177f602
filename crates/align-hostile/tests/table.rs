//! The table itself: large enough, no row twice, every program in it and every program's tests run it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use align_hostile::{Expected, Outcome, faults, table};

const BINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bins");

#[test]
fn every_row_has_a_name_of_its_own() {
    let rows = table::rows();
    assert!(rows.len() >= 350, "{} rows", rows.len());
    let mut names = BTreeSet::new();
    for row in &rows {
        assert!(names.insert(&row.name), "{} stands there twice", row.name);
    }
}

#[test]
fn every_program_has_rows_and_runs_them_in_its_tests() {
    let rows = table::rows();
    let called: BTreeSet<&str> = rows.iter().map(|row| row.program).collect();
    let programs: BTreeSet<String> =
        fs::read_dir(BINS).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(called.iter().copied().eq(programs.iter().map(String::as_str)), "{called:?}, {programs:?}");
    for program in programs {
        let call = format!("assert_answered(\"{program}\"");
        assert!(
            holds(&Path::new(BINS).join(&program).join("tests"), &call),
            "no test of {program} calls {call}"
        );
    }
}

fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { holds(&path, text) } else { fs::read_to_string(path).unwrap().contains(text) }
    })
}

fn found(code: Option<i32>, stderr: &str, changed: &[&str]) -> Vec<String> {
    let expected = Expected {
        codes: vec![2],
        says: vec!["run.toml:2".to_owned()],
        makes: vec!["out".to_owned()],
        keeps: vec!["out/notes.txt".to_owned()],
    };
    let outcome = Outcome {
        code,
        ended: String::new(),
        stdout: String::new(),
        stderr: stderr.to_owned(),
        changed: changed.iter().map(|&change| change.to_owned()).collect(),
        time: Duration::ZERO,
    };
    faults(&expected, &outcome)
}

#[test]
fn a_wrong_answer_is_found() {
    let right = "warning\nerror: run.toml:2: no\n";
    assert_eq!(found(Some(2), right, &["created out/report.json"]), [""; 0]);
    for (code, stderr, changed, fault) in [
        (Some(1), right, "", "exit code"),
        (None, right, "", "exit code"),
        (Some(2), "", "", "one line"),
        (Some(2), "error: run.toml:2\nerror: more\n", "", "found 2"),
        (Some(2), "error: run.toml:2\nand more\n", "", "follows"),
        (Some(2), "error: run.toml\n", "", "does not say"),
        (Some(2), "error: run.toml:2 \u{1b}[31m\n", "", "control"),
        (Some(2), "error: run.toml:2 this is a bug\n", "", "mistake"),
        (Some(2), &format!("error: run.toml:2 {}\n", "x".repeat(2_000)), "", "characters"),
        (Some(2), right, "changed out/notes.txt", "notes"),
        (Some(2), right, "removed model/config.json", "config"),
        (Some(2), right, "created output", "output"),
        (Some(2), right, "changed ../others/theirs", "theirs"),
    ] {
        let changed: &[&str] = if changed.is_empty() { &[] } else { &[changed] };
        let faults = found(code, stderr, changed).join("; ");
        assert!(faults.contains(fault), "{stderr:?} {changed:?}: found {faults:?}, expected {fault}");
    }
}
