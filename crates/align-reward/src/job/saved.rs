//! The saved model, read again: a head that was lost on the way to the disk would score at random.

use std::borrow::Cow;

use align_data::{BatchSize, MicroBatches, Order, RowSource, SamplingStrategy, TokenizedRanking};
use align_models::RewardModel;
use align_stage::{Error, Opening, Result, open_model};
use align_train::Ranks;

use super::model::Models;
use crate::{Judged, Method, Ranked, RankingBatch, RewardNormalization, RewardSource, judge};

/// Rows whose rewards are compared.
const COMPARED: usize = 64;

/// How far a reward may be from that of the model in memory. They are of the same weights, computed alike.
const TOLERANCE: f64 = 1e-5;

/// Rows whose rewards say where rewards lie.
const NORMALIZED_ON: usize = 256;

/// What chooses them, beside the run's seed.
const NORMALIZING_STREAM: u64 = 0x0e0e;

/// What is known of the model on disk.
pub(super) struct Saved {
    pub(super) normalization: RewardNormalization,
    /// The largest difference of a reward.
    pub(super) difference: f64,
}

/// Reads the model in the output directory and compares its rewards of some training rows with those of the model in memory, rounded
/// to what it is saved in;
/// keeps beside the model where rewards of a sample of them lie. Held-out rows have no part in it: whatever is said of them in
/// normalised units would not be held out.
pub(super) fn verified(
    opening: &Opening<'_>,
    models: &Models,
    method: Method,
    train: RowSource<'_, TokenizedRanking>,
) -> Result<Saved> {
    let rows = &sample(train, opening.place.seed)?[..];
    let output_dir = opening
        .place
        .output_dir()
        .ok_or_else(|| Error::Outcome("the run has no output directory".to_owned()))?;
    let batch_size = opening.config.per_device_eval_batch_size;
    let live = Ranked::new(models.as_saved(opening.saved_dtype, rows.into())?, method);
    // By the first rank, as it alone has saved the model.
    let alone = Ranks::default();
    let live = judge(rows, &live, models.pack(rows.into())?, batch_size, &alone)?;

    let dir = open_model(&opening.hub, &output_dir.display().to_string(), "main")?;
    let dir = dir.quantised_like(&opening.model).in_precision(opening.model.decoder_config().precision);
    let (head, params) = dir.load_reward_model(None, 0, &opening.place.device)?;
    let model = RewardModel::new(dir.decoder_config(), head, &params)?;
    let read = Ranked::new(RewardSource::Model(Box::new(model)), method);
    let compared = &rows[..rows.len().min(COMPARED)];
    let read = judge(compared, &read, |rows, indices| RankingBatch::new(rows, indices), batch_size, &alone)?;
    let difference = rewards(&read).zip(rewards(&live)).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
    let difference = difference.fold(0.0, f64::max);
    if difference.is_nan() || difference > TOLERANCE {
        return Err(Error::Outcome(format!(
            "{}: the saved model's rewards differ from the trained one's by {difference:.1e}; do not use it",
            output_dir.display()
        )));
    }

    let normalization = RewardNormalization::of(&rewards(&live).collect::<Vec<_>>())?;
    align_files::write_json(output_dir.join(RewardNormalization::FILE), &normalization)?;
    Ok(Saved { normalization, difference })
}

fn rewards<'a>(judged: &'a [Judged<'_>]) -> impl Iterator<Item = f64> + 'a {
    judged.iter().flat_map(|row| row.rewards.iter().copied())
}

/// Some rows from all over the data, which may be sorted; in their order.
fn sample(train: RowSource<'_, TokenizedRanking>, seed: u64) -> Result<Vec<TokenizedRanking>> {
    let order = Order { strategy: SamplingStrategy::Random, seed: seed ^ NORMALIZING_STREAM };
    let mut order = MicroBatches::new(vec![1; train.len()], BatchSize::Examples(NORMALIZED_ON), order)?;
    let mut places = order.next_batch().unwrap_or_default();
    places.sort_unstable();
    Ok(train.pick(&places)?.into_iter().map(Cow::into_owned).collect())
}
