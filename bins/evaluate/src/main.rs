//! Did it get better: models compared, judged, and held to account. Each section of the report is measured if its input is
//! named, and all of them become one `report.json`, `report.md` and `report.html`.

mod check;
mod comparing;
mod critique;
mod hacking;
mod inputs;
mod judging;
mod models;
mod options;
mod preferences;

use std::process::ExitCode;
use std::time::Instant;

use align_cli::{Invocation, Program};
use align_eval::PairSet;
use align_report::Report;
use anyhow::Context as _;
use inputs::Inputs;
use options::Options;

const PROGRAM: Program = Program {
    name: "evaluate",
    about: "Did it get better: models compared, judged, and held to account, as one report.",
    recipe: None,
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, evaluate)
}

fn evaluate(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    options.check(invocation)?;
    let start = Instant::now();
    let dir = &options.output.output_dir;
    let unusable = |error| anyhow::anyhow!("output_dir {error}");
    Report::check_place(dir).map_err(unusable)?;
    let inputs = Inputs::read(options)?;
    if inputs.pairs.iter().flat_map(PairSet::rankings).all(|pair| pair.source.is_none()) {
        invocation.refuse_given(&["subset_column"], "no pair has such a column")?;
    }
    if options.endpoint.judge_url.is_some() {
        judging::replies(options)?; // read once before models run for minutes
    }
    // All inputs are right: from here on something may be made.
    align_cli::end_tidily();
    let output = Report::take(dir).map_err(unusable)?;
    let mut report = Report::new(options.output.title.as_str());
    report.settings = settings(invocation)?;
    invocation.work_starts();

    if let Some(prompts) = &inputs.prompts {
        let (comparison, notes) = comparing::compare(options, &inputs, prompts)?;
        report.comparison = Some(comparison);
        report.notes.extend(notes);
        report.best_of.extend(comparing::best_of(options, &inputs, prompts)?);
        report.critique = critique::critique(options, &inputs, prompts)?;
    }
    report.preferences = preferences::preferences(options, &inputs)?;
    report.hacking = hacking::hacking(options, &inputs)?;
    report.runs = inputs.runs;

    report.fill_costs();
    report.created = chrono::Local::now().format("%Y-%m-%d %H:%M").to_string();
    report.seconds = Some(start.elapsed().as_secs_f64());
    report.peak_memory_mb = align_hub::policy::peak_memory_mb();
    report.write(dir).with_context(|| format!("output_dir {}", dir.display()))?;
    drop(output);
    align_cli::print(align_report::summary(&report))?;
    align_cli::print(format_args!("report written to {}", dir.join("report.html").display()))
}

/// Every option by its name, for whoever wants to repeat it.
fn settings(
    invocation: &Invocation,
) -> anyhow::Result<std::collections::BTreeMap<String, serde_json::Value>> {
    Ok(toml::from_str(&invocation.settings)?)
}
