//! Which evaluation is the best so far, and whether enough have passed without a better one.

use crate::progress::Progress;
use crate::{Curve, Error, Evaluate, Metrics, Result, Selection, Stop, TrainConfig, TrainerState};

/// Looks, before anything is trained, whether the evaluation measures the metric that decides about the best model and the
/// learning rate.
///
/// # Errors
/// [`Error::UnknownMetric`] if it does not, and what keeps the model from being measured.
pub fn check_metric(config: &TrainConfig, evaluation: &mut dyn Evaluate, stop: &Stop) -> Result<()> {
    let metric = match (&config.selection, &config.curve) {
        (Some(Selection { metric, .. }), _) => metric,
        (None, Curve::Plateau(plateau)) => &plateau.metric,
        _ => return Ok(()),
    };
    // A few rows have most metrics. What they lack, all rows may have: figures of pairs of a kind.
    if metric == "loss" || evaluation.sample(stop)?.get(metric).is_some() {
        return Ok(());
    }
    value(metric, &evaluation.evaluate(0, stop)?).map(drop)
}

/// The metric of this name.
pub(crate) fn value(metric: &str, metrics: &Metrics) -> Result<f64> {
    metrics.get(metric).ok_or_else(|| {
        let available = metrics.values().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        Error::UnknownMetric { metric: metric.to_owned(), available }
    })
}

/// The verdict on an evaluation: what it means for the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelectionVerdict {
    /// The model is better than at any evaluation before.
    pub is_best: bool,
    /// Patience is used up.
    pub stop: bool,
}

/// Compares an evaluation with the best before it and notes the outcome. As in transformers, any
/// improvement makes a new best, but only one by more than the threshold restores patience.
pub(crate) fn judge(
    selection: &Selection,
    metrics: &Metrics,
    state: &mut TrainerState,
    progress: &mut Progress,
) -> Result<SelectionVerdict> {
    let value = value(&selection.metric, metrics)?;
    // A NaN improves on nothing, not even on no evaluation at all.
    let gain = match state.best_metric {
        None if value.is_nan() => f64::NEG_INFINITY,
        None => f64::INFINITY,
        Some(best) if selection.greater_is_better => value - best,
        Some(best) => best - value,
    };
    let is_best = gain > 0.0;
    if is_best {
        state.best_metric = Some(value);
        state.best_global_step = Some(state.global_step);
    }
    if gain > selection.early_stopping_threshold {
        progress.evaluations_without_improvement = 0;
    } else {
        progress.evaluations_without_improvement += 1;
    }
    let patience = selection.early_stopping_patience;
    let stop = patience.is_some_and(|patience| progress.evaluations_without_improvement >= patience);
    Ok(SelectionVerdict { is_best, stop })
}
