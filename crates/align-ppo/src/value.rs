//! The critic: what the score of a completion is expected to be, after each of its tokens.
//!
//! It is a scalar head over hidden states: over those of a backbone of its own, which starts from a reward model as TRL
//! has it, or over the policy's, which costs one more matrix-vector product and lets the two objectives pull at the same
//! weights.
//!
//! A reward model's own output is in units of its head; scores are what normalisation and weights have made of it. The
//! critic's output goes the same way, so that its first values are of the size of the scores, not several times it.

use align_kernels::Params;
use align_models::{CausalLm, DecoderConfig, RewardHead, RewardModel, RewardScorer, Stream};
use align_train::{Error, Result};
use candle_core::{Device, Tensor};

use crate::Rollouts;
use crate::ppo::value_rows;

/// What the critic's parameters are called beside the policy's, in the updater and in checkpoints.
const PREFIX: &str = "value_model.";

/// A critic. Whether it can be trained depends on the parameters it was made from.
#[derive(Clone, Debug)]
pub enum Critic {
    /// A head on the policy's hidden states.
    Head(RewardScorer),
    /// A model of its own, whose output `r` says that the score will be `scale`·r + `shift`.
    Model {
        /// The model.
        model: Box<RewardModel>,
        /// The scale: units of the score that one of the model's is.
        scale: f64,
        /// The score where the model says 0.
        shift: f64,
    },
}

impl Critic {
    /// See [`align_models::Decoder::with_gradient_checkpointing`]; a head has no layers of its own.
    #[must_use]
    pub fn with_gradient_checkpointing(self, gradient_checkpointing: bool) -> Self {
        match self {
            Self::Head(_) => self,
            Self::Model { model, scale, shift } => {
                let model = Box::new(model.with_gradient_checkpointing(gradient_checkpointing));
                Self::Model { model, scale, shift }
            }
        }
    }

    /// The rows of the policy's hidden states that values of `rows` are made from.
    pub(crate) fn reads<'a>(&self, rows: &'a [u32]) -> &'a [u32] {
        match self {
            Self::Head(_) => rows,
            Self::Model { .. } => &[],
        }
    }

    /// Values `[rows]` of rows of a stream. The policy's hidden states of them are asked for only where the critic
    /// reads them.
    pub(crate) fn values(
        &self,
        policy_hidden: impl FnOnce() -> candle_core::Result<Tensor>,
        rows: &[u32],
        stream: &Stream,
    ) -> candle_core::Result<Tensor> {
        match self {
            Self::Head(head) => head.rewards(&policy_hidden()?),
            Self::Model { model, scale, shift } => {
                model.scorer().rewards(&model.decoder().hidden(stream, rows)?)?.affine(*scale, *shift)
            }
        }
    }
}

/// The policy and its critic over one set of parameters.
#[derive(Clone, Debug)]
pub struct ActorCritic {
    /// The policy, which samples.
    pub policy: CausalLm,
    /// The critic, which judges how good a place a token leaves the policy in.
    pub critic: Critic,
}

impl ActorCritic {
    /// Values of all completions of `rollouts`, each at so many `places`.
    pub(crate) fn values(&self, rollouts: &Rollouts, places: &[usize]) -> Result<Vec<Vec<f32>>> {
        let mut values: Vec<Vec<f32>> = Vec::with_capacity(places.len());
        for pass in rollouts.passes() {
            let of_pass = &places[values.len()..values.len() + pass.sequences];
            let rows = value_rows(&pass, of_pass.iter().copied());
            let hidden = || self.policy.decoder().hidden(&pass.stream, &rows);
            let mut flat = self.critic.values(hidden, &rows, &pass.stream)?.to_vec1::<f32>()?.into_iter();
            values.extend(of_pass.iter().map(|&places| flat.by_ref().take(places).collect::<Vec<f32>>()));
        }
        Ok(values)
    }
}

/// The start of a critic: the head or model that it is made from.
#[derive(Clone, Debug)]
pub enum CriticStart {
    /// An untrained head on the policy's backbone.
    Head {
        /// Seed of its weights.
        seed: u64,
    },
    /// The backbone and head of a model, by their Hugging Face names.
    Model {
        /// The model's shape.
        config: Box<DecoderConfig>,
        /// Its head.
        head: RewardHead,
        /// Its parameters, as they are held in training.
        params: Params,
        /// The scale: units of the score that one of the model's output is.
        scale: f64,
        /// The score where the model says 0.
        shift: f64,
    },
}

impl CriticStart {
    /// The critic's trainable parameters, under names that do not meet the policy's.
    ///
    /// # Errors
    /// If memory for them cannot be had.
    pub fn params(&self, policy: &DecoderConfig, device: &Device) -> Result<Params> {
        let params = match self {
            Self::Model { params, .. } => params.clone(),
            Self::Head { seed } => {
                let head = RewardHead::Linear.random_weights(policy, *seed, device).map_err(Error::stage)?;
                Params::tracked(&head)?
            }
        };
        Ok(params.iter().map(|(name, param)| (format!("{PREFIX}{name}"), param.clone())).collect())
    }

    /// The critic over parameters that [`CriticStart::params`] made, tracked or a view of them.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn critic(&self, params: &Params) -> Result<Critic> {
        let own: Params = params
            .iter()
            .filter_map(|(name, param)| Some((name.strip_prefix(PREFIX)?.to_owned(), param.clone())))
            .collect();
        Ok(match self {
            Self::Head { .. } => Critic::Head(RewardScorer::new(RewardHead::Linear, &own)?),
            Self::Model { config, head, scale, shift, .. } => Critic::Model {
                model: Box::new(RewardModel::new(config, *head, &own)?),
                scale: *scale,
                shift: *shift,
            },
        })
    }
}
