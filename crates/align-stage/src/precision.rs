//! The options of the precision that models are computed in.

use align_hub::Dtype;
use align_kernels::Precision;
use serde::Serialize;

use crate::{Error, Result};

/// The precision of products with weights, under two names.
#[derive(Debug, Clone, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct PrecisionOptions {
    /// Precision of products with weights: float32, or bfloat16 with sums in float32, twice as fast where the CPU has such arithmetic
    /// (AVX-512 BF16); weights and their updates are float32 in any case
    #[arg(long, default_value_t = Dtype::Float32, value_name = "DTYPE")]
    pub dtype: Dtype,

    /// As `--dtype bfloat16`; TRL's name for it
    #[arg(long)]
    pub bf16: Option<bool>,
}

impl PrecisionOptions {
    /// What operands of products are rounded to.
    ///
    /// # Errors
    /// If one option says that it is bf16 and the other that it is not.
    pub fn precision(&self) -> Result<Precision> {
        match (self.bf16, self.dtype) {
            (Some(false), Dtype::Bfloat16) => {
                Err(Error::option("bf16", "is false, and `dtype` says bfloat16; remove one of the two"))
            }
            (Some(true), _) | (_, Dtype::Bfloat16) => Ok(Precision::Bf16),
            _ => Ok(Precision::F32),
        }
    }
}
