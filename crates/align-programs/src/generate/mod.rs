//! Completions of prompts, on the terminal or as JSON lines.

mod output;
mod typed;

use std::path::PathBuf;

use align_cli::{Entry, Program, Works, answered};
use align_generate::{Elsewhere, Job, generate};
use align_stage::Host;
use output::Output;

/// The program.
pub const GENERATE: Entry = Entry::working::<Options>(
    Program::new("generate", "Completions of prompts, on the terminal or as JSON lines.")
        .with_essentials(&[ESSENTIALS]),
);

/// The options of the short help.
const ESSENTIALS: &[&str] = &[
    "config",
    "model-name-or-path",
    "prompt",
    "prompts",
    "system",
    "prompt-format",
    "max-new-tokens",
    "temperature",
    "top-p",
    "top-k",
    "num-return-sequences",
    "output",
    "device",
    "seed",
    "quiet",
];

/// The job, and where its rows go.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    /// TOML or YAML file with options; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Model and device")]
    config: Option<PathBuf>,
    #[command(flatten)]
    job: Job,
    /// Write rows as JSON lines to this new file, complete or not at all; `-` writes them to standard output
    /// as they come. Without it prompts and completions are printed for reading
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Output")]
    output: Option<PathBuf>,
}

impl Works for Options {
    fn work(&self, host: &Host<'_>) -> anyhow::Result<()> {
        let mut output = Output::open(self.output.as_deref())?;
        let typed = Elsewhere { name: "<stdin>", texts: &|| answered(typed::lines()) };
        generate(&self.job, host, Some(typed), &mut |row| answered(output.write(row)))?;
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
