//! A decoder with a language-model head: log-probs for training and scoring, logits for sampling.

use align_kernels::{Head, Params, SoftCap, TokenStats};
use align_losses::sequence_log_probs;
use candle_core::{Result, Tensor};

use crate::adapter::head_adapter;
use crate::plan::weight;
use crate::{Decoder, DecoderConfig, KeyValues, Neftune, Packed, Stream};

/// A causal language model. Whether it can be trained depends on the parameters it was made from.
#[derive(Clone, Debug)]
pub struct CausalLm {
    decoder: Decoder,
    head: Head,
    logit_scale: f64,
}

impl CausalLm {
    /// A model over `params`, which must hold every tensor of `config` by its Hugging Face name.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn new(config: &DecoderConfig, params: &Params) -> Result<Self> {
        let decoder = Decoder::new(config, params)?;
        let head = if config.tied_embeddings {
            decoder.embedding_as_head()
        } else {
            let weight = params.weight(&weight(&config.head.name))?.with_precision(config.precision);
            Head { weight, adapter: None, trained: None, softcap: None }
        };
        let (adapter, softcap) = (head_adapter(config, params)?, config.head.softcap.map(SoftCap::new));
        let head = Head { adapter, softcap, ..head };
        Ok(Self { decoder, head, logit_scale: config.head.scale })
    }

    /// See [`Decoder::with_gradient_checkpointing`].
    pub fn with_gradient_checkpointing(self, gradient_checkpointing: bool) -> Self {
        Self { decoder: self.decoder.with_gradient_checkpointing(gradient_checkpointing), ..self }
    }

    /// See [`Decoder::with_neftune`].
    pub fn with_neftune(self, neftune: Option<Neftune>) -> Self {
        Self { decoder: self.decoder.with_neftune(neftune), ..self }
    }

    /// The backbone.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Log-probs of the targets' labels, `[targets]`. The logits of all rows are never held at once.
    pub fn token_log_probs(&self, packed: &Packed) -> Result<Tensor> {
        let (hidden, labels) = self.target_rows(packed)?;
        self.head.log_probs(&hidden, &labels)
    }

    /// [`CausalLm::token_log_probs`] with entropy and top-1 hits from the same pass.
    pub fn token_log_probs_with_stats(&self, packed: &Packed) -> Result<(Tensor, TokenStats)> {
        self.smoothed_log_probs_with_stats(packed, 0.0)
    }

    /// [`CausalLm::token_log_probs_with_stats`] of labels of which a share is divided evenly among the vocabulary (label
    /// smoothing).
    ///
    /// # Errors
    /// A share that is not at least 0 and below 1.
    pub fn smoothed_log_probs_with_stats(
        &self,
        packed: &Packed,
        smoothing: f64,
    ) -> Result<(Tensor, TokenStats)> {
        let (hidden, labels) = self.target_rows(packed)?;
        self.head.smoothed_log_probs_with_stats(&hidden, &labels, smoothing)
    }

    /// Log-probs of whole sequences, `[sequences]`: the sum over each sequence's targets, zero where a
    /// sequence has none.
    pub fn sequence_log_probs(&self, packed: &Packed) -> Result<Tensor> {
        sequence_log_probs(&self.token_log_probs(packed)?, &packed.targets.sequences, packed.sequences)
    }

    /// Logits of the stream's rows `rows`, `[rows, vocab]`: for sampling a few rows, not for training.
    pub fn logits(&self, stream: &Stream, rows: &[u32], key_values: &mut impl KeyValues) -> Result<Tensor> {
        self.next_token_logits(&self.decoder.hidden_with(stream, rows, key_values)?, 1.0)
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
        let (hidden, head) = self.at_temperature(hidden, temperature)?;
        head.log_probs_with_stats(&hidden, &labels)
    }

    /// The logits behind [`CausalLm::label_log_probs`], `[rows, vocab]`: where something is differentiated that no
    /// kernel has.
    ///
    /// # Errors
    /// If the hidden states are not of the model's width.
    pub fn next_token_logits(&self, hidden: &Tensor, temperature: f64) -> Result<Tensor> {
        let (hidden, head) = self.at_temperature(hidden, temperature)?;
        head.logits(&hidden)
    }

    fn target_rows(&self, packed: &Packed) -> Result<(Tensor, Tensor)> {
        let hidden = self.decoder.hidden(&packed.stream, &packed.targets.rows)?;
        let labels = Tensor::new(packed.targets.labels.as_slice(), hidden.device())?;
        Ok((self.at_temperature(&hidden, 1.0)?.0, labels))
    }

    /// Hidden states and the head after them whose logits are divided by the temperature. As far as the head is linear,
    /// hidden states are multiplied in place of the many more logits.
    fn at_temperature(&self, hidden: &Tensor, temperature: f64) -> Result<(Tensor, Head)> {
        let (factor, softcap) = match self.head.softcap {
            None => (self.logit_scale / temperature, None),
            Some(cap) => (self.logit_scale, Some(cap.at_temperature(temperature))),
        };
        let hidden = if factor == 1.0 { hidden.clone() } else { (hidden * factor)? };
        Ok((hidden, Head { softcap, ..self.head.clone() }))
    }
}
