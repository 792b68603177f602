//! What a checkpoint holds of the loop itself, beside weights, optimizer and the method's own state.

use std::fs;
use std::path::{Path, PathBuf};

use align_train::{Checkpoint, Error, Result, Run, Updater};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Alarm, Method, Watch};

const STATE: &str = "phases.json";
/// The directory of a checkpoint that belongs to the method.
pub(super) const METHOD: &str = "method";

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
    updater.restore(checkpoint)?;
    let path = checkpoint.path().join(STATE);
    let unreadable = |error: &dyn std::fmt::Display| Error::stage(format!("{}: {error}", path.display()));
    let json = fs::read(&path).map_err(|error| unreadable(&error))?;
    let mut state: State = serde_json::from_slice(&json).map_err(|error| unreadable(&error))?;
    method.restore_state(&checkpoint.path().join(METHOD))?;
    watch.restore(&state.watch)?;
    updater.set_learning_rate_scale(state.learning_rate_scale);
    if state.healthy {
        state.last_good = Some(checkpoint.path().to_owned());
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
    let json = serde_json::to_vec_pretty(&json!(state)).map_err(Error::stage)?;
    let checkpoint = run.save(updater, |dir: &Path| {
        fs::write(dir.join(STATE), &json).map_err(Error::stage)?;
        fs::create_dir(dir.join(METHOD)).map_err(Error::stage)?;
        method.save_state(&dir.join(METHOD))
    })?;
    if state.healthy {
        state.last_good = Some(checkpoint.path().to_owned());
    }
    Ok(checkpoint)
}
