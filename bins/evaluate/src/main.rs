//! Did it get better: models compared, judged, and held to account. Each section of the report is measured if its input is
//! named, and all of them become one `report.json`, `report.md` and `report.html`.

use std::path::PathBuf;
use std::process::ExitCode;

use align_cli::Program;
use align_eval::{Job, PromptClass, World};
use align_stage::Host;
use align_world_judge::WorldQuality;

const PROGRAM: Program = Program {
    name: "evaluate",
    about: "Did it get better: models compared, judged, and held to account, as one report.",
    recipe: None,
};

/// The job, and where its options come from.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    /// TOML file with options; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Models and device")]
    config: Option<PathBuf>,
    #[command(flatten)]
    job: Job,
}

fn main() -> ExitCode {
    align_cli::job(&PROGRAM, evaluate)
}

fn evaluate(options: &Options, host: &Host<'_>) -> anyhow::Result<()> {
    let classify = |prompt: &_| {
        let class = WorldQuality::classify(prompt)?;
        Some(PromptClass { kind: class.kind, category: class.category.to_owned() })
    };
    let world = World { rule: &WorldQuality, classify: &classify };
    align_cli::end_tidily();
    let report = align_eval::evaluate(&options.job, host, Some(world))?;
    align_cli::print(align_report::summary(&report))?;
    let page = options.job.output.output_dir.join("report.html");
    align_cli::print(format_args!("report written to {}", page.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
