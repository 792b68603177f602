//! Weights of few bits: frozen by construction, decoded where they are used, a panel at a time.
//!
//! A product with such a weight is the product with what its blocks stand for, in f32: forward, backward, reference and
//! export mean the same function. (candle's quantised product rounds the input to 8 bits as well: another function.)

mod bf16;
mod codes;
mod double;
mod four_bit;
mod ggml;
mod int8;
mod lookup;
mod product;

use std::fmt::Debug;
use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;

pub use bf16::Bf16;
pub use codes::{dynamic_map, unsigned_dynamic_map};
pub use double::{Absmax, DoubleQuantised};
pub use four_bit::{FourBit, FourBitKind};
pub use ggml::Ggml;
pub use int8::Int8;
pub(crate) use product::{add_input_gradient, input_gradient, outputs, panels};

/// A weight `[outputs, inputs]` in blocks of few bits.
pub trait Blocks: Debug + Send + Sync {
    /// Outputs and inputs.
    fn shape(&self) -> (usize, usize);

    /// What errors and reports call the format: `nf4`.
    fn format(&self) -> &'static str;

    /// Columns that a range starts at a multiple of: those of a block.
    fn columns_at_once(&self) -> usize;

    /// Writes the elements of a row in these columns, the first of which is a multiple of
    /// [`Blocks::columns_at_once`].
    fn decode(&self, row: usize, columns: Range<usize>, to: &mut [f32]);

    /// Bytes in memory.
    fn bytes(&self) -> usize;

    /// Hands everything that the elements depend on to `take`, for a hash of the weight.
    fn content(&self, take: &mut dyn FnMut(&[u8]));

    /// The weight as one of 16 bits, if it is: products have a form of their own for it.
    fn as_bf16(&self) -> Option<&Bf16> {
        None
    }

    /// The whole weight as numbers.
    ///
    /// # Errors
    /// If it cannot be put on the device.
    fn dense(&self, device: &Device) -> Result<Tensor> {
        self.rows_dense(0..self.shape().0, DType::F32, device)
    }

    /// Some rows of the weight as numbers.
    ///
    /// # Errors
    /// If they cannot be put on the device.
    fn rows_dense(&self, rows: Range<usize>, dtype: DType, device: &Device) -> Result<Tensor> {
        let (_, inputs) = self.shape();
        let mut values = vec![0f32; rows.len() * inputs];
        values
            .par_chunks_mut(inputs.max(1))
            .enumerate()
            .for_each(|(row, to)| self.decode(rows.start + row, 0..inputs, to));
        Tensor::from_vec(values, (rows.len(), inputs), &Device::Cpu)?.to_device(device)?.to_dtype(dtype)
    }
}
