//! A model in memory.

use std::sync::Arc;

use align_kernels::{Blocks, Param, Params};
use candle_core::Device;

use crate::adapter::is_offset;
use crate::weights::Multiplied;
use crate::{CausalLm, DecoderConfig, ModelDir, Result, RewardHead, weights_hash};

/// A model in memory: its plan, and its parameters. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Model {
    /// The plan.
    pub config: DecoderConfig,
    /// The parameters.
    pub params: Params,
}

impl Model {
    /// The language model over these parameters.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn causal_lm(&self) -> Result<CausalLm> {
        Ok(CausalLm::new(&self.config, &self.params)?)
    }

    /// The same model, to be run and nothing else, as [`ModelDir::to_run`] has it.
    ///
    /// # Errors
    /// If a weight cannot be read.
    pub fn to_run(self) -> Result<Self> {
        let Some(multiplied) = Multiplied::of(&self.config) else { return Ok(self) };
        let mut blocks: Vec<(String, Arc<dyn Blocks>)> =
            self.params.blocks().map(|(name, held)| (name.to_owned(), Arc::clone(held))).collect();
        let mut params = Params::default();
        for (name, param) in self.params.iter() {
            match multiplied.held(name, param.tensor())? {
                Some(held) => blocks.push((name.to_owned(), Arc::new(held))),
                None => params.insert(name, param.clone())?,
            }
        }
        Ok(Self { params: params.with_blocks(blocks), ..self })
    }

    /// A hash of the model's function: [`weights_hash`].
    ///
    /// # Errors
    /// If a weight cannot be read from its device.
    pub fn hash(&self) -> Result<String> {
        weights_hash(&self.config, &self.params)
    }
}

impl ModelDir {
    /// The language model as it is saved, frozen; an adapter over its base.
    ///
    /// # Errors
    /// If a tensor is missing, unknown, or of another shape than `config.json` says.
    pub fn model(&self, device: &Device) -> Result<Model> {
        let base = self.load(device)?;
        self.with_own_adapter(base, 0, device)
    }

    /// The parameters of the language model to train, and the model as it starts, frozen: all parameters, or those of the
    /// [adapter](ModelDir::with_new_adapter) over a frozen base, which the two then hold in common. `seed` is what a new
    /// adapter is drawn from.
    ///
    /// # Errors
    /// As [`ModelDir::model`].
    pub fn trainable(&self, seed: u64, device: &Device) -> Result<(Params, Model)> {
        let base = self.load(device)?;
        let Some(adapter) = self.adapter() else {
            let config = self.decoder_config().clone();
            return Ok((base.tracked_copy()?, Model { config, params: base }));
        };
        let start = if adapter.is_saved() {
            self.with_own_adapter(base.clone(), seed, device)?
        } else {
            Model { config: self.base_config().clone(), params: base.clone() }
        };
        Ok((self.over(base, seed, device, Param::tracked)?, start))
    }

    /// Head and parameters of the reward model to train, as [`ModelDir::load_reward_model`] finds them: all, or those of an
    /// adapter and the head over a frozen base.
    ///
    /// # Errors
    /// As [`ModelDir::load_reward_model`].
    pub fn trainable_reward_model(
        &self,
        asked: Option<RewardHead>,
        seed: u64,
        device: &Device,
    ) -> Result<(RewardHead, Params)> {
        match self.adapter() {
            None => {
                let (head, params) = self.load_reward_model(asked, seed, device)?;
                Ok((head, params.tracked_copy()?))
            }
            Some(_) => {
                let head = self.head_of(asked)?;
                let own = self.with_adapter_head(head);
                Ok((head, own.over(own.load_backbone(device)?, seed, device, Param::tracked)?))
            }
        }
    }

    /// A reward model to train beside this one, in the same way: all its parameters, or its head and an adapter, its own or a
    /// new one of this one's settings, over what it is made of.
    ///
    /// # Errors
    /// An adapter that does not fit it.
    pub fn trainable_like(&self, model: Model, seed: u64, device: &Device) -> Result<Model> {
        let Some(adapter) = self.adapter() else {
            return Ok(Model { params: model.params.tracked_copy()?, ..model });
        };
        let Model { config, params } = model;
        let (config, params) = if config.has_adapter() {
            (config, params)
        } else {
            adapter.added(&config, &params, seed, device)?
        };
        let own = config.low_rank_names();
        let held = |(name, param): (&str, &Param)| {
            let is_trained = (own.contains(name) && !is_offset(name)) || name.starts_with("score.");
            let param = if is_trained { Param::tracked(param.tensor())? } else { param.clone() };
            Ok::<_, crate::Error>((name.to_owned(), param))
        };
        let params = params.iter().map(held).collect::<Result<Params>>()?;
        Ok(Model { config, params })
    }

    /// A model of `base` and the adapter as it is, frozen.
    pub(crate) fn with_own_adapter(&self, base: Params, seed: u64, device: &Device) -> Result<Model> {
        let frozen = |tensor: &_| Ok(Param::frozen(tensor));
        let params = self.over(base, seed, device, frozen)?;
        Ok(Model { config: self.decoder_config().clone(), params })
    }

    /// The parameters of the base, and of the adapter if there is one as `held`.
    pub(crate) fn over(
        &self,
        base: Params,
        seed: u64,
        device: &Device,
        held: impl Fn(&candle_core::Tensor) -> candle_core::Result<Param>,
    ) -> Result<Params> {
        let Some(adapter) = self.adapter() else { return Ok(base) };
        let tensors = adapter.load(self.decoder_config(), &base, seed, device)?;
        let own = tensors.iter().map(|(name, tensor)| {
            let param = if is_offset(name) { Param::frozen(tensor) } else { held(tensor)? };
            Ok((name.clone(), param))
        });
        let own = own.collect::<Result<Params>>()?;
        Ok(base.overlaid(&own))
    }
}
