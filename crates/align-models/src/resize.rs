//! Room for more tokens.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde_json::json;

use crate::plan::weight;
use crate::{Error, ModelDir, Result};

impl ModelDir {
    /// The same model with rows for `vocab` tokens: the embedding, and the head where it has weights of its own, get new rows
    /// at their end, each the mean of those that are there, so that a new token starts as likely as the average one
    /// (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models"; transformers draws them around it).
    ///
    /// # Errors
    /// If the model has rows for that many tokens already, or there are more than any model has.
    pub fn with_vocabulary(&self, vocab: usize) -> Result<Self> {
        let found = self.decoder_config().vocab;
        if vocab <= found {
            let problem =
                format!("has rows for {found} tokens, which {vocab} tokens fit; nothing is to be resized");
            return Err(Error::invalid(self.path(), problem));
        }
        if self.has_embedding_in_blocks() {
            let problem = "has its embedding in blocks of few bits, to which no rows can be added; write it as numbers first \
                           (`align export`)";
            return Err(Error::invalid(self.path(), problem));
        }
        let mut json = self.json().clone();
        json["vocab_size"] = json!(vocab);
        self.resized(json)
    }

    /// The same model, with rows for `vocab` tokens if `resize`: what `--resize-token-embeddings` asks for.
    ///
    /// # Errors
    /// As [`ModelDir::with_vocabulary`].
    pub fn with_vocabulary_if(self, resize: bool, vocab: usize) -> Result<Self> {
        if resize { self.with_vocabulary(vocab) } else { Ok(self) }
    }

    /// Weights of the size on disk, with the rows that are missing.
    pub(crate) fn with_missing_rows(
        &self,
        mut tensors: BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>> {
        let config = self.decoder_config();
        for name in [weight(&config.embedding), weight(&config.head.name)] {
            if let Some(rows) = tensors.get(&name) {
                let missing = config.vocab - rows.dim(0)?;
                if missing > 0 {
                    let mean = rows.mean_keepdim(0)?.broadcast_as((missing, rows.dim(1)?))?;
                    tensors.insert(name, Tensor::cat(&[rows, &mean], 0)?);
                }
            }
        }
        Ok(tensors)
    }
}
