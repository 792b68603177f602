//! Evaluation with a training objective: the same loss over held-out batches, without an update.

use crate::updater::totals;
use crate::{Batches, Error, Metrics, Objective, Ranks, Result, Stop};

/// The objective's loss and metrics over one epoch of `batches`, as if all of it were one batch: each
/// loss term is divided by its amount in the whole epoch, whatever the micro-batch size. Ranks divide the batches among themselves,
/// and all get the figures that one gets, to the bit: batches are the same, and added up in the same order.
///
/// `batches` must stand at the start of an epoch, and does so again afterwards. The objective should hold
/// its policy as a view, so that no graph is recorded.
///
/// # Errors
/// What `batches` and the objective raise; a loss or metric that is not finite, with its rows; [`Error::Interrupted`], on all ranks,
/// once `stop` asks one.
pub fn evaluate<O, B>(objective: &O, batches: &mut B, ranks: &Ranks, stop: &Stop) -> Result<Metrics>
where
    O: Objective,
    B: Batches<Batch = O::Batch>,
{
    let mut epoch = Vec::new();
    while let Some(batch) = batches.next()? {
        epoch.push(batch);
    }
    let totals = totals(objective, &epoch);
    let measured = |number: usize| {
        // Who was asked to stop says so in the place of the figures: it is no failure.
        if let Some(reason) = stop.reason() {
            return Ok(Err(reason));
        }
        let batch = &epoch[number];
        let (share_of_loss, of_batch) = objective.loss(batch, &totals)?.read()?;
        let mut figures: Vec<_> = of_batch.values().collect();
        figures.insert(0, ("loss", share_of_loss));
        if let Some(&(metric, value)) = figures.iter().find(|(_, value)| !value.is_finite()) {
            let rows = objective.rows(batch).join(", ");
            return Err(Error::NotMeasured { metric: metric.to_owned(), value, rows });
        }
        Ok(Ok((share_of_loss, of_batch)))
    };
    let (mut metrics, mut loss) = (Metrics::default(), 0.0);
    for measured in ranks.dealt(epoch.len(), measured)? {
        let (share_of_loss, of_batch) = measured.map_err(Error::Interrupted)?;
        loss += share_of_loss;
        metrics.merge(&of_batch);
    }
    if !epoch.is_empty() {
        metrics.mean("loss", loss, 1.0);
    }
    Ok(metrics)
}
