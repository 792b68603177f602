//! What a checkpoint holds of the loop itself, beside weights, optimizer and the method's own state.

use std::path::{Path, PathBuf};

use align_train::{Checkpoint, Error, Result, Run, Updater};
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
    pub(super) learning_rate_scale: f64,
    pub(super) alarms: Vec<(usize, Alarm)>,
    pub(super) watch: Value,
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
        let state: State = checkpoint.read_json(STATE)?;
        method.restore_state(&method_folder(checkpoint)?)?;
        watch.restore(&state.watch)?;
        Ok(state)
    })();
    let mut state = restored.map_err(Error::resume(checkpoint.path()))?;
    updater.set_learning_rate_scale(state.learning_rate_scale);
    if state.healthy {
        state.last_good = Some(checkpoint.path().to_owned());
    } else if let Some(name) = state.last_good.as_deref().and_then(Path::file_name) {
        // The directory may have been moved since the path was noted.
        let here = run.output_dir().join(name);
        state.last_good = if here.is_dir() { Some(here) } else { state.last_good };
    }
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
    if state.healthy {
        state.last_good = Some(checkpoint.path().to_owned());
    }
    Ok(checkpoint)
}
