//! Who reads standard output: people, a script that wants the result alone, or a program that reads JSON lines.

use std::sync::OnceLock;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// People.
    People,
    /// A script, for which the place of the result is all.
    Script,
    /// A program, for which every line is a JSON object.
    Program,
    /// Nobody: the first rank speaks for this one.
    Nobody,
}

/// Standard output is the process's, and so is who reads it.
static OF_THIS_PROCESS: OnceLock<Audience> = OnceLock::new();

impl Audience {
    /// As options that are on say it.
    pub(crate) fn of(is_on: impl Fn(&str) -> bool) -> Self {
        match (is_on("quiet"), is_on("json")) {
            (true, _) => Self::Script,
            (false, true) => Self::Program,
            (false, false) => Self::People,
        }
    }

    /// Says it of this process, once.
    pub(crate) fn listens(self) {
        let _ = OF_THIS_PROCESS.set(self);
    }

    /// Who reads what this process prints.
    pub(crate) fn now() -> Self {
        OF_THIS_PROCESS.get().copied().unwrap_or(Self::People)
    }
}

/// Says nothing but the result.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct QuietOption {
    /// Print nothing but the result, or where it is; only warnings and errors on standard error
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Says it to programs.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct JsonOption {
    /// Print JSON lines for programs, each an `event`: what was found in the data, log entries, the report
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
}
