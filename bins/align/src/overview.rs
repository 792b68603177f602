//! What `align` alone says: which commands there are, and what to type next.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;

use align_cli::{Program, print_coloured};

use crate::commands::{self, GROUPS};

const PROGRAM: Program = Program::new("align", "Post-training of language models.");

const HEAD: &str = "\
align: post-training of language models, from preference data to an aligned Hugging Face model

  align dpo                                            the built-in example, in about a minute
  align dpo --model DIR|ID --dataset PAIRS.jsonl       your model and data
";

const FOOT: &str = "
  align COMMAND -h        its main options; --help has all of them
  align completions bash  completions for bash, zsh, fish, elvish or powershell
  align --version";

#[derive(clap::Args)]
struct Nothing {}

/// Prints the overview.
pub(crate) fn print() -> ExitCode {
    say(&text())
}

/// Prints the version.
pub(crate) fn print_version() -> ExitCode {
    say(concat!("align ", env!("CARGO_PKG_VERSION")))
}

/// What other programs have commands for, and how it is asked for here.
const ELSEWHERE: [(&str, &str); 15] = [
    ("merge", "export --model ADAPTER_DIR"),
    ("ipo", "dpo --loss-type ipo"),
    ("online_dpo", "ppo --method online_dpo"),
    ("dr_grpo", "ppo --method dr_grpo"),
    ("dapo", "ppo --method dapo"),
    ("gspo", "ppo --method gspo"),
    ("cispo", "ppo --method cispo"),
    ("reinforce_pp", "ppo --method reinforce_pp"),
    ("kto", "dpo --loss-type kto"),
    ("orpo", "dpo --loss-type orpo"),
    ("cpo", "dpo --loss-type cpo_sigmoid"),
    ("bco", "dpo --loss-type bco"),
    ("simpo", "dpo --loss-type simpo"),
    ("rloo", "ppo --method rloo"),
    ("chat", "generate --prompt TEXT"),
];

/// Complains of a command that there is not.
pub(crate) fn refuse(name: &str) -> ExitCode {
    if let Some((_, here)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name) {
        return align_cli::refuse(&format!("`{name}` is no command of its own; type `align {here}`"));
    }
    let names: Vec<&str> = commands::all().map(|command| command.name).collect();
    let near = align_cli::nearest(name, names.iter().copied());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    align_cli::refuse(&format!(
        "`{name}` is no command; expected one of {}, or completions{hint}",
        names.join(", ")
    ))
}

fn say(text: &str) -> ExitCode {
    align_cli::main(&PROGRAM, [OsString::from("align")], |_: &Nothing, _| print_coloured(text))
}

fn text() -> String {
    let mut text = HEAD.to_owned();
    for (heading, commands) in &GROUPS {
        let _ = writeln!(text, "\n{heading}");
        for command in *commands {
            let _ = writeln!(text, "  {:10}{}", command.name, command.about);
        }
    }
    text + FOOT
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_fits_a_screen() {
        let text = super::text();
        assert!(text.lines().count() <= 24, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
