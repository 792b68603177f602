//! Did it get better: models compared, judged, and held to account. Each section of the report is measured if its input is
//! named, and all of them become one `report.json`, `report.md` and `report.html`.

use std::path::PathBuf;

use align_cli::{Entry, Program, Works};
use align_eval::{Job, PromptClass, World};
use align_stage::Host;
use align_world_judge::WorldQuality;

/// The program.
pub const EVALUATE: Entry = Entry::working::<Options>(
    Program::new(
        "evaluate",
        "Did it get better: models compared, judged, and held to account, as one report.",
    )
    .with_essentials(&[ESSENTIALS]),
);

/// The options of the short help.
const ESSENTIALS: &[&str] = &[
    "config",
    "model",
    "models-in",
    "reward-model",
    "reward-command",
    "reward-url",
    "prompts",
    "num-prompts",
    "preferences",
    "judge",
    "judge-url",
    "best-of-n",
    "principles",
    "run",
    "hacking",
    "num-return-sequences",
    "output-dir",
    "title",
    "device",
    "seed",
    "quiet",
];

/// The job, and where its options come from.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    /// TOML or YAML file with options; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Models and device")]
    config: Option<PathBuf>,
    #[command(flatten)]
    job: Job,
}

impl Works for Options {
    fn work(&self, host: &Host<'_>) -> anyhow::Result<()> {
        let classify = |prompt: &_| {
            let class = WorldQuality::classify(prompt)?;
            Some(PromptClass { kind: class.kind, category: class.category.to_owned() })
        };
        let world = World { rule: &WorldQuality, classify: &classify };
        align_cli::end_tidily();
        let report = align_eval::evaluate(&self.job, host, Some(world))?;
        align_cli::print(align_report::summary(&report))?;
        let page = self.job.output.output_dir.join("report.html");
        align_cli::print(format_args!("report written to {}", page.display()))?;
        align_cli::print_place(&page)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
