//! A program as a value: a binary of its own, or one command of a larger one.

use std::ffi::OsString;
use std::process::ExitCode;

use align_stage::Host;

use crate::{Program, arguments, call};

/// The words of a command line, the program's name first.
pub type Words = Vec<OsString>;

/// A program that can be called.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What it says about itself.
    pub program: Program,
    run: fn(&Program, Words) -> ExitCode,
    command: fn(&Program) -> clap::Command,
}

/// A program whose job trains.
pub trait Trains: clap::Args {
    /// Runs the job for the host.
    ///
    /// # Errors
    /// What keeps the job from its end.
    fn train(&self, host: &Host<'_>) -> align_stage::Result<()>;
}

/// A program whose job does not train.
pub trait Works: clap::Args {
    /// Runs the job for the host.
    ///
    /// # Errors
    /// What keeps the job from its end.
    fn work(&self, host: &Host<'_>) -> anyhow::Result<()>;
}

impl Entry {
    /// A program that trains, by its options.
    pub const fn training<J: Trains>(program: Program) -> Self {
        Self { program, run: call::train::<J>, command: arguments::command::<call::Training<J>> }
    }

    /// A program that does not train, by its options.
    pub const fn working<J: Works>(program: Program) -> Self {
        Self { program, run: call::work::<J>, command: arguments::command::<call::Working<J>> }
    }

    /// The same under another name, with another recipe.
    #[must_use]
    pub const fn called(self, name: &'static str, recipe: Option<arguments::Recipe>) -> Self {
        Self { program: Program { name, recipe, ..self.program }, ..self }
    }

    /// Runs it on the process's own command line; the whole of a binary's `main`.
    pub fn main(&self) -> ExitCode {
        self.run(std::env::args_os().collect())
    }

    /// Runs it on a command line.
    pub fn run(&self, words: Words) -> ExitCode {
        (self.run)(&self.program, words)
    }

    /// Its options as a command of clap's, for completions.
    pub fn command(&self) -> clap::Command {
        (self.command)(&self.program)
    }
}
