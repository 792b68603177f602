//! The models: where they lie, and the reward model as a reward.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use align_data::{TokenizeOptions, Tokenizer};
use align_hub::Hub;
use align_kernels::Precision;
use align_reward::{Normalize, OpenReward, OutsideOptions, Reading, Reward, open_reward};
use align_stage::{Error, Result, open_model_dir};
use candle_core::Device;

use super::ModelOptions;
use crate::{Policy, PolicyDir, named};

/// Prompts per pass of the reward model.
const BATCH: usize = 8;

/// A model to evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// What it rounds operands of products to.
    precision: Precision,
}

impl Model {
    /// Its directory and tokenizer.
    pub(super) fn dir(&self) -> Result<PolicyDir> {
        Ok(PolicyDir::open(self.name.as_str(), &self.path)?.in_precision(self.precision))
    }

    /// The model with its weights.
    pub(super) fn load(&self, device: &Device) -> Result<Policy> {
        Ok(self.dir()?.load(device)?)
    }
}

/// Who gives rewards, by its name in the report.
pub(super) struct RewardSource {
    pub(super) name: String,
    reward: Box<dyn Reward>,
    /// What decides what is cut and how long answers are, of a model.
    pub(super) tokens: Option<(Arc<Tokenizer>, TokenizeOptions)>,
    /// Whether it reads conversations as the data has them, and not by a chat template.
    pub(super) reads_as_written: bool,
}

impl RewardSource {
    /// What gives rewards.
    pub(super) fn reward(&self) -> &dyn Reward {
        self.reward.as_ref()
    }
}

/// The models by name, the baseline first; those of a folder after the ones that are named.
pub(super) fn find(options: &ModelOptions, hub: &Hub) -> Result<Vec<Model>> {
    let (mut models, precision) = (Vec::new(), options.precision.precision()?);
    for word in &options.model {
        let (name, path) = named(word)?;
        models.push(Model { name, path: hub.model(&path, "main")?, precision });
    }
    if let Some(dir) = &options.models_in {
        models.extend(models_in(dir, precision)?);
    }
    Ok(models)
}

/// The folders of `dir` that hold a language model, by name; none if there is no such directory yet.
fn models_in(dir: &Path, precision: Precision) -> Result<Vec<Model>> {
    if !dir.exists() {
        tracing::info!("{}: no such directory yet, so no models in it", dir.display());
        return Ok(Vec::new());
    }
    let mut models = Vec::new();
    let unreadable = |error: std::io::Error| Error::Inputs(format!("models_in {}: {error}", dir.display()));
    for item in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = item.map_err(unreadable)?.path();
        let settings = ["config.json", "adapter_config.json"].iter().any(|name| path.join(name).is_file());
        let is_model = settings && path.join("tokenizer.json").is_file();
        if is_model && open_model_dir(&path, &Hub::from_env())?.reward_head()?.is_none() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            models.push(Model { name, path, precision });
        }
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

/// Loads the reward model that `option` names, if it does. An encoder computes in f32 whatever the models do.
pub(super) fn reward(
    (option, word): (&str, Option<&String>),
    hub: &Hub,
    device: &Device,
    precision: Precision,
) -> Result<Option<RewardSource>> {
    let Some(word) = word else { return Ok(None) };
    let path = hub.model(word, "main")?;
    let reading = Reading { normalize: Normalize::Never, add_bos_token: None, batch_size: BATCH, precision };
    let OpenReward { reward, tokenizer, tokenize, reads_as_written, .. } =
        open_reward(&path, &format!("{option} {}", path.display()), device, &reading)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(RewardSource { name, reward, tokens: Some((tokenizer, tokenize)), reads_as_written }))
}

/// Starts who is asked in the place of a reward model, if somebody is; right answers are column `reference_column` there.
pub(super) fn outside(options: &OutsideOptions, reference_column: &str) -> Result<Option<RewardSource>> {
    let reward = options.open(reference_column)?.into_iter().next();
    let source = |reward: Box<dyn Reward>| {
        let name = format!("reward {}", reward.name());
        RewardSource { name, reward, tokens: None, reads_as_written: true }
    };
    Ok(reward.map(source))
}
