//! From options to what gives the scores: a reward model, rules, or their sum.

use align_data::{TokenizeOptions, Tokenizer, TruncationMode};
use align_hub::Hub;
use align_kernels::Params;
use align_models::{ModelDir, RewardModel};
use align_reward::{ModelReward, Reward, RewardNormalization, RewardSpec, WeightedSum};
use anyhow::ensure;

use crate::options::Options;

/// The rewards that the options name, added up.
pub(crate) fn open(options: &Options, hub: &Hub) -> anyhow::Result<WeightedSum> {
    let reward = |spec: &RewardSpec| {
        let reward = match spec.rule() {
            Some(rule) => rule,
            None => Box::new(model(options, hub)?),
        };
        Ok::<_, anyhow::Error>((spec.weight, reward))
    };
    let asked = &options.rewards.reward;
    if asked.is_empty() {
        return Ok(WeightedSum::new(vec![(1.0, Box::new(model(options, hub)?) as Box<dyn Reward>)])?);
    }
    Ok(WeightedSum::new(asked.iter().map(reward).collect::<anyhow::Result<Vec<_>>>()?)?)
}

fn model(options: &Options, hub: &Hub) -> anyhow::Result<ModelReward> {
    let asked = &options.rewards;
    let name = asked.model_name_or_path.as_deref().expect("Options::check: a model that is read is named");
    let device = asked.device.open()?;
    let dir = ModelDir::open(&hub.model(name, &asked.model_revision)?)?;
    ensure!(
        dir.reward_head()?.is_some(),
        "model {}: is a language model; expected a reward model, which train-reward makes",
        dir.path().display()
    );
    let tokenizer = Tokenizer::load(dir.path())?;
    dir.check_vocabulary(tokenizer.vocab_size())?;
    // A saved reward model has its head: no seed draws one.
    let (head, weights) = dir.load_reward_model(None, 0, &device)?;
    let model = RewardModel::new(dir.decoder_config(), head, &Params::frozen(&weights))?;
    let tokenize = TokenizeOptions {
        max_length: Some(dir.decoder_config().max_positions),
        truncation_mode: TruncationMode::KeepEnd,
        add_bos_token: options.add_bos_token,
        ..TokenizeOptions::default()
    };
    let normalization = asked.normalize.then(|| normalization(&dir)).transpose()?;
    Ok(ModelReward::new(model, tokenizer, tokenize, normalization, options.batch_size))
}

fn normalization(dir: &ModelDir) -> anyhow::Result<RewardNormalization> {
    let found = RewardNormalization::read(dir.path())?;
    found.ok_or_else(|| {
        anyhow::anyhow!(
            "`normalize`: {} has no {}, which train-reward writes; remove the option",
            dir.path().display(),
            RewardNormalization::FILE
        )
    })
}
