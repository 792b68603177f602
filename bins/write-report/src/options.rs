//! Every option of the program.

use std::path::PathBuf;

use serde::Serialize;

/// The command line.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub(crate) struct Options {
    /// An evaluation to take into the report: a `report.json` that evaluate wrote, or its folder; may be given several
    /// times
    #[arg(long, value_name = "PATH")]
    pub(crate) evaluation: Vec<PathBuf>,

    /// A training run whose curves are to be drawn, with its name in the report; may be given several times
    #[arg(long, value_name = "[NAME=]DIR")]
    pub(crate) run: Vec<String>,

    /// A folder of runs that differ in their settings
    #[arg(long, value_name = "DIR")]
    pub(crate) sweep: Option<PathBuf>,

    /// Heading of the page [default: that of the evaluation]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,

    /// Where report.json, report.md and report.html are written
    #[arg(long, value_name = "DIR")]
    pub(crate) output_dir: PathBuf,
}
