//! What weights take in memory, known before any of them is read.

use super::file::WeightFile;
use super::{Quantisation, Reading, blocks, files, find, is_code};
use crate::Result;

/// The bytes of a model's weights in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WeightBytes {
    /// Weights that are held as numbers.
    pub numbers: u64,
    /// Weights in blocks of few bits.
    pub blocks: u64,
    /// The largest weight that is a matrix of numbers while it is read, and blocks then.
    largest_quantised: u64,
    /// The largest tensor of numbers.
    pub largest: u64,
}

/// What a tensor of that shape takes as numbers: f32.
pub(crate) fn numbers_bytes(shape: &[usize]) -> u64 {
    shape.iter().fold(4, |bytes, &size| bytes.saturating_mul(size as u64))
}

impl WeightBytes {
    /// Those of tensors of these shapes, as numbers.
    pub(crate) fn of_shapes<'a>(shapes: impl IntoIterator<Item = &'a [usize]>) -> Self {
        let mut held = Self::default();
        shapes.into_iter().for_each(|shape| held.add_numbers(numbers_bytes(shape)));
        held
    }

    /// All weights.
    pub fn total(self) -> u64 {
        self.numbers.saturating_add(self.blocks)
    }

    /// The same while they are read: there are as many whole weights for as long as it takes to quantise them as there are
    /// threads, of which at least one is counted.
    pub(crate) fn while_read(self) -> u64 {
        self.total().saturating_add(self.largest_quantised)
    }

    pub(crate) fn add_numbers(&mut self, bytes: u64) {
        self.numbers = self.numbers.saturating_add(bytes);
        self.largest = self.largest.max(bytes);
    }

    /// A weight that is held in half the bytes, and read as numbers.
    pub(super) fn add_half(&mut self, whole: u64) {
        self.numbers = self.numbers.saturating_add(whole / 2);
        self.largest_quantised = self.largest_quantised.max(whole);
    }

    /// A weight in blocks that was `whole` bytes of numbers before.
    pub(crate) fn add_blocks(&mut self, bytes: u64, whole: u64) {
        self.blocks = self.blocks.saturating_add(bytes);
        self.largest_quantised = self.largest_quantised.max(whole);
    }
}

impl Quantisation {
    /// The bytes of a weight `[outputs, inputs]` in its blocks: codes and scales.
    pub(crate) fn bytes(self, outputs: usize, inputs: usize) -> u64 {
        let weights = (outputs as u64).saturating_mul(inputs as u64);
        match self {
            Self::Int8 => weights.saturating_add(4 * outputs as u64),
            Self::FourBit { double, .. } => {
                let scales = weights.div_ceil(blocks::BLOCK as u64);
                // Of double quantisation 8 bits each, a second scale for 256 of them and what their codes stand for.
                let of_scales = if double { scales + 4 * scales.div_ceil(256) + 4 * 256 } else { 4 * scales };
                weights.div_ceil(2) + of_scales
            }
        }
    }
}

impl Reading<'_> {
    /// What the weights of a model directory will take, by the headers of its files.
    ///
    /// # Errors
    /// As [`Reading::of_model`], but for what headers do not say.
    pub(crate) fn bytes_of_model(self) -> Result<WeightBytes> {
        let files = files(self.dir)?;
        let files = files.iter().map(|path| WeightFile::open(path)).collect::<Result<Vec<_>>>()?;
        self.held(&blocks::stored(&files))
    }

    /// What the table's tensors will take, each of which must be there in its shape.
    pub(super) fn held(&self, stored: &blocks::Stored<'_>) -> Result<WeightBytes> {
        let mut held = WeightBytes::default();
        for tensor in self.table {
            let shape = tensor.shape();
            if is_code(stored, tensor) {
                let parts = blocks::parts(&tensor.name).chain([tensor.name.clone()]);
                let bytes = parts.filter_map(|part| Some(stored.get(&part)?.1)).map(|info| {
                    let (start, end) = info.data_offsets;
                    (end - start) as u64
                });
                held.add_blocks(bytes.sum(), 0);
                continue;
            }
            let (_, info) = find((self.dir, self.by), stored, &tensor.name, &shape)?;
            if let Some(half) = self.half
                && half.may_hold(tensor, info.dtype == safetensors::Dtype::BF16)
                && !(self.quantise.is_some() && tensor.is_linear)
            {
                held.add_half(numbers_bytes(&shape));
                continue;
            }
            match (self.quantise.filter(|_| tensor.is_linear), shape.as_slice()) {
                (Some(how), &[outputs, inputs]) => {
                    held.add_blocks(how.bytes(outputs, inputs), numbers_bytes(&shape));
                }
                _ => held.add_numbers(numbers_bytes(&shape)),
            }
        }
        Ok(held)
    }
}
