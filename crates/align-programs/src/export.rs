//! A trained model in the form that others load: adapters merged, in half precision, in shards.

use align_cli::{Entry, Program, Works};
use align_export::{Job, export};
use align_stage::Host;

/// The program.
pub const EXPORT: Entry = Entry::working::<Options>(
    Program::new(
        "export",
        "A trained model in the form that others load: adapters merged, half precision, shards.",
    )
    .with_essentials(&[ESSENTIALS]),
);

/// The options of the short help.
const ESSENTIALS: &[&str] = &[
    "model-name-or-path",
    "weights",
    "output-dir",
    "dtype",
    "gguf",
    "gguf-adapter",
    "max-shard-size",
    "quiet",
];

/// The job.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    job: Job,
}

impl Works for Options {
    fn work(&self, host: &Host<'_>) -> anyhow::Result<()> {
        align_cli::end_tidily();
        let report = export(&self.job, host)?;
        align_cli::print(&report)?;
        align_cli::print_place(&report.output_dir)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
