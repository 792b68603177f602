//! Evaluation with a training objective: the same loss over held-out batches, without an update.

use crate::updater::totals;
use crate::{Batches, Error, Metrics, Objective, Result, Stop};

/// The objective's loss and metrics over one epoch of `batches`, as if all of it were one batch: each
/// loss term is divided by its amount in the whole epoch, whatever the micro-batch size.
///
/// `batches` must stand at the start of an epoch, and does so again afterwards. The objective should hold
/// its policy as a view, so that no graph is recorded.
///
/// # Errors
/// What `batches` and the objective raise; a loss or metric that is not finite, with its rows; [`Error::Interrupted`] once `stop`
/// asks.
pub fn evaluate<O, B>(objective: &O, batches: &mut B, stop: &Stop) -> Result<Metrics>
where
    O: Objective,
    B: Batches<Batch = O::Batch>,
{
    let mut epoch = Vec::new();
    while let Some(batch) = batches.next()? {
        epoch.push(batch);
    }
    let totals = totals(objective, &epoch);
    let mut metrics = Metrics::default();
    let mut loss = 0.0;
    for batch in &epoch {
        stop.go_on()?;
        let (share_of_loss, of_batch) = objective.loss(batch, &totals)?.read()?;
        let mut measured = std::iter::once(("loss", share_of_loss)).chain(of_batch.values());
        if let Some((metric, value)) = measured.find(|(_, value)| !value.is_finite()) {
            let rows = objective.rows(batch).join(", ");
            return Err(Error::NotMeasured { metric: metric.to_owned(), value, rows });
        }
        loss += share_of_loss;
        metrics.merge(&of_batch);
    }
    if !epoch.is_empty() {
        metrics.mean("loss", loss, 1.0);
    }
    Ok(metrics)
}
