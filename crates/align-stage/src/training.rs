//! From an objective to a trained model on disk: the run, what was measured before and after it, the report.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use align_files::write_json;
use align_kernels::{Isa, Params};
use align_models::ModelDir;
use align_train::{
    Batches, Error as TrainError, Evaluate, Layout, LogEntry, Objective, OnLog, Outcome, Run, Stop, Updater,
    check_metric, fit,
};
use serde::Serialize;

use crate::first_batch::FIRST_BATCH_FILE;
use crate::{Error, Event, Host, Look, Opening, Result, RunFigures, same};

const REPORT: &str = "report.json";

/// A training run before it begins: parameters, objective and micro-batches.
pub struct Training<'a, O, B> {
    /// The trainable parameters.
    pub params: &'a Params,
    /// The objective: what is minimised.
    pub objective: O,
    /// The source of micro-batches.
    pub batches: B,
    /// Rows in an epoch.
    pub rows: usize,
    /// Whatever a resumed run must have the same.
    pub fixed: Fixed<'a>,
}

/// The fixed inputs of a run: rows and models that are neither options nor in a checkpoint, and must be the same in
/// a run that is resumed.
#[derive(Default)]
pub struct Fixed<'a> {
    /// Hash of the rows' token ids.
    pub rows: &'a str,
    /// Hashes of models that are not trained, by what they are for.
    pub models: BTreeMap<&'static str, String>,
}

/// A run that has ended well, and whose model is saved.
pub struct Ended<L> {
    /// The figures that every run has.
    pub figures: RunFigures,
    /// Looks at the held-out rows before and after, if there are any.
    pub looks: Option<(L, L)>,
    /// The directory that the run wrote to.
    pub output_dir: PathBuf,
}

/// A trained model.
#[derive(Clone, Debug)]
pub struct Trained<R> {
    /// Its directory.
    pub output_dir: PathBuf,
    /// The report of the run: `report.json` there.
    pub report: R,
}

impl<O, B> Training<'_, O, B>
where
    O: Objective,
    B: Batches<Batch = O::Batch>,
{
    /// Trains from the beginning or from where a checkpoint stands, and saves the model. `look` measures
    /// `held_out` after so many updates: before the first and after the last, on all ranks. None after a dry run, which
    /// makes no step and writes nothing, and on ranks that are not the first.
    ///
    /// # Errors
    /// What the objective, the batches and the evaluation raise, and files that cannot be written.
    /// [`Error::Interrupted`] if somebody asked to stop.
    pub fn run<H: Evaluate, L>(
        mut self,
        opening: &Opening<'_>,
        mut held_out: Option<H>,
        look: impl Fn(&mut H, usize, &Stop) -> align_train::Result<L>,
    ) -> Result<Option<Ended<L>>> {
        let Opening { host, config, model, .. } = opening;
        let total_steps = config.total_steps(self.batches.batches_per_epoch()?);
        let save = |dir: &Path| model.save(self.params, dir).map_err(TrainError::stage);
        let on_log = |entry: &LogEntry| told(opening, entry);
        if let Some(held_out) = &mut held_out {
            check_metric(config, held_out, &host.stop)?;
        }
        let started = start(opening, self.params, total_steps, &self.fixed, save, &on_log)?;
        let Some((mut updater, mut run)) = started else {
            opening.predict_scaling((&self.objective, &mut self.batches), self.params)?;
            return Ok(None);
        };
        let seen = |held_out: &mut Option<H>, step| {
            held_out.as_mut().map(|held_out| look(held_out, step, &host.stop)).transpose()
        };
        let before = seen(&mut held_out, 0)?;
        let evaluation = held_out.as_mut().map(|held_out| held_out as &mut dyn Evaluate);
        let outcome = fit(&mut self.objective, evaluation, &mut self.batches, &mut updater, &mut run)?;
        let outcome = went_on(outcome)?;
        // The first rank saves; the others wait for it where they look together.
        if let Some(output) = run.output() {
            output.check_held()?;
            opening.save_trained(self.params, run.output_dir())?;
        }
        let after = seen(&mut held_out, updater.step())?;
        if run.output().is_none() {
            return Ok(None);
        }
        let figures = RunFigures::new(opening, &outcome, &run, self.rows);
        Ok(Some(Ended { figures, looks: before.zip(after), output_dir: run.output_dir().to_owned() }))
    }
}

