//! From an objective to a trained model on disk: the run, what was measured before and after it, the report.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use align_kernels::Params;
use align_models::ModelDir;
use align_stage::RunFigures;
use align_train::{Batches, Error, Evaluate, Objective, Outcome, Run, Updater, fit};
use serde::Serialize;

use crate::Opening;

const REPORT: &str = "report.json";

/// What is to be trained, on what.
pub struct Training<'a, O, B> {
    /// The trainable parameters.
    pub params: &'a Params,
    /// What is minimised.
    pub objective: O,
    /// Where micro-batches come from.
    pub batches: B,
    /// Rows in an epoch.
    pub rows: usize,
    /// What a run can only be resumed on.
    pub fixed: Fixed<'a>,
}

/// What is neither an option nor in a checkpoint and must be the same in a run that is resumed.
#[derive(Default)]
pub struct Fixed<'a> {
    /// Hash of the rows' token ids.
    pub rows: &'a str,
    /// Hashes of models that are not trained, by what they are for.
    pub models: BTreeMap<&'static str, String>,
}

/// A run that has ended well.
pub struct Trained<L> {
    /// What every run has to say.
    pub figures: RunFigures,
    /// How held-out rows looked before and after, if there are any.
    pub looks: Option<(L, L)>,
    output_dir: PathBuf,
}

impl<O, B> Training<'_, O, B>
where
    O: Objective,
    B: Batches<Batch = O::Batch>,
{
    /// Trains from the beginning or from where a checkpoint stands, and saves the model. `look` measures
    /// `held_out` after so many updates: before the first and after the last. None after a dry run, which
    /// makes no step and writes nothing.
    ///
    /// # Errors
    /// What the objective, the batches and the evaluation raise, and files that cannot be written. A signal
    /// ends the run with an error that says how to go on.
    pub fn run<H: Evaluate, L>(
        mut self,
        opening: &Opening<'_>,
        options: &impl Serialize,
        mut held_out: Option<H>,
        look: impl Fn(&mut H, usize) -> align_train::Result<L>,
    ) -> anyhow::Result<Option<Trained<L>>> {
        let Opening { session, config, model, .. } = opening;
        let total_steps = config.total_steps(self.batches.batches_per_epoch()?);
        let save = |dir: &Path| model.save(self.params, dir).map_err(Error::stage);
        let started = start(opening, self.params, total_steps, options, &self.fixed, save)?;
        let Some((mut updater, mut run)) = started else { return Ok(None) };
        let before = held_out.as_mut().map(|held_out| look(held_out, 0)).transpose()?;
        let evaluation = held_out.as_mut().map(|held_out| held_out as &mut dyn Evaluate);
        let outcome = fit(&mut self.objective, evaluation, &mut self.batches, &mut updater, &mut run);
        let outcome = outcome.map_err(unresumable)?;
        if let Outcome::Interrupted { signal, checkpoint } = &outcome {
            let go_on = format!("go on with --resume-from-checkpoint {}", checkpoint.display());
            return Err(align_cli::interrupted(*signal, go_on));
        }
        run.output().check_held().map_err(Error::from)?;
        save(run.output_dir())?;
        let after = held_out.as_mut().map(|held_out| look(held_out, updater.step())).transpose()?;
        let peak_memory = align_cli::peak_memory_mb();
        let figures = RunFigures::new(session.stage(), &outcome, &run, self.rows, peak_memory);
        Ok(Some(Trained { figures, looks: before.zip(after), output_dir: run.output_dir().to_owned() }))
    }
}

/// Opens the run and what makes its `total_steps` updates of `params`; training starts. None in a dry run, of which it
/// says how long it would be. `save` writes the model as it is at that moment into a directory.
///
/// # Errors
/// Options that do not fit the length of the run, a checkpoint that cannot be resumed, files that cannot be written.
pub fn start<'a>(
    opening: &Opening<'_>,
    params: &Params,
    total_steps: usize,
    options: &impl Serialize,
    fixed: &Fixed<'_>,
    save: impl Fn(&Path) -> align_train::Result<()> + 'a,
) -> anyhow::Result<Option<(Updater, Run<'a>)>> {
    let Opening { session, config, model, .. } = opening;
    let updater = config.updater(params, total_steps)?;
    let settings = serde_json::json!({ "options": opening.all(options)?, "training_rows": fixed.rows, "frozen": fixed.models });
    if session.dry_run {
        if let Some((directory, kind)) = session.named() {
            Run::check_resume(directory, kind, config, &settings)?;
        }
        align_cli::print(format_args!("{total_steps} steps would be made; nothing was written"))?;
        return Ok(None);
    }
    let output = session.create_output_dir()?;
    ModelDir::file_names().into_iter().try_for_each(|name| output.refuse_foreign(name))?;
    output.claim(model.saved_names().chain([REPORT]))?;
    let accepted = Run::accept(output.clone(), config, &settings, save)?;
    session.training_starts(&opening.defaulted_lines())?;
    Ok(Some((updater, accepted.begin()?)))
}

/// A checkpoint that cannot be gone on from is the input's fault, although training has started when it is read.
pub fn unresumable(error: Error) -> anyhow::Error {
    match error {
        error @ Error::Resume { .. } => align_cli::input_error(error),
        error => error.into(),
    }
}

/// Writes a report to the run's directory and shows it.
///
/// # Errors
/// If it cannot be written.
pub fn publish<R: Serialize + Display>(output_dir: &Path, report: &R) -> anyhow::Result<()> {
    align_cli::write_json(output_dir.join(REPORT), report)?;
    align_cli::print(format_args!("\n{report}\nmodel written to {}", output_dir.display()))
}

impl<L> Trained<L> {
    /// Takes the figures and looks out for a report, then writes and shows it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn report<R: Serialize + Display>(
        self,
        report: impl FnOnce(RunFigures, Option<(L, L)>) -> R,
    ) -> anyhow::Result<()> {
        publish(&self.output_dir, &report(self.figures, self.looks))
    }
}
