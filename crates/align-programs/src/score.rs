//! Scores of answers by reward models and rules, as JSON lines: scores, comparisons, the best of many, preference files.

use std::path::PathBuf;

use align_cli::{Entry, JsonLines, Program, Works, answered};
use align_reward::scoring::{self, Job};
use align_stage::Host;

/// The program.
pub const SCORE: Entry = Entry::working::<Options>(
    Program::new("score", "Scores of answers by reward models and rules: scores, comparisons, the best of many, preference files.").with_essentials(&[ESSENTIALS]),
);

/// The options of the short help.
const ESSENTIALS: &[&str] = &[
    "config",
    "model-name-or-path",
    "dataset",
    "reward",
    "reward-command",
    "reward-url",
    "write",
    "output",
    "batch-size",
    "normalize",
    "device",
    "quiet",
];

/// The job, and where its rows go.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    /// TOML or YAML file with options; flags override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    job: Job,
    /// Write rows to this new file, complete or not at all, instead of standard output
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Output")]
    output: Option<PathBuf>,
}

impl Works for Options {
    fn work(&self, host: &Host<'_>) -> anyhow::Result<()> {
        align_cli::end_tidily();
        let output = self.output.as_deref();
        let mut output = output.map_or(Ok(JsonLines::Printed), JsonLines::to_new_file)?;
        scoring::score(&self.job, host, &mut |row| answered(output.write(row)))?;
        output.finish()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
