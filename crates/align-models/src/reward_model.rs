//! A decoder with a scalar head: how good an answer is, read off the hidden state of its last token.
//!
//! The token is found by its place in the stream, never by looking for a pad id: an answer that ends with a token
//! which is also the pad would be scored one token early.

use std::collections::BTreeMap;

use align_kernels::{Linear, Params};
use align_losses::relu;
use candle_core::{Device, Result, Tensor, bail};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::initialise::normal;
use crate::{Decoder, DecoderConfig, Packed, weights};

/// The head of a reward model, which turns a hidden state into a reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewardHead {
    /// `score.weight` `[1, hidden]` without bias: the head of transformers' `…ForSequenceClassification`.
    Linear,
    /// Two layers with a ReLU between: `score.weight` `[hidden_size, hidden]` and `score.bias`, then
    /// `score.out.weight` `[1, hidden_size]` and `score.out.bias`. transformers has no such head, and refuses the
    /// shape of `score.weight`.
    Mlp {
        /// Width between the layers.
        hidden_size: usize,
    },
}

impl RewardHead {
    /// The widest layer that a head may have.
    pub(crate) const WIDEST: u64 = 1 << 22;

    /// Names and shapes of the head's weights over hidden states of that width.
    pub fn weight_shapes(self, hidden: usize) -> Vec<(String, Vec<usize>)> {
        let shape = |name: &str, shape: &[usize]| (format!("score.{name}"), shape.to_vec());
        match self {
            Self::Linear => vec![shape("weight", &[1, hidden])],
            Self::Mlp { hidden_size } => vec![
                shape("weight", &[hidden_size, hidden]),
                shape("bias", &[hidden_size]),
                shape("out.weight", &[1, hidden_size]),
                shape("out.bias", &[1]),
            ],
        }
    }

    /// Weights of an untrained head: normal with the model's `initializer_range` for the linear one, as
    /// transformers has it; Xavier (deviation √(2 / (inputs + outputs))) and then He (√(2 / inputs)) with zero
    /// biases for the other. The same seed gives the same weights.
    ///
    /// # Errors
    /// If there is not enough memory for them; if they cannot be put on the device.
    pub fn random_weights(
        self,
        config: &DecoderConfig,
        seed: u64,
        device: &Device,
    ) -> crate::Result<BTreeMap<String, Tensor>> {
        let shapes = self.weight_shapes(config.hidden);
        weights::check_memory(&format!("a reward model with {self}"), &shapes)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let deviation = |name: &str, shape: &[usize]| match (self, name) {
            (Self::Linear, _) => config.initializer_range,
            (Self::Mlp { .. }, "score.weight") => (2.0 / (shape[0] + shape[1]) as f64).sqrt(),
            (Self::Mlp { .. }, "score.out.weight") => (2.0 / shape[1] as f64).sqrt(),
            (Self::Mlp { .. }, _) => 0.0,
        };
        let tensors = shapes.into_iter().map(|(name, shape)| {
            let deviation = deviation(&name, &shape);
            let count: usize = shape.iter().product();
            let data: Vec<f32> = (0..count).map(|_| (normal(&mut rng) * deviation) as f32).collect();
            Ok((name, Tensor::from_vec(data, shape, device)?))
        });
        tensors.collect()
    }
}

impl std::fmt::Display for RewardHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Linear => f.write_str("a linear head"),
            Self::Mlp { hidden_size } => write!(f, "an mlp head of hidden size {hidden_size}"),
        }
    }
}

/// The head's weights, over features that may have been computed long before.
#[derive(Clone, Debug)]
pub struct RewardScorer {
    /// The linear head; of an mlp head the hidden layer.
    first: Linear,
    /// The second layer of an mlp head.
    out: Option<Linear>,
    device: Device,
}

impl RewardScorer {
    /// The head over `params`.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn new(head: RewardHead, params: &Params) -> Result<Self> {
        let param = |name: &str| params.require(name);
        let linear = |weight: &str, bias: &str| Linear::new(param(weight)?, Some(param(bias)?));
        let device = param("score.weight")?.device().clone();
        Ok(match head {
            RewardHead::Linear => {
                Self { first: Linear::new(param("score.weight")?, None)?, out: None, device }
            }
            RewardHead::Mlp { .. } => Self {
                first: linear("score.weight", "score.bias")?,
                out: Some(linear("score.out.weight", "score.out.bias")?),
                device,
            },
        })
    }

    /// Rewards of hidden states: `[rows, hidden]` → `[rows]`.
    ///
    /// # Errors
    /// If the widths do not fit.
    pub fn rewards(&self, features: &Tensor) -> Result<Tensor> {
        let first = self.first.forward(features)?;
        let rewards = match &self.out {
            None => first,
            Some(out) => out.forward(&relu(&first)?)?,
        };
        rewards.squeeze(1)
    }

    /// The device of the weights.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

/// A reward model. Whether it can be trained depends on the parameters it was made from.
#[derive(Clone, Debug)]
pub struct RewardModel {
    decoder: Decoder,
    scorer: RewardScorer,
}

impl RewardModel {
    /// A model over `params`, which must hold every tensor of the backbone and of the head.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn new(config: &DecoderConfig, head: RewardHead, params: &Params) -> Result<Self> {
        Ok(Self { decoder: Decoder::new(config, params)?, scorer: RewardScorer::new(head, params)? })
    }

    /// See [`Decoder::with_gradient_checkpointing`].
    #[must_use]
    pub fn with_gradient_checkpointing(self, gradient_checkpointing: bool) -> Self {
        Self { decoder: self.decoder.with_gradient_checkpointing(gradient_checkpointing), ..self }
    }

    /// The backbone.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The head.
    pub fn scorer(&self) -> &RewardScorer {
        &self.scorer
    }

    /// Hidden states of the completions' last tokens, `[completions, hidden]`.
    ///
    /// # Errors
    /// If there are none; if the model cannot be run.
    pub fn features(&self, packed: &Packed) -> Result<Tensor> {
        let rows = packed.completion_ends();
        if rows.is_empty() {
            bail!("expected completions that follow a prompt, found none");
        }
        self.decoder.hidden(&packed.stream, &rows)
    }

    /// Rewards of the completions, each after its prompt, `[completions]`.
    ///
    /// # Errors
    /// As [`RewardModel::features`].
    pub fn rewards(&self, packed: &Packed) -> Result<Tensor> {
        self.scorer.rewards(&self.features(packed)?)
    }
}
