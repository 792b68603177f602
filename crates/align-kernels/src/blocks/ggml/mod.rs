//! The blocks of llama.cpp's GGUF files.
//!
//! Decoded here and not by candle, which decodes all of a tensor or rows into memory of their own: what a product needs is a
//! part of a row, in its own panel. The arithmetic is llama.cpp's, to the bit.

mod large;
mod small;

use std::fmt;
use std::ops::Range;

use candle_core::quantized::GgmlDType;
use candle_core::{Result, bail};

use super::Blocks;

/// Writes what whole blocks stand for.
type Decode = fn(&[u8], &mut [f32]);

/// A weight `[outputs, inputs]` in blocks of 32 or 256 as GGUF files have them, each within a row.
pub struct Ggml {
    shape: (usize, usize),
    dtype: GgmlDType,
    format: &'static str,
    decode: Decode,
    blocks: Vec<u8>,
}

impl Ggml {
    /// The blocks in `bytes`, row after row, as a file has them.
    ///
    /// # Errors
    /// A type that has no blocks; rows that are not made of whole blocks, or more or fewer bytes than they take.
    pub fn new(dtype: GgmlDType, shape: (usize, usize), bytes: Vec<u8>) -> Result<Self> {
        let (format, decode): (_, Decode) = match dtype {
            GgmlDType::Q4_0 => ("q4_0", small::q4_0),
            GgmlDType::Q4_1 => ("q4_1", small::q4_1),
            GgmlDType::Q5_0 => ("q5_0", small::q5_0),
            GgmlDType::Q5_1 => ("q5_1", small::q5_1),
            GgmlDType::Q8_0 => ("q8_0", small::q8_0),
            GgmlDType::Q2K => ("q2_k", large::q2_k),
            GgmlDType::Q3K => ("q3_k", large::q3_k),
            GgmlDType::Q4K => ("q4_k", large::q4_k),
            GgmlDType::Q5K => ("q5_k", large::q5_k),
            GgmlDType::Q6K => ("q6_k", large::q6_k),
            other => bail!("{other:?} is no type of blocks that weights are stored in"),
        };
        let block = dtype.block_size();
        let expected =
            (shape.1 / block).checked_mul(shape.0).and_then(|it| it.checked_mul(dtype.type_size()));
        if !shape.1.is_multiple_of(block) || expected != Some(bytes.len()) {
            bail!("{shape:?} in {dtype:?}: expected rows of blocks of {block}, found {} bytes", bytes.len());
        }
        Ok(Self { shape, dtype, format, decode, blocks: bytes })
    }

    /// The type of the blocks.
    pub fn dtype(&self) -> GgmlDType {
        self.dtype
    }

    /// The blocks, row after row, as a file has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.blocks
    }
}

impl Blocks for Ggml {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn format(&self) -> &'static str {
        self.format
    }

    fn columns_at_once(&self) -> usize {
        self.dtype.block_size()
    }

    fn decode(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        let (block, size) = (self.dtype.block_size(), self.dtype.type_size());
        let at = |column: usize| (row * self.shape.1 + column) / block * size;
        (self.decode)(&self.blocks[at(columns.start)..at(columns.end)], to);
    }

    fn bytes(&self) -> usize {
        self.blocks.len()
    }

    fn content(&self, take: &mut dyn FnMut(&[u8])) {
        take(self.format.as_bytes());
        [self.shape.0, self.shape.1].iter().for_each(|number| take(&(*number as u64).to_le_bytes()));
        take(&self.blocks);
    }
}

impl fmt::Debug for Ggml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ggml")
            .field("shape", &self.shape)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}