/// Opens the run and what makes its `total_steps` updates of `params`; training starts. None in a dry run, of which it
/// says how long it would be. `save` writes the model as it is at that moment into a directory; `on_log` is [`told`].
///
/// # Errors
/// Options that do not fit the length of the run, a checkpoint that cannot be resumed, files that cannot be written.
pub fn start<'a>(
    opening: &Opening<'_>,
    params: &Params,
    total_steps: usize,
    fixed: &Fixed<'_>,
    save: impl Fn(&Path) -> align_train::Result<()> + 'a,
    on_log: &'a OnLog<'a>,
) -> Result<Option<(Updater, Run<'a>)>> {
    let Opening { host, place, config, model, .. } = opening;
    let part = |(name, place): (&str, _)| (name.to_owned(), place);
    let layout = model.layout()?.into_iter().map(|tensor| {
        let parts = tensor.places().into_iter().map(part).collect();
        (tensor.name, parts)
    });
    let updater = config.updater(params, total_steps)?.with_layout(Layout::new(layout));
    let settings = serde_json::json!({
        "options": opening.options(), "training_rows": fixed.rows, "frozen": fixed.models,
        "cpu": opening.place.device.is_cpu().then(|| Isa::in_use().name()),
    });
    if host.look == Look::DryRun {
        let done = place
            .named()
            .map_or(Ok(0), |(directory, kind)| Run::check_resume(directory, kind, config, &settings))?;
        host.tell(Event::WouldTrain { steps: total_steps.saturating_sub(done), done })?;
        return Ok(None);
    }
    same::check_inputs(opening, params, &settings)?;
    let mut led = None;
    let (directory, resumed_from) = host.ranks.from_first(|| {
        let output = place.create_output_dir()?;
        ModelDir::file_names().into_iter().try_for_each(|name| output.refuse_foreign(name))?;
        output.claim(model.saved_names().chain([REPORT]))?;
        let accepted = Run::accept(output.clone(), config, &settings, save)?;
        place.training_starts(&opening.settings())?;
        if let Some(rows) = opening.first_batch.get() {
            align_files::write(output.path().join(FIRST_BATCH_FILE), rows)?;
        }
        let run = led.insert(accepted.begin(host.control(on_log))?);
        let resumed_from = run.resumed_from().map(|checkpoint| checkpoint.path().to_owned());
        Ok::<_, Error>((run.output_dir().to_owned(), resumed_from))
    })?;
    let run = match led {
        Some(run) => run,
        None => {
            host.tell(Event::Starts { output_dir: &directory })?;
            Run::follow(directory, resumed_from.as_deref(), config, host.control(on_log))?
        }
    };
    Ok(Some((updater, run)))
}

/// Tells the host an entry of the log.
///
/// # Errors
/// If it cannot take it.
pub fn told(opening: &Opening<'_>, entry: &LogEntry) -> align_train::Result<()> {
    opening.host.tell(Event::Logged(entry)).map_err(TrainError::stage)
}

/// The outcome of a run that came to its end.
///
/// # Errors
/// [`Error::Interrupted`] otherwise.
pub fn went_on(outcome: Outcome) -> Result<Outcome> {
    match outcome {
        Outcome::Interrupted { reason, checkpoint } => Err(Error::Interrupted { reason, checkpoint }),
        outcome => Ok(outcome),
    }
}

/// Writes a report to the run's directory, and tells the host.
///
/// # Errors
/// If it cannot be written.
pub fn publish<R: Serialize + Display>(
    host: &Host<'_>,
    output_dir: PathBuf,
    report: R,
) -> Result<Trained<R>> {
    write_json(output_dir.join(REPORT), &report)?;
    host.tell(Event::Report { report: &report, output_dir: &output_dir })?;
    Ok(Trained { output_dir, report })
}
