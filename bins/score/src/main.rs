//! Scores of answers by reward models and rules, as JSON lines: scores, comparisons, the best of many, preference files.

use std::path::PathBuf;
use std::process::ExitCode;

use align_cli::{JsonLines, Program, answered};
use align_reward::scoring::{self, Job};
use align_stage::Host;

const PROGRAM: Program = Program {
    name: "score",
    about: "Scores of answers by reward models and rules: scores, comparisons, the best of many, preference files.",
    recipe: None,
};

/// The job, and where its rows go.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    /// TOML file with options; flags override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    job: Job,
    /// Write rows to this new file, complete or not at all, instead of standard output
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Output")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    align_cli::job(&PROGRAM, score)
}

fn score(options: &Options, host: &Host<'_>) -> anyhow::Result<()> {
    let output = options.output.as_deref();
    let mut output = output.map_or(Ok(JsonLines::Printed), JsonLines::to_new_file)?;
    scoring::score(&options.job, host, &mut |row| answered(output.write(row)))?;
    output.finish()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
