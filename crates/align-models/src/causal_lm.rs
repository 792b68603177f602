//! A decoder with a language-model head: log-probs for training and scoring, logits for sampling.

use align_kernels::{Linear, Params, TokenStats, linear_log_probs, linear_log_probs_with_stats};
use align_losses::sequence_log_probs;
use candle_core::{Result, Tensor};

use crate::{Decoder, DecoderConfig, KeyValues, Packed, Stream};

/// A causal language model. Whether it can be trained depends on the parameters it was made from.
#[derive(Clone, Debug)]
pub struct CausalLm {
    decoder: Decoder,
    head: Linear,
}

impl CausalLm {
    /// A model over `params`, which must hold every tensor of `config` by its Hugging Face name.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn new(config: &DecoderConfig, params: &Params) -> Result<Self> {
        let decoder = Decoder::new(config, params)?;
        let head = if config.tied_embeddings {
            decoder.embedding().clone()
        } else {
            params.require("lm_head.weight")?.clone()
        };
        Ok(Self { decoder, head: Linear::new(&head, None)? })
    }

    /// See [`Decoder::with_gradient_checkpointing`].
    pub fn with_gradient_checkpointing(self, gradient_checkpointing: bool) -> Self {
        Self { decoder: self.decoder.with_gradient_checkpointing(gradient_checkpointing), ..self }
    }

    /// The backbone.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Log-probs of the targets' labels, `[targets]`. The logits of all rows are never held at once.
    pub fn token_log_probs(&self, packed: &Packed) -> Result<Tensor> {
        let (hidden, labels) = self.target_rows(packed)?;
        linear_log_probs(&hidden, self.head.weight(), &labels)
    }

    /// [`CausalLm::token_log_probs`] with entropy and top-1 hits from the same pass.
    pub fn token_log_probs_with_stats(&self, packed: &Packed) -> Result<(Tensor, TokenStats)> {
        let (hidden, labels) = self.target_rows(packed)?;
        linear_log_probs_with_stats(&hidden, self.head.weight(), &labels)
    }

    /// Log-probs of whole sequences, `[sequences]`: the sum over each sequence's targets, zero where a
    /// sequence has none.
    pub fn sequence_log_probs(&self, packed: &Packed) -> Result<Tensor> {
        sequence_log_probs(&self.token_log_probs(packed)?, &packed.targets.sequences, packed.sequences)
    }

    /// Logits of the stream's rows `rows`, `[rows, vocab]`: for sampling a few rows, not for training.
    pub fn logits(&self, stream: &Stream, rows: &[u32], key_values: &mut impl KeyValues) -> Result<Tensor> {
        self.head.forward(&self.decoder.hidden_with(stream, rows, key_values)?)
    }

    /// Log-probs `[rows]` of `labels` from the hidden states `[rows, hidden]` that predict them, with the logits divided
    /// by `temperature`; and what [`CausalLm::token_log_probs_with_stats`] says beside them.
    ///
    /// # Errors
    /// If there are not as many labels as rows, or none.
    pub fn label_log_probs(
        &self,
        hidden: &Tensor,
        labels: &[u32],
        temperature: f64,
    ) -> Result<(Tensor, TokenStats)> {
        let labels = Tensor::new(labels, hidden.device())?;
        linear_log_probs_with_stats(&at_temperature(hidden, temperature)?, self.head.weight(), &labels)
    }

    /// The logits behind [`CausalLm::label_log_probs`], `[rows, vocab]`: where something is differentiated that no
    /// kernel has.
    ///
    /// # Errors
    /// If the hidden states are not of the model's width.
    pub fn next_token_logits(&self, hidden: &Tensor, temperature: f64) -> Result<Tensor> {
        self.head.forward(&at_temperature(hidden, temperature)?)
    }

    fn target_rows(&self, packed: &Packed) -> Result<(Tensor, Tensor)> {
        let hidden = self.decoder.hidden(&packed.stream, &packed.targets.rows)?;
        let labels = Tensor::new(packed.targets.labels.as_slice(), hidden.device())?;
        Ok((hidden, labels))
    }
}

/// The head is linear, so hidden states may be divided in place of the many more logits.
fn at_temperature(hidden: &Tensor, temperature: f64) -> Result<Tensor> {
    if temperature == 1.0 { Ok(hidden.clone()) } else { hidden / temperature }
}
