//! The saved model, read again: a head that was lost on the way to the disk would score at random.

use align_data::TokenizedRanking;
use align_kernels::Params;
use align_models::{ModelDir, RewardModel};
use align_recipe::Opening;
use align_reward::{
    Judged, Method, NormalizedOn, Ranked, RankingBatch, RewardNormalization, RewardSource, judge,
};
use anyhow::{Context as _, ensure};

use crate::model::Models;

/// Rows whose rewards are compared.
const COMPARED: usize = 64;

/// How far a reward may be from that of the model in memory. They are of the same weights, computed alike.
const TOLERANCE: f64 = 1e-5;

/// What is known of the model on disk.
pub(crate) struct Saved {
    pub(crate) normalization: RewardNormalization,
    pub(crate) normalized_on: NormalizedOn,
    /// The largest difference of a reward.
    pub(crate) difference: f64,
}

/// Says what is to be written beside the model, while it is not too late to refuse.
pub(crate) fn announce(opening: &Opening<'_>) -> anyhow::Result<()> {
    if opening.session.dry_run {
        return Ok(());
    }
    Ok(opening.session.create_output_dir()?.claim([RewardNormalization::FILE])?)
}

/// Reads the model in the output directory and compares its rewards of some rows with those of the model in memory; keeps
/// where rewards of all of them lie beside the model. The rows are the held-out ones, or some of the training rows.
pub(crate) fn verified(
    opening: &Opening<'_>,
    models: &Models,
    method: Method,
    (held_out, train): (&[TokenizedRanking], &[TokenizedRanking]),
) -> anyhow::Result<Saved> {
    let (normalized_on, rows) = reference(held_out, train);
    let output_dir = opening.session.output_dir().context("the run has no output directory")?;
    let batch_size = opening.config.per_device_eval_batch_size;
    let live = Ranked::new(models.view(rows)?, method);
    let live = judge(rows, &live, models.pack(rows), batch_size)?;

    let dir = ModelDir::open(output_dir)?;
    let (head, weights) = dir.load_reward_model(None, 0, &opening.session.device)?;
    let model = RewardModel::new(dir.decoder_config(), head, &Params::frozen(&weights))?;
    let read = Ranked::new(RewardSource::Model(Box::new(model)), method);
    let compared = &rows[..rows.len().min(COMPARED)];
    let read = judge(compared, &read, RankingBatch::new, batch_size)?;
    let difference = rewards(&read).zip(rewards(&live)).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
    let difference = difference.fold(0.0, f64::max);
    ensure!(
        difference <= TOLERANCE,
        "{}: the saved model's rewards differ from the trained one's by {difference:.1e}; do not use it",
        output_dir.display()
    );

    let normalization = RewardNormalization::of(&rewards(&live).collect::<Vec<_>>())?;
    align_cli::write_json(output_dir.join(RewardNormalization::FILE), &normalization)?;
    Ok(Saved { normalization, normalized_on, difference })
}

fn rewards<'a>(judged: &'a [Judged<'_>]) -> impl Iterator<Item = f64> + 'a {
    judged.iter().flat_map(|row| row.rewards.iter().copied())
}

/// The rows whose rewards say where rewards lie: the held-out ones, or some of the training rows.
fn reference<'a>(
    held_out: &'a [TokenizedRanking],
    train: &'a [TokenizedRanking],
) -> (NormalizedOn, &'a [TokenizedRanking]) {
    const ENOUGH: usize = 256;
    if held_out.is_empty() {
        (NormalizedOn::Training, &train[..train.len().min(ENOUGH)])
    } else {
        (NormalizedOn::HeldOut, held_out)
    }
}
