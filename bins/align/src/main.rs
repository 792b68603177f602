//! All of it as one program: `align sft`, `align dpo`, `align ppo`, … are the programs of this workspace as commands, and the
//! built-in examples run from any directory.

mod commands;
mod completions;
mod embedded;
mod overview;

use std::ffi::OsString;
use std::process::ExitCode;

use align_cli::Words;

fn main() -> ExitCode {
    let words: Words = std::env::args_os().collect();
    let word = |place: usize| words.get(place).map(|word| word.to_string_lossy().into_owned());
    match (word(1).as_deref(), word(2)) {
        (None | Some("-h" | "--help"), _) | (Some("help"), None) => overview::print(),
        (Some("-V" | "--version"), _) => overview::print_version(),
        (Some("help"), Some(name)) => run(&name, vec!["align".into(), "--help".into()]),
        (Some("completions"), _) => completions::print(words[1..].to_vec()),
        (Some(name), _) => run(name, words[1..].to_vec()),
    }
}

/// Runs a command; `words` begin with its name.
fn run(name: &str, mut words: Words) -> ExitCode {
    let Some(command) = commands::find(name) else { return overview::refuse(name) };
    if command.name == "grpo" && !words.iter().any(decides_the_method) {
        words.push(OsString::from("--method=grpo"));
    }
    command.entry.run(words)
}

/// Whether a word says which method it is, or names a file that may.
fn decides_the_method(word: &OsString) -> bool {
    let word = word.to_string_lossy();
    let name = word.split('=').next().unwrap_or_default();
    ["--method", "--config"].contains(&name)
}
