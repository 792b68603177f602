//! The objective and the rewards of held-out rows.

use align_data::{RowSource, TokenizedRanking};
use align_stage::{Pack, RowBatches};
use align_train::{Batches, Error, Evaluate, Metrics, Ranks, Result, Stop, evaluate};

use crate::{Ranked, RankingBatch};

/// A row with the rewards of its answers.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// The row.
    pub row: &'a TokenizedRanking,
    /// One reward per answer, in the row's order: the best answer's first.
    pub rewards: Vec<f64>,
}

impl Judged<'_> {
    /// Places of the better and the worse answer of all pairs of the row.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let count = self.rewards.len();
        (0..count).flat_map(move |i| (i + 1..count).map(move |j| (i, j)))
    }

    /// By how much the better answer of each pair wins.
    pub(crate) fn margins(&self) -> impl Iterator<Item = f64> {
        self.pairs().map(|(i, j)| self.rewards[i] - self.rewards[j])
    }
}

/// Share of all pairs whose better answer has the higher reward; a tie counts half.
pub fn accuracy(judged: &[Judged<'_>]) -> f64 {
    let margins: Vec<f64> = judged.iter().flat_map(Judged::margins).collect();
    margins.iter().map(|&margin| align_stats::hit(margin)).sum::<f64>() / margins.len().max(1) as f64
}

/// The rewards of rows, of which each rank computes those of its batches; `pack` makes batches that the objective knows.
///
/// # Errors
/// If the model cannot be run; a reward that is not finite, with its row.
pub fn judge<'a>(
    rows: &'a [TokenizedRanking],
    objective: &Ranked,
    pack: impl Fn(RowSource<'_, TokenizedRanking>, &[usize]) -> align_data::Result<RankingBatch>,
    batch_size: usize,
    ranks: &Ranks,
) -> Result<Vec<Judged<'a>>> {
    let mut batches = RowBatches::in_order(rows, batch_size, pack)?;
    let mut epoch = Vec::new();
    while let Some(batch) = batches.next()? {
        epoch.push(batch);
    }
    let rewards = ranks.dealt(epoch.len(), |number| {
        let rewards = objective.rewards(&epoch[number])?;
        for (row, rewards) in rows[number * batch_size..].iter().zip(&rewards) {
            if let Some(&value) = rewards.iter().find(|reward| !reward.is_finite()) {
                let rows = row.answers.origin.to_string();
                return Err(Error::NotMeasured { metric: "reward".to_owned(), value, rows });
            }
        }
        Ok(rewards)
    })?;
    let judged = |(row, rewards)| Judged { row, rewards };
    Ok(rows.iter().zip(rewards.into_iter().flatten()).map(judged).collect())
}

/// Held-out rows and the objective over a view of the model.
pub struct HeldOut<'a> {
    rows: &'a [TokenizedRanking],
    pack: Pack<'a, TokenizedRanking, RankingBatch>,
    objective: Ranked,
    batch_size: usize,
    ranks: Ranks,
}

impl<'a> HeldOut<'a> {
    /// The held-out rows with the objective that they are measured by, and the ranks that share them; none if there are no rows.
    pub fn new(
        rows: &'a [TokenizedRanking],
        pack: impl Fn(RowSource<'_, TokenizedRanking>, &[usize]) -> align_data::Result<RankingBatch> + 'a,
        objective: Ranked,
        batch_size: usize,
        ranks: Ranks,
    ) -> Option<Self> {
        (!rows.is_empty()).then(|| Self { rows, pack: Box::new(pack), objective, batch_size, ranks })
    }

    /// The rewards of all rows as the model stands.
    ///
    /// # Errors
    /// If the model cannot be run.
    pub fn judge(&self) -> Result<Vec<Judged<'a>>> {
        judge(self.rows, &self.objective, &self.pack, self.batch_size, &self.ranks)
    }

    fn measured(&self, rows: &[TokenizedRanking], stop: &Stop) -> Result<Metrics> {
        let mut batches = RowBatches::in_order(rows, self.batch_size, &self.pack)?;
        evaluate(&self.objective, &mut batches, &self.ranks, stop)
    }
}

impl Evaluate for HeldOut<'_> {
    fn evaluate(&mut self, _step: usize, stop: &Stop) -> Result<Metrics> {
        self.measured(self.rows, stop)
    }

    fn sample(&mut self, stop: &Stop) -> Result<Metrics> {
        self.measured(&self.rows[..self.batch_size.min(self.rows.len())], stop)
    }
}
