//! An evaluation as a whole: models, prompts, pairs and runs in, one report out. Each section is measured if its input is
//! named.

mod check;
mod comparing;
mod critique;
mod hacking;
mod inputs;
mod judging;
mod models;
mod options;
mod preferences;

use std::time::Instant;

use align_models::generation::GenerationOptions;
use align_report::Report;
use align_reward::OutsideOptions;
use align_stage::{Error as StageError, Event, Host, Result, given, settings};
use serde::Serialize;

use crate::{Error, PairSet};
use inputs::Inputs;

pub use judging::{PromptClass, World};
pub use options::{
    CritiqueOptions, EndpointOptions, HackingOptions, JudgeKind, JudgeOptions, ModelOptions, OutputOptions,
    PreferenceOptions, PromptOptions,
};

/// An evaluation job: all its options.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Job {
    /// What is evaluated, and where.
    #[command(flatten)]
    pub models: ModelOptions,
    /// Who gives rewards in the place of a model.
    #[command(flatten)]
    pub outside: OutsideOptions,
    /// What models are asked.
    #[command(flatten)]
    pub prompts: PromptOptions,
    /// How they answer.
    #[command(flatten, next_help_heading = "Generation")]
    pub generation: GenerationOptions,
    /// Who decides.
    #[command(flatten)]
    pub judge: JudgeOptions,
    /// An OpenAI-compatible chat endpoint.
    #[command(flatten)]
    pub endpoint: EndpointOptions,
    /// Accuracy on preference pairs.
    #[command(flatten)]
    pub preferences: PreferenceOptions,
    /// Runs and reward hacking.
    #[command(flatten)]
    pub hacking: HackingOptions,
    /// Constitutional critique.
    #[command(flatten)]
    pub critique: CritiqueOptions,
    /// Where the report goes.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// Measures what the job names, and writes the report into its directory. `world` is what judges if the judge is
/// [`JudgeKind::World`].
///
/// # Errors
/// Options, data or models that are wrong, before the host hears [`Event::Checked`]; checkpoints that cannot be asked
/// ([`StageError::LateInput`]); models that cannot be run, an endpoint that does not answer, files that cannot be written.
pub fn evaluate(job: &Job, host: &Host<'_>, world: Option<World<'_>>) -> Result<Report> {
    let given = given(host, job)?;
    job.check(&given)?;
    let start = Instant::now();
    let dir = &job.output.output_dir;
    Report::check_place(dir).map_err(Error::Place)?;
    let inputs = Inputs::read(job, world)?;
    if inputs.pairs.iter().flat_map(PairSet::rankings).all(|pair| pair.source.is_none()) {
        given.refuse(&["subset_column"], "no pair has such a column")?;
    }
    if job.endpoint.judge_url.is_some() {
        judging::replies(job)?; // read once before models run for minutes
    }
    // All inputs are right: from here on something may be made.
    let output = Report::take(dir).map_err(Error::Place)?;
    if Report::is_in(dir) {
        tracing::warn!("{}: the report there is replaced; `--output-dir` names another place", dir.display());
    }
    let mut report = Report::new(job.output.title.as_str());
    report.settings = toml::from_str(&settings(host, job)?).map_err(StageError::method)?;
    host.tell(Event::Checked)?;

    if let Some(prompts) = &inputs.prompts {
        let (comparison, notes) = comparing::compare(job, &inputs, prompts)?;
        report.comparison = Some(comparison);
        report.notes.extend(notes);
        report.best_of.extend(comparing::best_of(job, &inputs, prompts)?);
        report.critique = critique::critique(job, &inputs, prompts)?;
    }
    report.preferences = preferences::preferences(job, &inputs)?;
    report.hacking = hacking::hacking(job, &inputs)?;
    report.runs = inputs.runs;

    report.fill_costs();
    report.date();
    report.seconds = Some(start.elapsed().as_secs_f64());
    report.peak_memory_mb = align_hub::policy::peak_memory_mb();
    report.write(dir).map_err(|source| Error::Report { dir: dir.clone(), source })?;
    drop(output);
    Ok(report)
}
