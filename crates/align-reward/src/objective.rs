//! What training on ranked answers minimises.

use align_data::{RowSource, TokenizedRanking};
use align_losses::{bradley_terry, bradley_terry_with_margin, plackett_luce, reward_centering};
use align_models::{RewardModel, RewardScorer};
use align_train::{Error, Metrics, Objective, Pace, Result, StepLoss, Weights};
use candle_core::{DType, Tensor};

use crate::options::wrong;
use crate::{Method, RankingBatch, RankingLoss};

/// The one loss term: every row counts the same, however many answers it has.
const ROWS: &str = "rows";

/// Rows per pass while features are computed in advance.
const ROWS_PER_PASS: usize = 8;

/// The source of a batch's rewards: a whole model, or a head over features that were computed once.
#[derive(Clone, Debug)]
pub enum RewardSource {
    /// The whole model, over the batch's stream.
    Model(Box<RewardModel>),
    /// The head, over features of all answers of the data set that were computed before.
    Features {
        /// `[answers of the data set, hidden]`.
        features: Tensor,
        /// The head.
        scorer: RewardScorer,
    },
}

impl RewardSource {
    /// Rewards of the batch's answers, `[answers]`.
    ///
    /// # Errors
    /// If the model cannot be run.
    pub fn rewards(&self, batch: &RankingBatch) -> candle_core::Result<Tensor> {
        match self {
            Self::Model(model) => model.rewards(&batch.packed),
            Self::Features { features, scorer } => {
                let numbers = Tensor::new(batch.numbers(), features.device())?;
                scorer.rewards(&features.index_select(&numbers, 0)?)
            }
        }
    }
}

/// Features of all answers of the rows, `[answers, hidden]`, in order.
///
/// # Errors
/// If the model cannot be run, or rows cannot be read from where they are.
pub fn features<'a>(
    model: &RewardModel,
    rows: impl Into<RowSource<'a, TokenizedRanking>>,
) -> candle_core::Result<Tensor> {
    let rows: RowSource<'a, TokenizedRanking> = rows.into();
    let indices: Vec<usize> = (0..rows.len()).collect();
    let mut pace = Pace::new("features of rows", rows.len());
    let of_pass = |indices: &[usize]| {
        let batch = RankingBatch::new(rows, indices).map_err(candle_core::Error::wrap)?;
        let features = model.features(&batch.packed)?.detach();
        pace.advance(indices.len());
        Ok(features)
    };
    let features = indices.chunks(ROWS_PER_PASS).map(of_pass);
    Tensor::cat(&features.collect::<candle_core::Result<Vec<_>>>()?, 0)
}

/// A reward model and its loss. Over tracked parameters it trains, over a view it only measures.
pub struct Ranked {
    source: RewardSource,
    method: Method,
}

impl Ranked {
    /// The objective over a model's parameters, however they are held.
    pub fn new(source: RewardSource, method: Method) -> Self {
        Self { source, method }
    }

    /// Rewards of the batch's answers, row by row.
    ///
    /// # Errors
    /// If the model cannot be run.
    pub fn rewards(&self, batch: &RankingBatch) -> candle_core::Result<Vec<Vec<f64>>> {
        let rewards = values(&self.source.rewards(batch)?)?;
        let mut rest = rewards.as_slice();
        let row = |&count: &usize| {
            let (row, others) = rest.split_at(count);
            rest = others;
            row.to_vec()
        };
        Ok(batch.counts().iter().map(row).collect())
    }

    /// Refuses a model that cannot learn: one without finite rewards, with the same for all answers, or without the
    /// head that a likelihood needs.
    ///
    /// # Errors
    /// With what was found.
    pub fn check_start(&self, batch: &RankingBatch) -> Result<()> {
        if let (RewardSource::Model(model), true) = (&self.source, self.method.sft_coefficient > 0.0)
            && !model.decoder().config().tied_embeddings
        {
            let problem = "needs a model with tied embeddings: a reward model keeps no other language-model head; \
                remove it";
            return wrong("sft_coefficient", &self.method.sft_coefficient, problem);
        }
        let rewards: Vec<f64> = self.rewards(batch)?.concat();
        if rewards.iter().any(|reward| !reward.is_finite()) {
            let problem = "the model's rewards are not finite before the first step: its weights are damaged";
            return Err(Error::stage(problem));
        }
        match rewards.first() {
            Some(first) if rewards.iter().all(|reward| reward == first) => Err(Error::stage(format!(
                "all rewards are equal: the model gives {first} to each of the first {} answers, whatever they say; \
                 its head or its backbone is all zeros",
                rewards.len()
            ))),
            _ => Ok(()),
        }
    }

    /// Rewards of the batch's answers, `[answers]`, and where it counts what the best answers cost as text, `[labels]`:
    /// negative log-likelihoods, each with its label's share of its answer. Both from one pass.
    fn rewards_and_likelihood(&self, batch: &RankingBatch) -> candle_core::Result<(Tensor, Option<Tensor>)> {
        let (RewardSource::Model(model), true) = (&self.source, self.method.sft_coefficient > 0.0) else {
            return Ok((self.source.rewards(batch)?, None));
        };
        let ends = batch.packed.completion_ends();
        let (rows, labels, shares) = batch.best_labels();
        let hidden = model.decoder().hidden(&batch.packed.stream, &[&*ends, &rows].concat())?;
        let rewards = model.scorer().rewards(&hidden.narrow(0, 0, ends.len())?)?;
        if labels.is_empty() {
            return Ok((rewards, None));
        }
        let labels = Tensor::new(labels, hidden.device())?;
        let head = model.decoder().embedding_as_head();
        let log_probs = head.log_probs(&hidden.narrow(0, ends.len(), rows.len())?, &labels)?;
        Ok((rewards, Some((log_probs.neg()? * Tensor::new(shares, hidden.device())?)?)))
    }

