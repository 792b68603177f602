//! A reward model that is no decoder: a classifier with an encoder, where this is built with the feature `encoders`. It reads
//! texts, whatever tokens the policy has, and no critic can start from it.

use std::path::Path;

use align_reward::{Reward, RewardNormalization};
use align_stage::{Opening, Result};

use super::reward::RewardOptions;
use crate::ScoreSource;

/// The classifier, until the scorer has it, and what is known of it.
pub(super) struct EncoderModel {
    reward: Option<Box<dyn Reward>>,
    pub(super) hash: String,
    pub(super) normalization: Option<RewardNormalization>,
}

impl EncoderModel {
    /// What scores with it, once.
    pub(super) fn source(&mut self) -> Option<ScoreSource> {
        self.reward.take().map(ScoreSource::TextModel)
    }
}

/// Opens the classifier of a model directory; none if that holds something else.
#[cfg(feature = "encoders")]
pub(super) fn open(
    dir: &Path,
    opening: &Opening<'_>,
    options: &RewardOptions,
) -> Result<Option<EncoderModel>> {
    use align_stage::{Error, ensure};
    if !align_reward::is_encoder(dir) {
        return Ok(None);
    }
    ensure!(
        !options.reward_from_text,
        "`reward_from_text`: has no effect, an encoder always reads texts; remove it"
    );
    let normalization = super::reward::normalize(options.normalize_scores).read(dir)?;
    let reward = align_reward::EncoderReward::open(dir, &opening.place.device, normalization);
    let reward = reward.map_err(Error::method)?;
    let hash = reward.hash().to_owned();
    Ok(Some(EncoderModel { reward: Some(Box::new(reward)), hash, normalization }))
}

/// Nothing is an encoder to a build without the feature: the directory is refused as another architecture.
#[cfg(not(feature = "encoders"))]
pub(super) fn open(_: &Path, _: &Opening<'_>, _: &RewardOptions) -> Result<Option<EncoderModel>> {
    Ok(None)
}
