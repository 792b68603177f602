//! One page of evaluations, training runs and sweeps, wherever they lie. Measures nothing: `evaluate` does.

use align_cli::{Entry, Program, Works};
use align_report::Job;
use align_stage::{Event, Host};

/// The program.
pub const REPORT: Entry = Entry::working::<Options>(
    Program::new(
        "write-report",
        "One page of evaluations, training runs and sweeps: report.json, report.md and report.html.",
    )
    .with_essentials(&[ESSENTIALS]),
);

/// The options of the short help.
const ESSENTIALS: &[&str] = &["evaluation", "run", "sweep", "title", "output-dir", "quiet"];

/// The job.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    job: Job,
}

impl Works for Options {
    fn work(&self, host: &Host<'_>) -> anyhow::Result<()> {
        align_cli::end_tidily();
        let mut told = Ok(());
        let dir = &self.job.output_dir;
        let report = align_report::write(&self.job, || {
            if align_report::Report::is_in(dir) {
                tracing::warn!("{}: the report there is replaced", dir.display());
            }
            told = host.tell(Event::Checked);
        })?;
        told?;
        let page = dir.join("report.html");
        align_cli::print(align_report::summary(&report))?;
        align_cli::print(format_args!("report written to {}", page.display()))?;
        align_cli::print_place(&page)
    }
}