    /// Losses of the rows, `[rows]` for whole orders and `[pairs]`, weighted by their shares, for pairs.
    fn losses(&self, batch: &RankingBatch, rewards: &Tensor) -> candle_core::Result<Tensor> {
        let device = rewards.device();
        let (better, worse, shares) = batch.pairs();
        let place = |places: &[u32]| rewards.index_select(&Tensor::new(places, device)?, 0);
        let (better, worse) = (place(&better)?, place(&worse)?);
        let shares = Tensor::new(shares, device)?;
        let losses = match (self.method.ranking_loss, batch.margins()) {
            (RankingLoss::Pairwise, None) => (bradley_terry(&better, &worse)? * &shares)?,
            (RankingLoss::Pairwise, Some(margins)) => {
                bradley_terry_with_margin(&better, &worse, &Tensor::new(margins, device)?)?
            }
            (RankingLoss::PlackettLuce, _) => {
                let (scores, mask) = lists(batch, rewards)?;
                plackett_luce(&scores, &mask)?
            }
        };
        let coefficient = self.method.center_rewards_coefficient;
        if coefficient == 0.0 {
            return Ok(losses);
        }
        let centring = (reward_centering(&better, &worse)? * shares)?.sum_all()?;
        // One scalar beside many losses: spread, so that their sum has it once.
        let count = losses.elem_count() as f64;
        losses.broadcast_add(&(centring * (coefficient / count))?)
    }
}

/// Rewards as `[rows, most answers]`, and a mask of those there are.
fn lists(batch: &RankingBatch, rewards: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
    let widest = batch.counts().iter().copied().max().unwrap_or(0);
    let (mut places, mut mask, mut first) = (Vec::new(), Vec::new(), 0);
    for &count in batch.counts() {
        // Behind a short list its last answer again, which the mask leaves out.
        places.extend((0..widest).map(|i| (first + i.min(count - 1)) as u32));
        mask.extend((0..widest).map(|i| f32::from(u8::from(i < count))));
        first += count;
    }
    let shape = (batch.len(), widest);
    let scores = rewards.index_select(&Tensor::new(places, rewards.device())?, 0)?.reshape(shape)?;
    Ok((scores, Tensor::from_vec(mask, shape, rewards.device())?))
}

impl Objective for Ranked {
    type Batch = RankingBatch;

    fn weights(&self, batch: &RankingBatch) -> Weights {
        Weights::of(ROWS, batch.len() as f64)
    }

    fn loss<'a>(&'a self, batch: &'a RankingBatch, totals: &Weights) -> Result<StepLoss<'a>> {
        let (rewards, likelihood) = self.rewards_and_likelihood(batch)?;
        let mut loss = self.losses(batch, &rewards)?.sum_all()?;
        let nll = likelihood.map(|likelihood| likelihood.sum_all()).transpose()?;
        if let Some(nll) = &nll {
            loss = (loss + (nll * self.method.sft_coefficient)?)?;
        }
        let (rewards, nll) = (rewards.detach(), nll.map(|nll| nll.detach()));
        Ok(StepLoss::new((loss / totals.get(ROWS))?, move || {
            let mut metrics = metrics(batch, &values(&rewards)?);
            if let Some(nll) = nll {
                metrics.mean("nll_loss", values(&nll.reshape(1)?)?[0], batch.len() as f64);
            }
            Ok(metrics)
        }))
    }

    fn rows(&self, batch: &RankingBatch) -> Vec<String> {
        batch.origins()
    }
}

/// TRL's metrics; a tie counts half a hit. The smallest and the largest reward are a micro-batch's, averaged over
/// them, as TRL has it.
fn metrics(batch: &RankingBatch, rewards: &[f64]) -> Metrics {
    let (better, worse, _) = batch.pairs();
    let margins: Vec<f64> =
        better.iter().zip(&worse).map(|(&i, &j)| rewards[i as usize] - rewards[j as usize]).collect();
    let pairs = margins.len() as f64;
    let mut metrics = Metrics::default();
    metrics.mean("accuracy", margins.iter().map(|&margin| align_stats::hit(margin)).sum(), pairs);
    metrics.mean("margin", margins.iter().sum(), pairs);
    metrics.mean("min_reward", rewards.iter().copied().fold(f64::INFINITY, f64::min), 1.0);
    metrics.mean("max_reward", rewards.iter().copied().fold(f64::NEG_INFINITY, f64::max), 1.0);
    metrics.mean("mean_reward", rewards.iter().sum(), rewards.len() as f64);
    metrics.total("num_tokens", batch.num_tokens() as f64);
    metrics
}

fn values(tensor: &Tensor) -> candle_core::Result<Vec<f64>> {
    let values = tensor.detach().to_dtype(DType::F32)?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f64::from).collect())
}
