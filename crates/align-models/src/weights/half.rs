//! Weights that only products in bf16 read, held in bf16.

use std::collections::BTreeSet;
use std::sync::Arc;

use align_kernels::{Bf16, Blocks, Precision};
use candle_core::Tensor;

use super::Loaded;
use crate::plan::{StoredTensor, weight};
use crate::{DecoderConfig, Result};

/// The parameters of a model that is run and never trained, as far as they can be held in 2 bytes an element without a change of
/// any result: weights that are multiplied with, and looked at for nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Multiplied {
    names: BTreeSet<String>,
    /// Of the embedding, rows are looked up as they are.
    looked_up: String,
}

impl Multiplied {
    /// Those of a model; none where its products do not round to bf16, or an adapter needs the numbers of its base.
    pub(crate) fn of(config: &DecoderConfig) -> Option<Self> {
        if config.precision != Precision::Bf16 || config.has_adapter() {
            return None;
        }
        let linear = config.tensors().into_iter().filter(|tensor| tensor.is_linear);
        let names = linear.flat_map(|tensor| tensor.params).map(|param| param.name);
        let looked_up = weight(&config.embedding);
        let names = names.chain([weight(&config.head.name), looked_up.clone()]).collect();
        Some(Self { names, looked_up })
    }

    /// Whether a tensor will be in bf16; `is_bf16` says that it lies in the file so.
    pub(super) fn may_hold(&self, tensor: &StoredTensor, is_bf16: bool) -> bool {
        let held = |name: &String| self.names.contains(name) && (*name != self.looked_up || is_bf16);
        tensor.params.iter().all(|param| held(&param.name))
    }

    /// The weight of that name in bf16, if that is as good.
    pub(crate) fn held(&self, name: &str, tensor: &Tensor) -> Result<Option<Bf16>> {
        if !self.names.contains(name) || !tensor.device().is_cpu() {
            return Ok(None);
        }
        let (shape, values) = (tensor.dims2()?, tensor.flatten_all()?.to_vec1::<f32>()?);
        if name == self.looked_up && !Bf16::has(&values) {
            return Ok(None);
        }
        Ok(Some(Bf16::rounded(&values, shape)?))
    }
}

impl Loaded {
    /// The same, with what may be in bf16 in it.
    pub(crate) fn with_half(mut self, multiplied: Option<&Multiplied>) -> Result<Self> {
        let Some(multiplied) = multiplied else { return Ok(self) };
        for name in self.tensors.keys().cloned().collect::<Vec<_>>() {
            if let Some(held) = multiplied.held(&name, &self.tensors[&name])? {
                self.tensors.remove(&name);
                self.blocks.insert(name, Arc::new(held) as Arc<dyn Blocks>);
            }
        }
        Ok(self)
    }
}
