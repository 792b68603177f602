//! In which precision, and in how many files, weights are written.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

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
    /// Bytes of a file at most, if tensors are smaller than that.
    pub max_shard_bytes: u64,
}

impl Default for SavedFormat {
    fn default() -> Self {
        Self { dtype: SavedDtype::Float32, max_shard_bytes: u64::MAX }
    }
}

impl SavedDtype {
    /// That of the name, as `config.json` has it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Float32, Self::Bfloat16, Self::Float16].into_iter().find(|it| it.name() == name)
    }

    fn tensor(self) -> DType {
        match self {
            Self::Float32 => DType::F32,
            Self::Bfloat16 => DType::BF16,
            Self::Float16 => DType::F16,
        }
    }
}

impl SavedFormat {
    /// The tensors in this precision.
    pub(super) fn converted(&self, tensors: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
        let dtype = self.dtype.tensor();
        tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.to_dtype(dtype)?))).collect()
    }

    /// The names of the tensors of each file, in order.
    pub(super) fn shards(&self, tensors: &BTreeMap<String, Tensor>) -> Vec<Vec<String>> {
        let size = self.dtype.tensor().size_in_bytes() as u64;
        let (mut shards, mut held): (Vec<Vec<String>>, u64) = (Vec::new(), u64::MAX);
        for (name, tensor) in tensors {
            let bytes = size * tensor.elem_count() as u64;
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
