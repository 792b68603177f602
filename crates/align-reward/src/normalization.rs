//! Where a model's rewards lie on a reference set: what makes those of two models comparable.

use std::path::Path;

use align_train::{Error, Result};
use serde::{Deserialize, Serialize};

/// The normalization of rewards: their mean and deviation on a reference set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardNormalization {
    /// Mean reward.
    pub mean: f64,
    /// Standard deviation of the rewards; positive.
    pub std: f64,
    /// Answers that mean and deviation are from.
    pub answers: usize,
}

impl RewardNormalization {
    /// Its file beside the model.
    pub const FILE: &str = "reward_normalization.json";

    /// The normalization of these rewards.
    ///
    /// # Errors
    /// If all are equal, or one is not finite: then there is nothing to normalise by.
    pub fn of(rewards: &[f64]) -> Result<Self> {
        let count = rewards.len().max(1) as f64;
        let mean = rewards.iter().sum::<f64>() / count;
        let std = (rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / count).sqrt();
        if !std.is_finite() {
            return Err(Error::stage("the trained model's rewards are not finite"));
        }
        if std == 0.0 || rewards.windows(2).all(|two| two[0] == two[1]) {
            let count = rewards.len();
            return Err(Error::stage(format!(
                "all rewards are equal: the trained model gives {mean} to each of {count} answers, whatever they say"
            )));
        }
        Ok(Self { mean, std, answers: rewards.len() })
    }

    /// A reward with mean 0 and deviation 1 on the reference set.
    pub fn apply(&self, reward: f64) -> f64 {
        (reward - self.mean) / self.std
    }

    /// Reads the file in a model's directory; none if there is none.
    ///
    /// # Errors
    /// If it is not what it should be.
    pub fn read(model: &Path) -> Result<Option<Self>> {
        let path = model.join(Self::FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let wrong = |problem: String| Error::stage(format!("{}: {problem}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let own: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if !(own.mean.is_finite() && own.std.is_finite() && own.std > 0.0) {
            return Err(wrong(format!(
                "expected a mean and a positive std, found {} and {}",
                own.mean, own.std
            )));
        }
        Ok(Some(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalised_rewards_have_mean_zero_and_deviation_one() {
        let rewards = [3.0, -1.0, 4.5, 0.5];
        let normalization = RewardNormalization::of(&rewards).unwrap();
        let normal: Vec<f64> = rewards.iter().map(|&reward| normalization.apply(reward)).collect();
        assert!(normal.iter().sum::<f64>().abs() < 1e-12);
        assert!((normal.iter().map(|reward| reward * reward).sum::<f64>() / 4.0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn equal_rewards_cannot_be_normalised() {
        let says = |rewards: &[f64], fragment: &str| {
            let found = RewardNormalization::of(rewards).unwrap_err().to_string();
            assert!(found.contains(fragment), "{found}");
        };
        says(&[0.1, 0.1, 0.1], "all rewards are equal: the trained model gives 0.1");
        says(&[], "all rewards are equal");
        says(&[0.1, f64::NAN], "not finite");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(RewardNormalization::read(dir.path()).unwrap(), None);
        let path = dir.path().join(RewardNormalization::FILE);
        for text in ["{", "{\"mean\": 0, \"std\": 0, \"answers\": 3}"] {
            std::fs::write(&path, text).unwrap();
            let found = RewardNormalization::read(dir.path()).unwrap_err().to_string();
            assert!(found.contains("reward_normalization.json: "), "{found}");
        }
        let normalization = RewardNormalization { mean: 1.0, std: 2.0, answers: 3 };
        std::fs::write(&path, serde_json::to_string(&normalization).unwrap()).unwrap();
        assert_eq!(RewardNormalization::read(dir.path()).unwrap(), Some(normalization));
    }
}
