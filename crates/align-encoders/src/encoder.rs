//! A classifier with an encoder and its tokenizer: from a question and an answer to a score.

use std::path::Path;

use align_data::Tokenizer;
use candle_core::{Device, Tensor};
use candle_transformers::models::debertav2::DebertaV2SeqClassificationModel;

use crate::weights::Weights;
use crate::{Error, Result, config};

/// A DeBERTa classifier of one label, whose output is a score. Its weights are frozen, and no gradient can be asked for.
pub struct Encoder {
    model: DebertaV2SeqClassificationModel,
    tokenizer: Tokenizer,
    max_length: usize,
    hash: String,
    device: Device,
}

impl Encoder {
    /// Opens a model directory with `config.json`, `model.safetensors` and `tokenizer.json`.
    ///
    /// # Errors
    /// A file that is missing or damaged, a config that is refused, a tensor that is missing, of another shape or
    /// unaccounted for, a tokenizer with more tokens than the model.
    pub fn open(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        let config = config::read(dir)?;
        let tokenizer = Tokenizer::load(dir)?;
        if tokenizer.vocab_size() > config.vocab_size {
            let problem = format!(
                "`vocab_size` is {}, and the tokenizer has ids up to {}",
                config.vocab_size,
                tokenizer.vocab_size() - 1
            );
            return Err(Error::invalid(config::path(dir), problem));
        }
        let weights = Weights::read(dir)?;
        let builder = weights.builder(device);
        let model = DebertaV2SeqClassificationModel::load(builder.pp("deberta"), &config, None)
            .map_err(|error| Error::invalid(dir, error.to_string()))?;
        weights.all_asked_for(dir)?;
        let (max_length, hash, device) = (config.max_position_embeddings, weights.hash, device.clone());
        Ok(Self { model, tokenizer, max_length, hash, device })
    }

    /// SHA-256 of its weights, in hex.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Longest row in tokens, special ones included: `max_position_embeddings`.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The score of each answer to its question. A row that is too long loses the end of the longer of the two texts, and a
    /// warning says of how many rows that is true.
    ///
    /// # Errors
    /// A text that the tokenizer cannot encode.
    pub fn scores(&self, pairs: &[(String, String)]) -> Result<Vec<f32>> {
        let tokenizer = self.tokenizer.pairs(self.max_length)?;
        let mut cut = 0;
        let score = |(question, answer): &(String, String)| {
            let row = tokenizer.encode(question, answer)?;
            cut += usize::from(row.is_cut);
            // One at a time: candle-transformers cannot add absolute places to several rows, and padding costs time on a CPU.
            let ids = Tensor::new(row.ids, &self.device)?.unsqueeze(0)?;
            let types = Tensor::new(row.types, &self.device)?.unsqueeze(0)?;
            let score = self.model.forward(&ids, Some(types), None)?;
            Ok(score.flatten_all()?.get(0)?.to_scalar::<f32>()?)
        };
        let scores = pairs.iter().map(score).collect::<Result<_>>()?;
        if cut > 0 {
            tracing::warn!(
                "{cut} of {} answers with their questions are longer than the reward model's {} tokens: what was cut has no part \
                 in the score",
                pairs.len(),
                self.max_length
            );
        }
        Ok(scores)
    }
}
