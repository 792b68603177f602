//! The objective and the rewards of held-out rows.

use align_data::{RowSource, TokenizedRanking};
use align_stage::{Pack, RowBatches};
use align_train::{Batches, Error, Evaluate, Metrics, Result, Stop, evaluate};

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

/// The rewards of rows; `pack` makes batches that the objective knows.
///
/// # Errors
/// If the model cannot be run; a reward that is not finite, with its row.
pub fn judge<'a>(
    rows: &'a [TokenizedRanking],
    objective: &Ranked,
    pack: impl Fn(RowSource<'_, TokenizedRanking>, &[usize]) -> align_data::Result<RankingBatch>,
    batch_size: usize,
) -> Result<Vec<Judged<'a>>> {
    let mut batches = RowBatches::in_order(rows, batch_size, pack)?;
    let mut rewards = Vec::new();
    while let Some(batch) = batches.next()? {
        rewards.extend(objective.rewards(&batch)?);
    }
    let judged = |(row, rewards): (&'a TokenizedRanking, Vec<f64>)| match rewards
        .iter()
        .copied()
        .find(|reward| !reward.is_finite())
    {
        None => Ok(Judged { row, rewards }),
        Some(value) => {
            let rows = row.answers.origin.to_string();
            Err(Error::NotMeasured { metric: "reward".to_owned(), value, rows })
        }
    };
    rows.iter().zip(rewards).map(judged).collect()
}

/// Held-out rows and the objective over a view of the model.
pub struct HeldOut<'a> {
    rows: &'a [TokenizedRanking],
    pack: Pack<'a, TokenizedRanking, RankingBatch>,
    objective: Ranked,
    batch_size: usize,
}

impl<'a> HeldOut<'a> {
    /// The held-out rows with the objective that they are measured by; none if there are no rows.
    pub fn new(
        rows: &'a [TokenizedRanking],
        pack: impl Fn(RowSource<'_, TokenizedRanking>, &[usize]) -> align_data::Result<RankingBatch> + 'a,
        objective: Ranked,
        batch_size: usize,
    ) -> Option<Self> {
        (!rows.is_empty()).then(|| Self { rows, pack: Box::new(pack), objective, batch_size })
    }

    /// The rewards of all rows as the model stands.
    ///
    /// # Errors
    /// If the model cannot be run.
    pub fn judge(&self) -> Result<Vec<Judged<'a>>> {
        judge(self.rows, &self.objective, &self.pack, self.batch_size)
    }

    fn measured(&self, rows: &[TokenizedRanking], stop: &Stop) -> Result<Metrics> {
        let mut batches = RowBatches::in_order(rows, self.batch_size, &self.pack)?;
        evaluate(&self.objective, &mut batches, stop)
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
