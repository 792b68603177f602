//! Completions for shells: `align completions bash > FILE`.

use std::process::ExitCode;

use align_cli::{Program, Words, print_coloured};
use clap_complete::Shell;

use crate::commands;

const PROGRAM: Program =
    Program::new("align completions", "Completions for a shell, to be read at its start.");

#[derive(clap::Args)]
struct Options {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Prints the completions for the shell that the words name.
pub(crate) fn print(words: Words) -> ExitCode {
    align_cli::main(&PROGRAM, words, |options: &Options, _| {
        let commands = commands::all().map(|command| command.entry.command().name(command.name));
        let mut align = clap::Command::new("align").subcommands(commands).subcommand_required(true);
        let mut text = Vec::new();
        clap_complete::generate(options.shell, &mut align, "align", &mut text);
        print_coloured(String::from_utf8_lossy(&text).trim_end())
    })
}
