//! A reward model by its directory: the one place where one is found to be one, loaded, and made a [`Reward`] of texts.
//!
//! Whoever needs rewards of texts calls [`open_reward`] and does not learn what kind of model gives them: a classifier of
//! another architecture would be another arm there. Whoever needs the model itself, such as PPO's critic, opens a
//! [`RewardModelDir`].

use std::path::Path;
use std::sync::Arc;

use align_data::{TokenizeOptions, Tokenizer, TruncationMode};
use align_hub::Hub;
use align_kernels::{Params, Precision};
use align_models::{DecoderConfig, ModelDir, RewardHead, RewardModel};
use align_stage::{Error, Result, ensure, open_model_dir};
use candle_core::Device;

use super::{ModelReward, Reward};
use crate::RewardNormalization;

/// The stored normalisation: whether rewards go through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalize<'a> {
    /// No: they are the head's own.
    Never,
    /// Where it is stored beside the model.
    IfStored,
    /// Yes, as the option of this name asks for.
    Always(&'a str),
}

impl Normalize<'_> {
    /// The normalisation that is stored in a model's directory, if it is wanted and there.
    ///
    /// # Errors
    /// If it is asked for and not there, or is not what it should be.
    pub fn read(self, dir: &Path) -> Result<Option<RewardNormalization>> {
        match self {
            Self::Never => Ok(None),
            Self::IfStored => Ok(RewardNormalization::read(dir)?),
            Self::Always(option) => match RewardNormalization::read(dir)? {
                Some(stored) => Ok(Some(stored)),
                None => {
                    let (dir, file) = (dir.display(), RewardNormalization::FILE);
                    let problem =
                        format!("{dir} has no {file}, which train-reward writes; remove the option");
                    Err(Error::option(option, problem))
                }
            },
        }
    }
}

/// How a reward model reads texts.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Whether its rewards are normalised.
    pub normalize: Normalize<'a>,
    /// Whether rows begin with a BOS token; none as its tokenizer or chat template does it.
    pub add_bos_token: Option<bool>,
    /// Prompts per pass.
    pub batch_size: usize,
    /// What a decoder rounds operands of products to.
    pub precision: Precision,
}

/// A reward of texts by a model, and what decides how the model reads them.
pub struct OpenReward {
    /// What gives rewards.
    pub reward: Box<dyn Reward>,
    /// Its tokenizer.
    pub tokenizer: Arc<Tokenizer>,
    /// How it cuts rows.
    pub tokenize: TokenizeOptions,
    /// Whether it reads conversations as they are, and not by a chat template.
    pub reads_as_written: bool,
    /// What it rounds operands of products to.
    pub precision: Precision,
}

/// A reward model's directory and tokenizer, which fit; its weights are not loaded yet.
#[derive(Debug)]
pub struct RewardModelDir {
    dir: ModelDir,
    tokenizer: Tokenizer,
}

/// A reward model's tensors, to be held by several models.
#[derive(Debug)]
pub struct LoadedRewardModel {
    /// The backbone's shape.
    pub config: DecoderConfig,
    /// The head's.
    pub head: RewardHead,
    /// The parameters of both, frozen.
    pub params: Params,
    /// Its tokenizer.
    pub tokenizer: Arc<Tokenizer>,
}

/// The reward model in the directory `path` as a reward of texts. `called` is how errors speak of it: `reward_model DIR`.
///
/// # Errors
/// As [`RewardModelDir::open`], [`Normalize::read`] and [`RewardModelDir::load`].
pub fn open_reward(path: &Path, called: &str, device: &Device, reading: &Reading<'_>) -> Result<OpenReward> {
    #[cfg(feature = "encoders")]
    if align_encoders::is_encoder(path) {
        return encoder(path, called, device, reading);
    }
    let dir = RewardModelDir::open(path, called)?.in_precision(reading.precision).to_run();
    let normalization = reading.normalize.read(path)?;
    let loaded = dir.load(device)?;
    Ok(OpenReward {
        reward: Box::new(loaded.reward(normalization, reading.add_bos_token, reading.batch_size)?),
        tokenize: loaded.tokenize_options(reading.add_bos_token),
        tokenizer: loaded.tokenizer,
        reads_as_written: false,
        precision: reading.precision,
    })
}

