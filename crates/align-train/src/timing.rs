//! What a run's passes take, measured without an update.

use std::time::{Duration, Instant};

use align_kernels::Params;

use crate::{Batches, Objective, Result};

/// Micro-batches that are timed at most.
const MOST: usize = 8;

/// Seconds of forward and backward of the next micro-batches, one by one: first one that is not counted, then eight, or as many as
/// begin `within` that time, but at least one. Weights stay as they are, and no gradient is left.
///
/// # Errors
/// What the objective and the batches raise; [`crate::Error::NoData`] where there is no micro-batch.
pub fn time_passes<O, B>(
    objective: &O,
    batches: &mut B,
    params: &Params,
    within: Duration,
) -> Result<Vec<f64>>
where
    O: Objective,
    B: Batches<Batch = O::Batch>,
{
    let mut seconds = Vec::new();
    let began = Instant::now();
    for number in 0..=MOST {
        if number > 1 && began.elapsed() > within {
            break;
        }
        // None is the end of an epoch, after which another begins.
        let batch = match batches.next()? {
            None => batches.next()?,
            some => some,
        };
        let batch = batch.ok_or(crate::Error::NoData)?;
        let started = Instant::now();
        params.noise().begin(number as u64);
        let passed = objective.loss(&batch, &objective.weights(&batch)).and_then(|share| {
            drop(share.loss.backward()?);
            share.read()
        });
        params.noise().end();
        params.clear_grads();
        passed?;
        if number > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    Ok(seconds)
}
