//! A run: its output directory, its log, its checkpoints.
//!
//! `fit` drives it for the offline stages; a stage with a loop of its own calls the same methods. It holds
//! everything about a run that is not in the updater, the objective or the source of batches.

mod accepted;
mod control;
mod saving;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use align_files::{OutputDir, write_json};
use serde::Serialize;
use serde_json::Value;

use crate::checkpoint;
use crate::progress::Progress;
use crate::report::Reports;
use crate::selection::{self, SelectionVerdict};
use crate::{Checkpoint, Every, LogEntry, Metrics, Result, Stop, TrainConfig, TrainerState, Update, Updater};

pub use accepted::AcceptedRun;
pub use control::{OnLog, RunControl};

const TRAINER_STATE: &str = "trainer_state.json";
const PROGRESS: &str = "progress.json";
const SETTINGS: &str = "options.json";

/// Writes the model as it is at that moment into a directory.
type SaveModel<'a> = Box<dyn Fn(&Path) -> Result<()> + 'a>;

/// A run: its output directory, log and checkpoints.
pub struct Run<'a> {
    directory: PathBuf,
    /// What only the rank that writes has.
    output: Option<OutputDir>,
    config: TrainConfig,
    settings: Value,
    save_model: SaveModel<'a>,
    resume: Option<Checkpoint>,
    /// That of the best evaluation, if one was saved.
    best: Option<Checkpoint>,
    /// A checkpoint that stays whatever the limit says.
    kept: Option<PathBuf>,
    state: TrainerState,
    pub(crate) progress: Progress,
    batches_per_epoch: usize,
    reports: Option<Reports>,
    control: RunControl<'a>,
    started: Instant,
}

impl<'a> Run<'a> {
    /// A run that is accepted and begun at once: [`Run::accept`], for whoever has nothing to do in between.
    ///
    /// # Errors
    /// As [`Run::accept`] and [`AcceptedRun::begin`].
    pub fn open(
        output: OutputDir,
        config: &TrainConfig,
        settings: &impl Serialize,
        save_model: impl Fn(&Path) -> Result<()> + 'a,
    ) -> Result<Self> {
        Self::accept(output, config, settings, save_model)?.begin(RunControl::default())
    }

    /// The directory that everything is written to.
    pub fn output_dir(&self) -> &Path {
        &self.directory
    }

    /// The output directory, for who writes more there than the run does; none on a rank that does not write.
    pub fn output(&self) -> Option<&OutputDir> {
        self.output.as_ref()
    }

    /// Spares a checkpoint, and no longer the one before, from `save_total_limit`: the one that a stage may go back to.
    pub fn keep(&mut self, checkpoint: Option<&Path>) {
        self.kept = checkpoint.map(Path::to_owned);
    }

    /// The options the run goes by.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The checkpoint that the run starts from, if it is resumed.
    pub fn resumed_from(&self) -> Option<&Checkpoint> {
        self.resume.as_ref()
    }

    /// The stop token, which asks the run to stop.
    pub fn stop(&self) -> &Stop {
        &self.control.stop
    }

    /// The state of the run so far, with everything that was logged.
    pub fn state(&self) -> &TrainerState {
        &self.state
    }

    /// Starts the clock and the progress bar: the run stands at the updater's step. Of a run that goes on under a lower
    /// `save_total_limit` the oldest checkpoints go.
    ///
    /// # Errors
    /// A checkpoint that cannot be removed.
    pub fn begin(&mut self, updater: &Updater, batches_per_epoch: usize) -> Result<()> {
        let megabytes = updater.optimizer_bytes() as f64 / 1e6;
        tracing::info!("the optimizer's state takes {megabytes:.1} MB");
        if let Some(resumed) = &self.resume {
            self.rotate(resumed.step())?;
        }
        let steps = |every| if let Every::Steps(steps) = every { steps } else { 0 };
        self.batches_per_epoch = batches_per_epoch;
        self.state.max_steps = updater.total_steps();
        self.state.num_train_epochs =
            updater.total_steps().div_ceil(self.config.steps_per_epoch(batches_per_epoch));
        self.state.train_batch_size = self.config.per_device_train_batch_size;
        self.state.logging_steps = self.config.logging_steps;
        self.state.eval_steps = steps(self.config.evaluate);
        self.state.save_steps = steps(self.config.save);
        self.started = Instant::now();
        if let (true, Some(reports)) = (self.control.progress_bar, &mut self.reports) {
            reports.show_bar(updater.step(), updater.total_steps());
        }
        Ok(())
    }