/// The same of a classifier with an encoder, which has no chat template and reads pairs of texts as its tokenizer pairs them.
#[cfg(feature = "encoders")]
fn encoder(path: &Path, called: &str, device: &Device, reading: &Reading<'_>) -> Result<OpenReward> {
    ensure!(
        reading.add_bos_token.is_none(),
        "`add_bos_token`: has no effect on {called}, an encoder; remove it"
    );
    let reward = super::EncoderReward::open(path, device, reading.normalize.read(path)?)?;
    let tokenizer = Arc::new(Tokenizer::load_encoder(path)?);
    // It cuts by itself what it cannot see.
    let tokenize = TokenizeOptions { max_length: None, ..TokenizeOptions::default() };
    let precision = Precision::F32;
    Ok(OpenReward { reward: Box::new(reward), tokenizer, tokenize, reads_as_written: true, precision })
}

impl RewardModelDir {
    /// Reads config and tokenizer in `path`. `called` is how errors speak of the model.
    ///
    /// # Errors
    /// If it is a language model, or its tokenizer does not fit.
    pub fn open(path: &Path, called: &str) -> Result<Self> {
        let dir = open_model_dir(path, &Hub::from_env())?;
        ensure!(
            dir.reward_head()?.is_some(),
            "{called}: is a language model; expected a reward model, which train-reward makes"
        );
        let tokenizer = Tokenizer::load(dir.tokenizer_path())?;
        dir.check_vocabulary(tokenizer.vocab_size())?;
        Ok(Self { dir, tokenizer })
    }

    /// The same model, its products in that precision.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { dir: self.dir.in_precision(precision), ..self }
    }

    /// The same model, [to be run and nothing else](ModelDir::to_run).
    #[must_use]
    pub fn to_run(self) -> Self {
        Self { dir: self.dir.to_run(), ..self }
    }

    /// The backbone's shape.
    pub fn decoder_config(&self) -> &DecoderConfig {
        self.dir.decoder_config()
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Loads the weights.
    ///
    /// # Errors
    /// If they are not what the config says.
    pub fn load(self, device: &Device) -> Result<LoadedRewardModel> {
        // A saved reward model has its head: no seed draws one.
        let (head, params) = self.dir.load_reward_model(None, 0, device)?;
        let (config, tokenizer) = (self.dir.decoder_config().clone(), Arc::new(self.tokenizer));
        Ok(LoadedRewardModel { config, head, params, tokenizer })
    }
}

impl LoadedRewardModel {
    /// The model, frozen; its tensors are shared.
    ///
    /// # Errors
    /// If a weight is missing.
    pub fn model(&self) -> Result<RewardModel> {
        Ok(RewardModel::new(&self.config, self.head, &self.params)?)
    }

    /// The model as a reward of texts.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn reward(
        &self,
        normalization: Option<RewardNormalization>,
        add_bos_token: Option<bool>,
        batch_size: usize,
    ) -> Result<ModelReward> {
        let tokenize = self.tokenize_options(add_bos_token);
        let tokenizer = Arc::clone(&self.tokenizer);
        Ok(ModelReward::new(self.model()?, tokenizer, tokenize, normalization, batch_size))
    }

    /// How rows are cut to what the model can see: an answer's end is what a reward is of.
    fn tokenize_options(&self, add_bos_token: Option<bool>) -> TokenizeOptions {
        TokenizeOptions {
            max_length: Some(self.config.max_positions),
            truncation_mode: TruncationMode::KeepEnd,
            add_bos_token,
            ..TokenizeOptions::default()
        }
    }
}
