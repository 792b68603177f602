//! One page of evaluations, training runs and sweeps, wherever they lie. Measures nothing: `evaluate` does.

use std::process::ExitCode;

use align_cli::{Invocation, Program};
use align_report::Job;

const PROGRAM: Program = Program {
    name: "write-report",
    about: "One page of evaluations, training runs and sweeps: report.json, report.md and report.html.",
    recipe: None,
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, write)
}

fn write(job: &Job, invocation: &Invocation) -> anyhow::Result<()> {
    align_cli::end_tidily();
    let report = align_report::write(job, || invocation.work_starts())?;
    align_cli::print(align_report::summary(&report))?;
    align_cli::print(format_args!("report written to {}", job.output_dir.join("report.html").display()))
}
