//! Checkpoints of a run: saving one, and finding the best.

use std::path::Path;

use align_files::write_json;

use super::{PROGRESS, Run, SETTINGS, TRAINER_STATE};
use crate::optimizer::{Ask, Question};
use crate::{Checkpoint, Error, Noted, Result, Updater, checkpoints, same};

impl Run<'_> {
    /// Saves a checkpoint of the updater's step, then removes those beyond `save_total_limit`. `stage`
    /// writes what belongs to the stage: the data cursor, the objective's state. Of several ranks the first writes, and the
    /// others wait.
    ///
    /// # Errors
    /// If it cannot be written, earlier checkpoints are then as they were; ranks whose weights are no longer the same.
    pub fn save(&mut self, updater: &Updater, stage: impl FnOnce(&Path) -> Result<()>) -> Result<Checkpoint> {
        let ranks = self.config.ranks.clone();
        same::check_weights(&ranks, updater.params())?;
        let mut written = None;
        let save = |ask: &Ask<'_>| {
            let checkpoint = self.write(updater, stage, ask)?;
            Ok::<_, Error>(written.insert(checkpoint).path().to_owned())
        };
        let path = ranks.first_asks(save, |question: &Question| updater.answer(question))?;
        written.map_or_else(|| Checkpoint::listed(&path), Ok)
    }

    fn write(
        &mut self,
        updater: &Updater,
        stage: impl FnOnce(&Path) -> Result<()>,
        ask: &Ask<'_>,
    ) -> Result<Checkpoint> {
        let Some(output) = &self.output else {
            return Err(Error::output_dir(&self.directory, "is another rank's"));
        };
        let step = updater.step();
        let mut progress = self.progress.clone();
        progress.seconds += self.started.elapsed().as_secs_f64();
        let checkpoint = Checkpoint::write(output, step, |dir| {
            (self.save_model)(dir)?;
            updater.save(dir, ask)?;
            stage(dir)?;
            write_json(dir.join(TRAINER_STATE), &self.state)?;
            write_json(dir.join(PROGRESS), &progress)?;
            Ok(write_json(dir.join(SETTINGS), &self.settings)?)
        })?;
        if self.state.best_global_step == Some(step) {
            self.progress.best = Some(Noted::of(&checkpoint));
            self.best = Some(checkpoint.clone());
        }
        self.rotate(step)?;
        Ok(checkpoint)
    }

    /// Removes checkpoints beyond `save_total_limit`, but not that of `step`, which is the one to go on from.
    pub(super) fn rotate(&self, step: usize) -> Result<()> {
        let (Some(limit), Some(output)) = (self.config.save_total_limit, &self.output) else { return Ok(()) };
        let best = self.ends_with_best().then_some(self.state.best_global_step).flatten();
        let kept = self.kept.as_deref().and_then(checkpoints::step_of);
        checkpoints::rotate(output, limit, &[Some(step), best, kept].into_iter().flatten().collect())
    }

    /// The checkpoint of the best evaluation, if the run is to end with it.
    ///
    /// # Errors
    /// If it is gone, damaged, or another by now.
    pub fn best(&self) -> Result<Option<Checkpoint>> {
        let ranks = &self.config.ranks;
        let mut opened = None;
        let path = ranks.from_first(|| {
            opened = self.own_best()?;
            Ok::<_, Error>(opened.as_ref().map(|best| best.path().to_owned()))
        })?;
        if ranks.leads() { Ok(opened) } else { path.map(|path| Checkpoint::open(&path)).transpose() }
    }

    fn own_best(&self) -> Result<Option<Checkpoint>> {
        let Some(best) = self.best.as_ref().filter(|_| self.ends_with_best()) else { return Ok(None) };
        let found = Checkpoint::open(best.path())?;
        if found.id() == best.id() {
            return Ok(Some(found));
        }
        Err(Error::checkpoint(best.path(), "is another by now than the one that was saved"))
    }
}
