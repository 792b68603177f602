//! In which precision, and in how many files, weights are written.

use std::collections::BTreeMap;

use align_kernels::{Param, Params};
use candle_core::DType;

use super::Quantisation;
use super::written::Written;
use crate::Result;

/// The precision of saved weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum SavedDtype {
    /// 32 bits, as weights are trained.
    #[default]
    #[cfg_attr(feature = "clap", value(alias = "f32"))]
    Float32,
    /// 16 bits, of which 8 are exponent.
    #[cfg_attr(feature = "clap", value(alias = "bf16"))]
    Bfloat16,
    /// 16 bits, of which 5 are exponent: numbers above 65504 become infinite.
    #[cfg_attr(feature = "clap", value(alias = "f16"))]
    Float16,
}

/// The format of saved weights: their precision, and bytes of a file at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedFormat {
    /// The precision.
    pub dtype: SavedDtype,
    /// How the weights of linear layers are quantised, in the layout of bitsandbytes, if they are.
    pub quantise: Option<Quantisation>,
    /// Bytes of a file at most, if tensors are smaller than that.
    pub max_shard_bytes: u64,
}

impl Default for SavedFormat {
    fn default() -> Self {
        Self { dtype: SavedDtype::Float32, quantise: None, max_shard_bytes: u64::MAX }
    }
}

impl SavedDtype {
    /// That of the name, as `config.json` has it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Float32, Self::Bfloat16, Self::Float16].into_iter().find(|it| it.name() == name)
    }

    /// The parameters as they are read again when they were saved in it.
    ///
    /// # Errors
    /// If they cannot be converted.
    pub fn rounded(self, params: &Params) -> Result<Params> {
        if self == Self::Float32 {
            return Ok(params.clone());
        }
        let rounded = params.iter().map(|(name, param)| {
            let value = param.tensor().detach();
            Ok((name.to_owned(), Param::frozen(&value.to_dtype(self.tensor())?.to_dtype(value.dtype())?)))
        });
        Ok(params.overlaid(&rounded.collect::<Result<Params>>()?))
    }

    pub(super) fn tensor(self) -> DType {
        match self {
            Self::Float32 => DType::F32,
            Self::Bfloat16 => DType::BF16,
            Self::Float16 => DType::F16,
        }
    }
}

impl SavedFormat {
    /// The names of the tensors of each file, in order.
    pub(super) fn shards(&self, tensors: &BTreeMap<String, Written>) -> Vec<Vec<String>> {
        let (mut shards, mut held): (Vec<Vec<String>>, u64) = (Vec::new(), u64::MAX);
        for (name, tensor) in tensors {
            let bytes = tensor.size(self.dtype);
            if held.saturating_add(bytes) > self.max_shard_bytes || shards.is_empty() {
                shards.push(Vec::new());
                held = 0;
            }
            held += bytes;
            shards.last_mut().expect("one was pushed").push(name.clone());
        }
        shards
    }
}
