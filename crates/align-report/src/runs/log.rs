//! Logs in JSON: a line per entry, or transformers' `log_history`.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Curves, optional};
use crate::{Error, Result};

type Entry = Map<String, Value>;

/// `metrics.jsonl`; none if there is none.
pub(super) fn metrics(dir: &Path) -> Result<Option<Curves>> {
    let path = dir.join("metrics.jsonl");
    let Some(text) = optional(&path)? else { return Ok(None) };
    let mut curves = Curves::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        match serde_json::from_str::<Entry>(line) {
            Ok(entry) => add(&mut curves, &entry),
            // A run that is being written, or was killed, ends in the middle of a line.
            Err(_) if lines.peek().is_none() && !text.ends_with('\n') => {}
            Err(error) => {
                return Err(Error::line(&path, number + 1, format!("expected a JSON object: {error}")));
            }
        }
    }
    Ok(Some(curves))
}

/// `trainer_state.json`; none if there is none.
pub(super) fn trainer_state(dir: &Path) -> Result<Option<Curves>> {
    #[derive(Deserialize)]
    struct State {
        log_history: Vec<Entry>,
    }
    let path = dir.join("trainer_state.json");
    let Some(text) = optional(&path)? else { return Ok(None) };
    let state: State = serde_json::from_str(&text)
        .map_err(|error| Error::content(&path, format!("is no trainer state: {error}")))?;
    let mut curves = Curves::new();
    state.log_history.iter().for_each(|entry| add(&mut curves, entry));
    Ok(Some(curves))
}

/// Adds the finite numbers of an entry. What a run says once, at its end, is no curve.
fn add(curves: &mut Curves, entry: &Entry) {
    let Some(step) = entry.get("step").and_then(Value::as_f64) else { return };
    if entry.contains_key("train_runtime") {
        return;
    }
    for (metric, value) in entry {
        if let Some(value) = value.as_f64()
            && !matches!(metric.as_str(), "step" | "epoch")
        {
            curves.entry(metric.clone()).or_default().push([step, value]);
        }
    }
}
