//! The passes of an update over this rank's micro-batches, and the search for the one that made something not finite.

use serde::{Deserialize, Serialize};

use super::Updater;
use crate::{Error, Metrics, Objective, Result, StepLoss, Weights, gradients};

/// What an update is made from: the micro-batches of this rank, the amounts of all ranks', and the most that a rank has.
pub(super) struct Window<'a, T> {
    pub(super) batches: &'a [T],
    pub(super) totals: Weights,
    pub(super) rounds: usize,
}

/// A micro-batch whose loss or gradient is not finite.
#[derive(Serialize, Deserialize)]
pub(super) struct NotFinite {
    /// Its number among those of its rank.
    round: usize,
    what: String,
    rows: String,
}

/// What a rank's passes came to.
pub(super) type Passed = std::result::Result<Vec<Share>, NotFinite>;

/// The first one that is not finite, of those that ranks found.
pub(super) fn first<'a>(found: impl Iterator<Item = &'a NotFinite>) -> Option<&'a NotFinite> {
    found.min_by_key(|found| found.round)
}

/// What a micro-batch adds to an update's figures.
#[derive(Serialize, Deserialize)]
pub(super) struct Share {
    pub(super) loss: f64,
    pub(super) samples: usize,
    pub(super) metrics: Metrics,
}

impl Updater {
    /// Forward and backward of this rank's micro-batches. Their shares are read when all backward passes were asked for.
    /// A loss that is not finite is no error yet: all ranks must hear of it as the same.
    pub(super) fn passes<O: Objective>(
        &mut self,
        objective: &O,
        window: &Window<'_, O::Batch>,
    ) -> Result<Passed> {
        let mut losses = Vec::with_capacity(window.batches.len());
        for round in 0..window.rounds {
            // Of a rank without a micro-batch too, because the others may send it their gradients.
            let reduction = self.reduction.clone();
            let loss = reduction.during(|| match window.batches.get(round) {
                Some(batch) => {
                    self.accumulate(objective, batch, &window.totals, round).map(|loss| Some((batch, loss)))
                }
                None => objective.pass().map(|()| None),
            })?;
            losses.extend(loss);
            self.ranks.pulse().moves();
        }
        let mut shares = Vec::with_capacity(losses.len());
        for (round, (batch, loss)) in losses.into_iter().enumerate() {
            let (loss, metrics) = loss.read()?;
            if !loss.is_finite() {
                return Ok(Err(self.not_finite(objective, batch, round, format!("the loss is {loss}"))));
            }
            shares.push(Share { loss, samples: objective.rows(batch).len(), metrics });
        }
        Ok(Ok(shares))
    }

    /// Forward and backward of one micro-batch; its share of the loss, not yet read. The graph and candle's
    /// gradient store hold all activations, so both are gone when this returns.
    fn accumulate<'o, O: Objective>(
        &mut self,
        objective: &'o O,
        batch: &'o O::Batch,
        totals: &Weights,
        round: usize,
    ) -> Result<StepLoss<'o>> {
        // A function of the update and the micro-batch, so that a resumed run draws what one that was never stopped draws, and
        // several ranks what one does.
        let number = round * self.ranks.size() + self.ranks.rank();
        self.params.noise().begin((self.step as u64) << 32 | number as u64);
        let passed = objective.loss(batch, totals).and_then(|share| {
            drop(share.loss.backward()?);
            Ok(share)
        });
        self.params.noise().end();
        let share = passed?;
        if !self.covered {
            self.reduction.check_coverage(&self.params)?;
            self.covered = true;
        }
        Ok(share.detach())
    }

    /// Which micro-batch made the gradients not finite: each alone again, from the same weights.
    pub(super) fn find_not_finite<O: Objective>(
        &mut self,
        objective: &O,
        window: &Window<'_, O::Batch>,
    ) -> Result<Error> {
        let found = self.find_own(objective, window);
        let found = self.ranks.agree(found)?;
        Ok(first(found.iter().flatten()).map_or_else(
            || {
                let rows = window.batches.iter().flat_map(|batch| objective.rows(batch)).collect::<Vec<_>>();
                let what = "the sum of the window's gradients is not finite".to_owned();
                Error::NotFinite { step: self.step + 1, what, rows: rows.join(", ") }
            },
            |found| self.not_made(found),
        ))
    }

    /// The error of an update that cannot be made, the same on all ranks.
    pub(super) fn not_made(&self, found: &NotFinite) -> Error {
        let NotFinite { what, rows, .. } = found;
        Error::NotFinite { step: self.step + 1, what: what.clone(), rows: rows.clone() }
    }

    /// The first of this rank's micro-batches whose gradient is not finite. All are looked at, because the other ranks may
    /// wait for what they exchange.
    fn find_own<O: Objective>(
        &mut self,
        objective: &O,
        window: &Window<'_, O::Batch>,
    ) -> Result<Option<NotFinite>> {
        let mut found = None;
        for round in 0..window.rounds {
            let Some(batch) = window.batches.get(round) else {
                objective.pass()?;
                continue;
            };
            self.params.clear_grads();
            self.accumulate(objective, batch, &window.totals, round)?;
            if let (None, Some(names)) = (&found, gradients::not_finite(&self.params)?) {
                let what = format!("the gradient of {names} is not finite");
                found = Some(self.not_finite(objective, batch, round, what));
            }
        }
        Ok(found)
    }

    fn not_finite<O: Objective>(
        &self,
        objective: &O,
        batch: &O::Batch,
        round: usize,
        what: String,
    ) -> NotFinite {
        let on = if self.ranks.is_alone() { String::new() } else { format!(" on {}", self.ranks.name()) };
        NotFinite { round, what: what + &on, rows: objective.rows(batch).join(", ") }
    }
}
