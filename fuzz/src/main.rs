//! Runs the targets on their corpora, and on inputs made of them.
//!
//! `just fuzz --seconds 60` divides a minute among all; `just fuzz template --executions 100000` is one of them. An input
//! on which a target does not hold lies in the folder for temporary files; `--only N` makes it again.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use align_fuzz::{Amount, TARGETS, fuzz};
use clap::Parser as _;

/// Everything that reads, on inputs that nobody wrote.
#[derive(clap::Parser)]
struct Options {
    /// Targets by name; all of them if none is named.
    targets: Vec<String>,
    /// Inputs made for each target, beside its corpus.
    #[arg(long, conflicts_with = "seconds")]
    executions: Option<u64>,
    /// Seconds for all targets together.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Which inputs are made.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the input of this number.
    #[arg(long)]
    only: Option<u64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let named = |name: &str| options.targets.is_empty() || options.targets.iter().any(|given| given == name);
    let chosen: Vec<_> = TARGETS.iter().filter(|target| named(target.name)).collect();
    let share = Duration::from_secs(options.seconds) / u32::try_from(chosen.len().max(1)).unwrap_or(1);
    let amount = match (options.only, options.executions) {
        (Some(number), _) => Amount::Only(number),
        (None, Some(executions)) => Amount::Executions(executions),
        (None, None) => Amount::Time(share),
    };
    let mut code = if chosen.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    for target in chosen {
        let line = fuzz(target, options.seed, amount).unwrap_or_else(|finding| {
            code = ExitCode::FAILURE;
            finding
        });
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
    code
}
