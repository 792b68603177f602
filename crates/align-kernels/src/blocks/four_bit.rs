//! 4 bits per weight: NF4 and FP4, to the bit as bitsandbytes has them.

use std::ops::Range;

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::codes::{FP4, NF4};
use super::lookup::look_up;
use super::{Absmax, Blocks};

/// Blocks may be as small as this.
const SMALLEST_BLOCK: usize = 32;

/// What 4 bits stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FourBitKind {
    /// NormalFloat4.
    Nf4,
    /// The 4-bit float of bitsandbytes.
    Fp4,
}

/// A weight of 4 bits each, in blocks of elements that follow one another row by row, each with a scale.
#[derive(Clone, Debug)]
pub struct FourBit {
    kind: FourBitKind,
    shape: (usize, usize),
    block: usize,
    /// Two codes per byte, the first in the high bits.
    codes: Vec<u8>,
    absmax: Absmax,
    /// The first element: a part of a fused weight may begin within another's codes.
    first: usize,
}

impl FourBitKind {
    /// What bitsandbytes calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nf4 => "nf4",
            Self::Fp4 => "fp4",
        }
    }

    /// What codes are read as: bitsandbytes reads the second zero of FP4 as a negative one.
    fn read(self) -> [f32; 16] {
        let mut code = *self.code();
        if self == Self::Fp4 {
            code[8] = -0.0;
        }
        code
    }

    fn code(self) -> &'static [f32; 16] {
        match self {
            Self::Nf4 => &NF4,
            Self::Fp4 => &FP4,
        }
    }

    /// What the numbers that a file has must be.
    pub fn map(self) -> [f32; 16] {
        *self.code()
    }
}

impl FourBit {
    /// Codes `[outputs · inputs / 2]` and the scales of their blocks.
    ///
    /// # Errors
    /// If there are not as many of each as the shape needs.
    pub fn new(
        kind: FourBitKind,
        shape: (usize, usize),
        block: usize,
        codes: Vec<u8>,
        absmax: Absmax,
    ) -> Result<Self> {
        let elements = shape.0 * shape.1;
        if block < SMALLEST_BLOCK || !block.is_power_of_two() {
            bail!("expected blocks of 32, 64, 128, … weights, found {block}");
        }
        if codes.len() != elements.div_ceil(2) || absmax.len() != elements.div_ceil(block) {
            let (found, scales) = (codes.len(), absmax.len());
            bail!(
                "a weight {shape:?} in blocks of {block} has {} bytes of codes and {} scales, found {found} and {scales}",
                elements.div_ceil(2),
                elements.div_ceil(block)
            );
        }
        Ok(Self { kind, shape, block, codes, absmax, first: 0 })
    }

    /// The blocks that stand for `weights` `[outputs, inputs]` most closely: each element divided by its block's largest, and
    /// rounded to the next code, at half way to the lower one.
    ///
    /// # Errors
    /// If there are not as many numbers as the shape needs.
    pub fn quantise(
        weights: &[f32],
        kind: FourBitKind,
        shape: (usize, usize),
        block: usize,
        double: bool,
    ) -> Result<Self> {
        if weights.len() != shape.0 * shape.1 || !block.is_multiple_of(2) {
            bail!(
                "expected {shape:?} numbers in blocks of an even size, found {} in blocks of {block}",
                weights.len()
            );
        }
        let mut order: Vec<u8> = (0..16).collect();
        order.sort_by(|a, b| kind.code()[usize::from(*a)].total_cmp(&kind.code()[usize::from(*b)]));
        let sorted: Vec<f32> = order.iter().map(|code| kind.code()[usize::from(*code)]).collect();
        let bounds: Vec<f32> = sorted.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        let of_block = |weights: &[f32]| {
            let largest = weights.iter().fold(0f32, |largest, weight| largest.max(weight.abs()));
            let whole = weights.len() == block;
            let scale = largest.max(1e-38);
            let code = |weight: &f32| {
                // The last block, where it is not whole, is divided; all others are multiplied by the inverse.
                let value = if whole { weight * (1.0 / scale) } else { weight / scale };
                order[bounds.partition_point(|bound| *bound < value.clamp(-1.0, 1.0))]
            };
            let pair = |pair: &[f32]| (code(&pair[0]) << 4) | pair.get(1).map_or_else(|| code(&0.0), code);
            let codes: Vec<u8> = weights.chunks(2).map(pair).collect();
            (codes, if whole { largest } else { scale })
        };
        let blocks: Vec<(Vec<u8>, f32)> = weights.par_chunks(block).map(of_block).collect();
        let absmax = Absmax::Plain(blocks.iter().map(|(_, scale)| *scale).collect());
        let codes = blocks.into_iter().flat_map(|(codes, _)| codes).collect();
        Self::new(kind, shape, block, codes, if double { absmax.doubled() } else { absmax })
    }

    /// Which code it is.
    pub fn kind(&self) -> FourBitKind {
        self.kind
    }

    /// Weights of a block.
    pub fn block(&self) -> usize {
        self.block
    }

    /// The codes, two to a byte.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// The scales.
    pub fn absmax(&self) -> &Absmax {
        &self.absmax
    }

    /// Some rows of it, as a weight of its own: a part of a fused one.
    ///
    /// # Panics
    /// If it has no such rows.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.shape.0, "rows of the weight");
        let inputs = self.shape.1;
        let (from, to) = (self.first + rows.start * inputs, self.first + rows.end * inputs);
        let (from_block, to_block) = (from / self.block, to.div_ceil(self.block));
        let start = from_block * self.block;
        let codes = self.codes[start / 2..(to_block * self.block / 2).min(self.codes.len())].to_vec();
        let absmax = match &self.absmax {
            // What second scales hold for is counted from the first.
            Absmax::Double(_) => (from_block..to_block).map(|block| self.absmax.get(block)).collect(),
            Absmax::Plain(scales) => scales[from_block..to_block].to_vec(),
        };
        let shape = (rows.len(), inputs);
        Self { shape, codes, absmax: Absmax::Plain(absmax), first: from - start, ..self.clone() }
    }
}

impl Blocks for FourBit {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn format(&self) -> &'static str {
        self.kind.name()
    }

    fn columns_at_once(&self) -> usize {
        SMALLEST_BLOCK
    }

    fn decode(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        let code = self.kind.read();
        let first = self.first + row * self.shape.1 + columns.start;
        let (mut at, end) = (first, first + columns.len());
        while at < end {
            let stop = end.min((at / self.block + 1) * self.block);
            let scale = self.absmax.get(at / self.block);
            let values = code.map(|value| value * scale);
            let to = &mut to[at - first..stop - first];
            // Whole bytes, between what may be half of one at either end.
            let (head, rest) = to.split_at_mut(at % 2);
            let (pairs, tail) = rest.as_chunks_mut::<2>();
            for to in head {
                *to = values[usize::from(self.codes[at / 2] & 15)];
            }
            look_up(&values, &self.codes[at.div_ceil(2)..], pairs);
            for to in tail {
                *to = values[usize::from(self.codes[stop / 2] >> 4)];
            }
            at = stop;
        }
    }

    fn bytes(&self) -> usize {
        self.codes.len() + self.absmax.bytes()
    }

    fn content(&self, take: &mut dyn FnMut(&[u8])) {
        take(self.format().as_bytes());
        [self.shape.0, self.shape.1, self.block, self.first]
            .iter()
            .for_each(|number| take(&(*number as u64).to_le_bytes()));
        self.absmax.content(take);
        take(&self.codes);
    }
}
