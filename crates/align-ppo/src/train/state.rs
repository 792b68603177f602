//! What a checkpoint holds of the loop itself, beside weights, optimizer and the method's own state.

use std::path::{Path, PathBuf};

use align_train::{Checkpoint, Error, Noted, OutputDir, Result, Run, Updater, Use};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Alarm, Method, Watch};

const STATE: &str = "phases.json";
/// The directory of a checkpoint that belongs to the method.
const METHOD: &str = "method";

/// Where the loop stands between two phases.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Phases done.
    pub(super) phase: usize,
    /// A checkpoint is due and waits for a phase in good health.
    pub(super) save_pending: bool,
    /// Whether the last phase gave no reason to act.
    pub(super) healthy: bool,
    /// The last checkpoint of a run in good health.
    pub(super) last_good: Option<PathBuf>,
    /// Which one that is, wherever it may be by now.
    #[serde(default)]
    last_good_noted: Option<Noted>,
    pub(super) learning_rate_scale: f64,
    pub(super) alarms: Vec<(usize, Alarm)>,
    pub(super) watch: Value,
}

impl State {
    /// This is the last checkpoint in good health.
    fn is_good(&mut self, checkpoint: &Checkpoint) {
        self.last_good = Some(checkpoint.path().to_owned());
        self.last_good_noted = Some(Noted::of(checkpoint));
    }
}

/// Where a checkpoint keeps what is the method's.
pub(super) fn method_folder(checkpoint: &Checkpoint) -> Result<PathBuf> {
    let none = || Error::stage(format!("{}: has no state of a method", checkpoint.path().display()));
    checkpoint.folder(METHOD)?.ok_or_else(none)
}

/// Puts everything back to where the checkpoint was made, if the run is resumed from one.
pub(super) fn restore(
    method: &mut dyn Method,
    watch: &mut dyn Watch,
    updater: &mut Updater,
    run: &Run<'_>,
) -> Result<State> {
    let Some(checkpoint) = run.resumed_from() else {
        return Ok(State { healthy: true, learning_rate_scale: 1.0, ..State::default() });
    };
    let restored = (|| {
        updater.restore(checkpoint)?;
        let mut state: State = checkpoint.read_json(STATE)?;
        method.restore_state(&method_folder(checkpoint)?)?;
        watch.restore(&state.watch)?;
        let was = state.last_good.take().unwrap_or_default();
        let noted = state.last_good_noted.take().or_else(|| Noted::by_path(&was));
        match noted {
            _ if state.healthy => state.is_good(checkpoint),
            // One of the same step has taken its place, with the same weights.
            Some(noted) if noted.step == checkpoint.step() => state.is_good(checkpoint),
            Some(noted) => {
                let what = "which the supervisor may go back to";
                let kind = run.output().map_or(Use::New, OutputDir::kind);
                // The first rank looks, for all.
                let good = updater.ranks().from_first(|| {
                    let found = noted.find((run.output_dir(), kind), checkpoint, &was, what)?;
                    Ok::<_, Error>(found.path().to_owned())
                })?;
                state.is_good(&Checkpoint::open(&good)?);
            }
            None => {}
        }
        Ok(state)
    })();
    let state = restored.map_err(Error::resume(checkpoint.path()))?;
    updater.set_learning_rate_scale(state.learning_rate_scale);
    tracing::info!("resumed from {} at step {}", checkpoint.path().display(), checkpoint.step());
    Ok(state)
}

/// Saves a checkpoint, which is the last good one from now on if the run is in good health.
pub(super) fn save(
    state: &mut State,
    method: &dyn Method,
    watch: &dyn Watch,
    updater: &Updater,
    run: &mut Run<'_>,
) -> Result<Checkpoint> {
    state.save_pending = false;
    state.learning_rate_scale = updater.learning_rate_scale();
    state.watch = watch.state();
    // The one to go back to is still the one before, unless this one takes its place.
    run.keep(state.last_good.as_deref().filter(|_| !state.healthy));
    let checkpoint = run.save(updater, |dir: &Path| {
        align_files::write_json(dir.join(STATE), state)?;
        align_files::create_dir_all(dir.join(METHOD))?;
        method.save_state(&dir.join(METHOD))
    })?;
    // Without an update since the last good one this has its weights, and its place.
    let takes_its_place = state.last_good_noted.as_ref().is_some_and(|good| good.step == checkpoint.step());
    if state.healthy || takes_its_place {
        state.is_good(&checkpoint);
    }
    Ok(checkpoint)
}
