//! The epoch loop of the offline stages: update, log, evaluate, save, until the steps are done.
//!
//! What happens in a run stands in [`fit`], in order; the objective, the batches and the run are asked there and nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use align_files::write_json;

use crate::windows::Windows;
use crate::{
    Batches, Cursor, Error, Evaluate, Every, Objective, Result, Run, SelectionVerdict, StopReason, Updater,
};

const DATA_CURSOR: &str = "data_cursor.json";
const OBJECTIVE: &str = "objective";

/// The outcome of a run: how it ended. What it measured is in [`Run::state`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were done.
    Completed,
    /// An evaluation metric stopped improving.
    StoppedEarly,
    /// The run was asked to stop; it can be resumed from the checkpoint.
    Interrupted {
        /// The one who asked.
        reason: StopReason,
        /// The checkpoint to go on from.
        checkpoint: PathBuf,
    },
}

impl Outcome {
    /// The outcome's name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::StoppedEarly => "stopped_early",
            Self::Interrupted { .. } => "interrupted",
        }
    }
}

/// Trains for the updater's `total_steps`, from the beginning or from where a checkpoint stands.
///
/// `evaluation` is needed if the options ask for evaluation; the others are those of the stage. At the end
/// the parameters hold the last weights, or the best ones with `load_best_model_at_end`.
///
/// # Errors
/// What the objective, the batches and the evaluation raise; a loss or gradient that is not finite or not
/// written; a file that cannot be written.
pub fn fit<O, B>(
    objective: &mut O,
    mut evaluation: Option<&mut dyn Evaluate>,
    batches: &mut B,
    updater: &mut Updater,
    run: &mut Run<'_>,
) -> Result<Outcome>
where
    O: Objective,
    B: Batches<Batch = O::Batch>,
{
    let config = run.config().clone();
    if config.evaluate != Every::Never && evaluation.is_none() {
        return Err(Error::option(
            "eval_strategy",
            "steps or epoch",
            "needs evaluation data; give eval_dataset",
        ));
    }
    let listening = run.stop().listen();
    let batches_per_epoch = batches.batches_per_epoch()?;
    restore(objective, batches, updater, run)?;
    run.begin(updater, batches_per_epoch)?;

    let ranks = &config.ranks;
    let mut windows = Windows::new(batches, config.micro_batches_per_update(), ranks.clone());
    let mut verdict = SelectionVerdict { is_best: false, stop: run.patience_is_used_up() };
    if run.progress.evaluation_pending || (config.eval_on_start && updater.step() == 0) {
        verdict = evaluate(&mut evaluation, updater, run)?;
        if let Some(reason) = listening.agreed(ranks)? {
            return stopped(reason, save(objective, &windows.cursor(), updater, run)?, run);
        }
        if verdict.is_best && run.ends_with_best() {
            save(objective, &windows.cursor(), updater, run)?;
        }
    }
    while updater.step() < updater.total_steps() && !verdict.stop {
        let began = Instant::now();
        let window = windows.next()?;
        let update = updater.update(objective, &window.batches)?;
        run.record(&update, window.count, window.ends_epoch, began.elapsed())?;

        let ends_run = update.step == updater.total_steps();
        let is_due = |every: Every| every.is_due(update.step, window.ends_epoch, ends_run);
        verdict = SelectionVerdict::default();
        if is_due(config.evaluate) {
            verdict = evaluate(&mut evaluation, updater, run)?;
        }
        let stopping = listening.agreed(ranks)?;
        if is_due(config.save) || (verdict.is_best && run.ends_with_best()) || stopping.is_some() {
            let checkpoint = save(objective, &windows.cursor(), updater, run)?;
            if let Some(reason) = stopping {
                return stopped(reason, checkpoint, run);
            }
        }
    }

    run.finish()?;
    if let Some(best) = run.best()? {
        updater.load_weights(&best)?;
    }
    Ok(if verdict.stop { Outcome::StoppedEarly } else { Outcome::Completed })
}

/// Puts everything back to where the checkpoint was made, if the run is resumed from one.
fn restore<O, B>(objective: &mut O, batches: &mut B, updater: &mut Updater, run: &Run<'_>) -> Result<()>
where
    O: Objective,
    B: Batches<Batch = O::Batch>,
{
    let Some(checkpoint) = run.resumed_from() else { return Ok(()) };
    let restored = (|| {
        updater.restore(checkpoint)?;
        batches.seek(&checkpoint.read_json(DATA_CURSOR)?)?;
        checkpoint.folder(OBJECTIVE)?.map_or(Ok(()), |state| objective.restore_state(&state))
    })();
    restored.map_err(Error::resume(checkpoint.path()))?;
    tracing::info!("resumed from {} at step {}", checkpoint.path().display(), checkpoint.step());
    Ok(())
}

fn evaluate(
    evaluation: &mut Option<&mut dyn Evaluate>,
    updater: &mut Updater,
    run: &mut Run<'_>,
) -> Result<SelectionVerdict> {
    let Some(evaluation) = evaluation else {
        run.progress.evaluation_pending = false;
        return Ok(SelectionVerdict::default());
    };
    let began = Instant::now();
    let ranks = &run.config().ranks;
    let measured = run.stop().all_go_on(ranks).and_then(|()| evaluation.evaluate(updater.step(), run.stop()));
    let measured = match measured {
        Err(Error::Interrupted(_)) => Ok(None),
        measured => measured.map(Some),
    };
    // What decides about the best model is one number, whatever an evaluation divides.
    let measured = ranks.agree(measured)?.swap_remove(0);
    // An evaluation can take minutes, which a process that was told to stop may not have: the run that goes on makes it.
    run.progress.evaluation_pending = measured.is_none();
    match measured {
        None => Ok(SelectionVerdict::default()),
        Some(metrics) => {
            let verdict = run.record_evaluation(&metrics, began.elapsed())?;
            // As in transformers, the evaluation before the first update changes no learning rate.
            if updater.step() > 0 {
                updater.evaluated(&metrics)?;
            }
            Ok(verdict)
        }
    }
}

/// The end of a run that was asked to stop and that goes on from this checkpoint.
fn stopped(reason: StopReason, checkpoint: PathBuf, run: &mut Run<'_>) -> Result<Outcome> {
    run.pause()?;
    Ok(Outcome::Interrupted { reason, checkpoint })
}

fn save<O: Objective>(
    objective: &O,
    cursor: &Cursor,
    updater: &Updater,
    run: &mut Run<'_>,
) -> Result<PathBuf> {
    let stage = |dir: &Path| {
        write_json(dir.join(DATA_CURSOR), cursor)?;
        let state = dir.join(OBJECTIVE);
        fs::create_dir(&state).map_err(Error::io(&state))?;
        objective.save_state(&state)?;
        // Most objectives have no state: a directory that stayed empty goes, one that did not stays.
        fs::remove_dir(&state)
            .or_else(|error| if state.is_dir() { Ok(()) } else { Err(error) })
            .map_err(Error::io(&state))
    };
    Ok(run.save(updater, stage)?.path().to_owned())
}
