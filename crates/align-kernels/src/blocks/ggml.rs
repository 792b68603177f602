//! The blocks of llama.cpp's GGUF files, decoded by candle's own functions.

use std::fmt;
use std::ops::Range;

use candle_core::quantized::k_quants::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0,
};
use candle_core::quantized::{GgmlDType, GgmlType};
use candle_core::{Result, bail};

use super::Blocks;

/// A weight `[outputs, inputs]` in blocks of 32 or 256 as GGUF files have them, each within a row.
pub struct Ggml {
    shape: (usize, usize),
    dtype: GgmlDType,
    blocks: Box<dyn Held>,
}

/// Blocks of one type.
trait Held: Send + Sync {
    fn decode(&self, blocks: Range<usize>, to: &mut [f32]);
    fn bytes(&self) -> &[u8];
}

impl Ggml {
    /// The blocks in `bytes`, row after row, as a file has them.
    ///
    /// # Errors
    /// A type that has no blocks; rows that are not made of whole blocks, or more or fewer bytes than they take.
    pub fn new(dtype: GgmlDType, shape: (usize, usize), bytes: &[u8]) -> Result<Self> {
        let block = dtype.block_size();
        let expected =
            (shape.1 / block).checked_mul(shape.0).and_then(|it| it.checked_mul(dtype.type_size()));
        if !shape.1.is_multiple_of(block) || expected != Some(bytes.len()) {
            bail!("{shape:?} in {dtype:?}: expected rows of blocks of {block}, found {} bytes", bytes.len());
        }
        let blocks: Box<dyn Held> = match dtype {
            GgmlDType::Q4_0 => Box::new(held::<BlockQ4_0>(bytes)),
            GgmlDType::Q4_1 => Box::new(held::<BlockQ4_1>(bytes)),
            GgmlDType::Q5_0 => Box::new(held::<BlockQ5_0>(bytes)),
            GgmlDType::Q5_1 => Box::new(held::<BlockQ5_1>(bytes)),
            GgmlDType::Q8_0 => Box::new(held::<BlockQ8_0>(bytes)),
            GgmlDType::Q2K => Box::new(held::<BlockQ2K>(bytes)),
            GgmlDType::Q3K => Box::new(held::<BlockQ3K>(bytes)),
            GgmlDType::Q4K => Box::new(held::<BlockQ4K>(bytes)),
            GgmlDType::Q5K => Box::new(held::<BlockQ5K>(bytes)),
            GgmlDType::Q6K => Box::new(held::<BlockQ6K>(bytes)),
            other => bail!("{other:?} is no type of blocks that weights are stored in"),
        };
        Ok(Self { shape, dtype, blocks })
    }

    /// The type of the blocks.
    pub fn dtype(&self) -> GgmlDType {
        self.dtype
    }

    /// The blocks, row after row, as a file has them.
    pub fn as_bytes(&self) -> &[u8] {
        self.blocks.bytes()
    }
}

impl Blocks for Ggml {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn format(&self) -> &'static str {
        match self.dtype {
            GgmlDType::Q4_0 => "q4_0",
            GgmlDType::Q4_1 => "q4_1",
            GgmlDType::Q5_0 => "q5_0",
            GgmlDType::Q5_1 => "q5_1",
            GgmlDType::Q8_0 => "q8_0",
            GgmlDType::Q2K => "q2_k",
            GgmlDType::Q3K => "q3_k",
            GgmlDType::Q4K => "q4_k",
            GgmlDType::Q5K => "q5_k",
            GgmlDType::Q6K => "q6_k",
            _ => "ggml",
        }
    }

    fn columns_at_once(&self) -> usize {
        self.dtype.block_size()
    }

    fn decode(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        let block = self.dtype.block_size();
        let first = row * (self.shape.1 / block);
        self.blocks.decode(first + columns.start / block..first + columns.end / block, to);
    }

    fn bytes(&self) -> usize {
        self.blocks.bytes().len()
    }

    fn content(&self, take: &mut dyn FnMut(&[u8])) {
        take(self.format().as_bytes());
        [self.shape.0, self.shape.1].iter().for_each(|number| take(&(*number as u64).to_le_bytes()));
        take(self.blocks.bytes());
    }
}

impl fmt::Debug for Ggml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ggml").field("shape", &self.shape).field("dtype", &self.dtype).finish_non_exhaustive()
    }
}

impl<T: GgmlType> Held for Vec<T> {
    fn decode(&self, blocks: Range<usize>, to: &mut [f32]) {
        let values = blocks.len() * T::BLCK_SIZE;
        T::to_float(&self[blocks], &mut to[..values]);
    }

    #[expect(unsafe_code, reason = "blocks as the bytes that they are")]
    fn bytes(&self) -> &[u8] {
        // SAFETY: candle's blocks are `repr(C)` without padding (it asserts their sizes), so all their bytes are initialised.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), size_of_val(self.as_slice())) }
    }
}

/// The blocks that bytes are, of which there are as many as whole blocks have.
#[expect(unsafe_code, reason = "bytes as the blocks that they are")]
fn held<T: GgmlType>(bytes: &[u8]) -> Vec<T> {
    let count = bytes.len() / size_of::<T>();
    let mut blocks = Vec::<T>::with_capacity(count);
    // SAFETY: there is room for `count` blocks, which are `repr(C)` of integers and 16-bit floats (`held` is called with no
    // other type): any bytes are such a block.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), blocks.as_mut_ptr().cast(), count * size_of::<T>());
        blocks.set_len(count);
    }
    blocks
}
