//! The models: where they lie, and the reward model as a reward.

use std::path::{Path, PathBuf};

use align_data::{TokenizeOptions, Tokenizer, TruncationMode};
use align_eval::named;
use align_hub::Hub;
use align_kernels::Params;
use align_models::{ModelDir, RewardModel};
use align_reward::ModelReward;
use anyhow::{Context as _, ensure};
use candle_core::Device;

use crate::options::ModelOptions;

/// Prompts per pass of the reward model.
const BATCH: usize = 8;

/// A model to evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// A reward model, and what decides how it reads.
pub(crate) struct RewardSource {
    pub(crate) name: String,
    pub(crate) reward: ModelReward,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) options: TokenizeOptions,
}

/// The models by name, the baseline first; those of a folder after the ones that are named.
pub(crate) fn find(options: &ModelOptions, hub: &Hub) -> anyhow::Result<Vec<Model>> {
    let mut models = Vec::new();
    for word in &options.model {
        let (name, path) = named(word)?;
        models.push(Model { name, path: hub.model(&path, "main")? });
    }
    if let Some(dir) = &options.models_in {
        models.extend(models_in(dir)?);
    }
    Ok(models)
}

/// The folders of `dir` that hold a language model, by name; none if there is no such directory yet.
fn models_in(dir: &Path) -> anyhow::Result<Vec<Model>> {
    if !dir.exists() {
        tracing::info!("{}: no such directory yet, so no models in it", dir.display());
        return Ok(Vec::new());
    }
    let mut models = Vec::new();
    for item in std::fs::read_dir(dir).with_context(|| format!("models_in {}", dir.display()))? {
        let path = item?.path();
        let is_model = path.join("config.json").is_file() && path.join("tokenizer.json").is_file();
        if is_model && ModelDir::open(&path)?.reward_head()?.is_none() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            models.push(Model { name, path });
        }
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

/// Loads the reward model that `option` names, if it does.
pub(crate) fn reward(
    (option, word): (&str, Option<&String>),
    hub: &Hub,
    device: &Device,
) -> anyhow::Result<Option<RewardSource>> {
    let Some(word) = word else { return Ok(None) };
    let dir = ModelDir::open(&hub.model(word, "main")?)?;
    ensure!(
        dir.reward_head()?.is_some(),
        "{option} {}: is a language model; expected a reward model, which train-reward makes",
        dir.path().display()
    );
    let tokenizer = Tokenizer::load(dir.path())?;
    dir.check_vocabulary(tokenizer.vocab_size())?;
    let options = TokenizeOptions {
        max_length: Some(dir.decoder_config().max_positions),
        truncation_mode: TruncationMode::KeepEnd,
        ..TokenizeOptions::default()
    };
    let (head, weights) = dir.load_reward_model(None, 0, device)?;
    let model = RewardModel::new(dir.decoder_config(), head, &Params::frozen(&weights))?;
    let again = Tokenizer::load(dir.path())?;
    let name = dir.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reward = ModelReward::new(model, tokenizer, options.clone(), None, BATCH);
    Ok(Some(RewardSource { name, reward, tokenizer: again, options }))
}
