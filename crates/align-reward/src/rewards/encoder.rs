//! Rewards of a classifier with an encoder, which reads a question and an answer.

use std::path::Path;

use align_data::Text;
use align_encoders::Encoder;
use candle_core::Device;

use super::{Reward, RewardError, Task};
use crate::RewardNormalization;

/// A DeBERTa classifier of one label.
pub struct EncoderReward {
    encoder: Encoder,
    normalization: Option<RewardNormalization>,
}

impl EncoderReward {
    /// Opens a model directory, of which [`align_encoders::is_encoder`] holds. `normalization` makes rewards comparable with
    /// those of other models; without it they are the classifier's own.
    ///
    /// # Errors
    /// As [`Encoder::open`].
    pub fn open(
        dir: impl AsRef<Path>,
        device: &Device,
        normalization: Option<RewardNormalization>,
    ) -> Result<Self, RewardError> {
        Ok(Self { encoder: Encoder::open(dir, device)?, normalization })
    }

    /// SHA-256 of its weights, in hex.
    pub fn hash(&self) -> &str {
        self.encoder.hash()
    }

    /// What is done to its output before it is a reward.
    pub fn normalization(&self) -> Option<&RewardNormalization> {
        self.normalization.as_ref()
    }
}

impl Reward for EncoderReward {
    fn name(&self) -> &str {
        "model"
    }

    /// The question is the prompt as a person reads it ([`Text::readable`]): a text as it stands, of one message its
    /// content, of several a line `role: content` each. An encoder has no chat template.
    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let pairs = tasks.iter().flat_map(|task| {
            let question = task.candidates.prompt.readable();
            task.candidates.completions.iter().map(move |answer| (question.clone(), Text::readable(answer)))
        });
        let scores = self.encoder.scores(&pairs.collect::<Vec<_>>())?;
        let mut scores = scores.into_iter().map(f64::from);
        let mut reward = |task: &Task| {
            let score = scores.next().unwrap_or(f64::NAN);
            if !score.is_finite() {
                let (origin, reward) = (task.candidates.origin.to_string(), self.name().to_owned());
                return Err(RewardError::NotFinite { origin, reward, value: score });
            }
            Ok(self.normalization.as_ref().map_or(score, |normalization| normalization.apply(score)))
        };
        tasks.iter().map(|task| task.candidates.completions.iter().map(|_| reward(task)).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::task;

    const V3: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/encoders/v3");

    #[test]
    fn answers_are_scored_with_their_questions() {
        let reward = EncoderReward::open(V3, &Device::Cpu, None).unwrap();
        let plain = task(None, &["It is blue.", ""]);
        let rewards = reward.rewards(&[plain.clone(), task(None, &["No."])]).unwrap();
        assert_eq!(rewards.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert!(rewards[0][0] != rewards[0][1], "{rewards:?}");

        // One message is its content; several say who speaks.
        let mut chat = plain.clone();
        chat.candidates.prompt = vec![align_data::Message::new("user", "Question?")].into();
        assert_eq!(reward.rewards(&[chat.clone()]).unwrap(), rewards[..1]);
        let turns = ["system", "user"].map(|role| align_data::Message::new(role, "Question?"));
        chat.candidates.prompt = turns.to_vec().into();
        assert!(reward.rewards(&[chat]).unwrap() != rewards[..1]);

        let halved = RewardNormalization { mean: 1.0, std: 2.0, answers: 2 };
        let normalized = EncoderReward::open(V3, &Device::Cpu, Some(halved)).unwrap();
        let found = normalized.rewards(&[plain]).unwrap();
        assert!((found[0][0] - (rewards[0][0] - 1.0) / 2.0).abs() < 1e-12);
        assert_eq!(reward.hash(), normalized.hash());
    }
}