    /// Takes account of an update made from so many micro-batches, and logs it if that is due.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn record(
        &mut self,
        update: &Update,
        batches: usize,
        ends_epoch: bool,
        took: Duration,
    ) -> Result<()> {
        self.progress.record(update, batches, ends_epoch, took);
        self.state.global_step = update.step;
        self.state.epoch = self.progress.epoch(self.batches_per_epoch);
        self.state.num_input_tokens_seen =
            self.progress.since_log.get("num_tokens").unwrap_or_default() as usize;
        if let Some(reports) = &mut self.reports {
            reports.step(update.step, took.as_secs_f64(), update);
        }
        let first = update.step == 1 && self.config.logging_first_step;
        if first || update.step.is_multiple_of(self.config.logging_steps) {
            self.log_training(update)?;
        }
        Ok(())
    }

    /// Takes account of a phase of an on-policy loop: its updates, and `metrics` of the phase as a whole. One entry is
    /// logged if it is due after any of the updates. A phase counts as a micro-batch of the epoch.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn record_phase(&mut self, updates: &[Update], metrics: &Metrics, took: Duration) -> Result<()> {
        let each = took / updates.len().max(1) as u32;
        for update in updates {
            self.progress.record(update, 0, false, each);
            self.state.global_step = update.step;
            if let Some(reports) = &mut self.reports {
                reports.step(update.step, each.as_secs_f64(), update);
            }
        }
        self.progress.since_log.merge(metrics);
        self.progress.batches_done += 1;
        self.state.epoch = self.progress.epoch(self.batches_per_epoch);
        let first = self.config.logging_first_step && updates.iter().any(|update| update.step == 1);
        let due = updates.iter().any(|update| update.step.is_multiple_of(self.config.logging_steps));
        match updates.last() {
            Some(last) if first || due => self.log_training(last),
            _ => Ok(()),
        }
    }

    /// Logs something that happened, as it is.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn record_event(&mut self, entry: LogEntry) -> Result<()> {
        self.log(entry)
    }

    /// True if a checkpoint is due after updates up to `step`, of which `before` had been made when the phase
    /// began.
    pub fn save_is_due(&self, before: usize, step: usize, ends_epoch: bool, ends_run: bool) -> bool {
        match self.config.save {
            Every::Never => false,
            Every::Steps(every) => before / every < step / every || ends_run,
            Every::Epoch => ends_epoch || ends_run,
        }
    }

    /// Logs an evaluation under `eval_` names and judges it.
    ///
    /// # Errors
    /// If the log cannot be written, or the metric to judge by was not measured.
    pub fn record_evaluation(&mut self, metrics: &Metrics, took: Duration) -> Result<SelectionVerdict> {
        let mut entry = LogEntry::new();
        for (name, value) in metrics.values() {
            entry.insert(format!("eval_{name}"), value.into());
        }
        entry.insert("eval_runtime".into(), took.as_secs_f64().into());
        self.log(entry)?;
        let Some(selection) = &self.config.selection else { return Ok(SelectionVerdict::default()) };
        if self.state.global_step == 0 {
            // As in transformers, the evaluation before the first update does not compete.
            return Ok(SelectionVerdict::default());
        }
        let verdict = selection::judge(selection, metrics, &mut self.state, &mut self.progress)?;
        if verdict.is_best && selection.load_best_model_at_end {
            let best = self.output_dir().join(checkpoint::name(self.state.global_step));
            self.state.best_model_checkpoint = Some(best.display().to_string());
        }
        Ok(verdict)
    }

    /// Takes the bar away and writes `trainer_state.json` to the output directory: the end of a run that
    /// was interrupted.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn pause(&mut self) -> Result<()> {
        let Some(reports) = &mut self.reports else { return Ok(()) };
        reports.finish()?;
        Ok(write_json(self.directory.join(TRAINER_STATE), &self.state)?)
    }

    /// Logs runtime, speed and mean loss of the whole run, resumed parts included, then as [`Run::pause`].
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        let seconds = self.train_seconds();
        let steps = self.state.global_step as f64;
        let mut entry = LogEntry::new();
        entry.insert("train_runtime".into(), seconds.into());
        entry.insert("train_samples_per_second".into(), (self.progress.samples as f64 / seconds).into());
        entry.insert("train_steps_per_second".into(), (steps / seconds).into());
        entry.insert("train_loss".into(), self.train_loss().into());
        self.log(entry)?;
        self.pause()
    }

    /// Mean loss over all updates of the run.
    pub fn train_loss(&self) -> f64 {
        self.progress.loss_sum / (self.state.global_step as f64).max(1.0)
    }

    /// Seconds of training since [`Run::begin`], and in the run that was resumed.
    pub fn train_seconds(&self) -> f64 {
        self.progress.seconds + self.started.elapsed().as_secs_f64()
    }

    /// Whether the run ends with the weights of its best evaluation.
    pub(crate) fn ends_with_best(&self) -> bool {
        self.config.selection.as_ref().is_some_and(|selection| selection.load_best_model_at_end)
    }

    /// Whether the run that is resumed had stopped early already.
    pub(crate) fn patience_is_used_up(&self) -> bool {
        let patience = self.config.selection.as_ref().and_then(|selection| selection.early_stopping_patience);
        patience.is_some_and(|patience| self.progress.evaluations_without_improvement >= patience)
    }

    /// Means since the last entry; norm and learning rate of the last update; counts since the beginning.
    fn log_training(&mut self, update: &Update) -> Result<()> {
        let since_log = &self.progress.since_log;
        let mut entry = LogEntry::new();
        entry.insert("loss".into(), since_log.get("loss").into());
        entry.insert("grad_norm".into(), update.grad_norm.into());
        entry.insert("learning_rate".into(), update.learning_rate.into());
        for (name, value) in since_log.values().filter(|(name, _)| *name != "loss") {
            entry.insert(name.to_owned(), value.into());
        }
        self.progress.since_log.clear_means();
        self.log(entry)
    }

    fn log(&mut self, mut entry: LogEntry) -> Result<()> {
        entry.insert("epoch".into(), self.state.epoch.into());
        entry.insert("step".into(), self.state.global_step.into());
        if let Some(reports) = &mut self.reports {
            reports.log(self.state.global_step, &entry)?;
            if let Some(on_log) = self.control.on_log {
                on_log(&entry)?;
            }
        }
        self.state.log_history.push(entry);
        Ok(())
    }
}
