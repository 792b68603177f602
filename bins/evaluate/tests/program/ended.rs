//! A process that is told to end leaves nothing of what it has not finished.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use crate::{COMPARE, place, prompts, words};

#[test]
fn a_directory_that_was_taken_for_a_report_is_given_back() {
    let dir = place(&prompts());
    let mut command = Command::new(env!("CARGO_BIN_EXE_evaluate"));
    let many = format!("{COMPARE} --num-return-sequences 5000 --temperature 1 --output-dir out");
    command.current_dir(dir.path()).args(words(&many));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !dir.path().join("out/.align/lock").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it was over before it could be told to end");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    assert!(!dir.path().join("out").exists());
}
