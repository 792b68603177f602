//! Adapters at the two ends of a decoder: the embedding and the head, and rows of tokens that are trained.

use align_kernels::{Adapter, Linear, Params, Tape, TrainedRows, Value, Weight};
use candle_core::{Result, Tensor};

use super::b;
use super::tensors::{embedding_a_and_b, trained_tokens};
use crate::plan::weight;
use crate::{DecoderConfig, Error, ModelDir};

/// The embedding of tokens: a table, and what is trained of it or beside it.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    table: Weight,
    adapter: Option<Adapter>,
    trained: Option<TrainedRows>,
}

impl Embedding {
    pub(crate) fn new(config: &DecoderConfig, params: &Params) -> Result<Self> {
        let adapter = config.embedding_adapter.as_ref().map(|plan| {
            let [a, b] = embedding_a_and_b(&plan.module);
            Adapter::new(params.require(&a)?, params.require(&b)?, plan.scale)
        });
        let tokens = Some(&config.trained_tokens).filter(|tokens| !tokens.is_empty());
        let trained = tokens
            .map(|tokens| TrainedRows::new(tokens, params.require(&trained_tokens(&config.embedding))?));
        Ok(Self {
            table: params.weight(&weight(&config.embedding))?.with_precision(config.precision),
            adapter: adapter.transpose()?,
            trained: trained.transpose()?,
        })
    }

    /// Rows of the tokens, `[tokens, hidden]`.
    pub(crate) fn forward(&self, tape: &mut Tape, tokens: &Tensor) -> Result<Value> {
        match (&self.adapter, &self.trained) {
            (Some(adapter), _) => {
                let product = [adapter.a(), adapter.b()];
                tape.adapted_embedding(tokens, &self.table, product, adapter.scale())
            }
            (None, Some(trained)) => tape.embedding_with_rows(tokens, &self.table, trained),
            (None, None) => tape.embedding(tokens, &self.table),
        }
    }

    /// The table, `[vocab, hidden]`.
    pub(crate) fn table(&self) -> &Weight {
        &self.table
    }

    /// The rows that are trained.
    pub(crate) fn trained(&self) -> Option<&TrainedRows> {
        self.trained.as_ref()
    }
}

/// The adapter of the head, if it has one.
pub(crate) fn head_adapter(config: &DecoderConfig, params: &Params) -> Result<Option<Adapter>> {
    let plan = config.head.adapter.as_ref();
    let adapter = plan
        .map(|plan| Adapter::new(params.require(&plan.a())?, params.require(&b(&plan.module))?, plan.scale));
    adapter.transpose()
}

impl ModelDir {
    /// Embedding and head with what was trained of them.
    ///
    /// # Errors
    /// A model whose head is its embedding, where one of them has an adapter: merged they would have it both.
    pub(super) fn merged_vocabulary(&self, all: &Params) -> crate::Result<Vec<(String, Tensor)>> {
        let config = self.decoder_config();
        let mut changed = Vec::new();
        if config.tied_embeddings && (config.embedding_adapter.is_some() || config.head.adapter.is_some()) {
            let problem = "has an adapter of the embedding or of the head, and in this model they are one weight (tied embeddings): \
                           merged, both would have it";
            return Err(Error::invalid(self.path(), problem));
        }
        let own = |module: &str| Ok::<_, Error>(all.require(&weight(module))?.tensor().detach());
        let embedding = Embedding::new(config, all)?;
        if let Some(adapter) = &embedding.adapter {
            let [a, b] = [adapter.a(), adapter.b()].map(|param| param.tensor().detach().t());
            let change = (a?.contiguous()?.matmul(&b?.contiguous()?)? * adapter.scale())?;
            changed.push((weight(&config.embedding), (own(&config.embedding)? + change)?));
        }
        if let Some(trained) = &embedding.trained {
            changed.push((weight(&config.embedding), trained.placed_in(&own(&config.embedding)?)?));
        }
        if let Some(adapter) = head_adapter(config, all)? {
            let head = Linear::of(all.weight(&weight(&config.head.name))?, None)?;
            changed.push((weight(&config.head.name), head.with_adapter(&adapter)?.merged()?.0));
        }
        Ok(changed)
    }
}
