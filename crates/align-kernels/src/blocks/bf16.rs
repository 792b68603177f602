//! bf16: 16 bits per weight, for products in bf16 with a weight that nothing trains.

use std::ops::Range;

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::Blocks;
use crate::cpu::{WeightPanels, round};

/// A weight `[outputs, inputs]` rounded to bf16, in 2 bytes an element. Products that round their operands to bf16 give what they
/// give with the numbers that it was made of, to the bit.
///
/// On a CPU with bf16 arithmetic it lies in the order in which `x Wᵀ` reads it, elsewhere row by row.
#[derive(Clone, Debug)]
pub struct Bf16 {
    shape: (usize, usize),
    held: Held,
}

#[derive(Clone, Debug)]
enum Held {
    Panels(WeightPanels),
    Rows(Vec<u16>),
}

impl Bf16 {
    /// The weight that is nearest to `weights`, `[outputs, inputs]`, ties to even.
    ///
    /// # Errors
    /// If there are not as many numbers as the shape needs.
    pub fn rounded(weights: &[f32], shape: (usize, usize)) -> Result<Self> {
        if weights.len() != shape.0 * shape.1 {
            bail!("expected {shape:?} numbers, found {}", weights.len());
        }
        let bits = |weight: &f32| (round(*weight).to_bits() >> 16) as u16;
        let rows = || Held::Rows(weights.par_iter().map(bits).collect());
        Ok(Self { shape, held: WeightPanels::of(weights, shape).map_or_else(rows, Held::Panels) })
    }

    /// Whether numbers are themselves when they are rounded: whatever is read of them, and not multiplied, is then the same too.
    pub fn has(weights: &[f32]) -> bool {
        weights.par_iter().all(|weight| round(*weight).to_bits() == weight.to_bits())
    }

    /// The weight in the order of products, if it is.
    pub(crate) fn panels(&self) -> Option<&WeightPanels> {
        match &self.held {
            Held::Panels(panels) => Some(panels),
            Held::Rows(_) => None,
        }
    }
}

impl Blocks for Bf16 {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn format(&self) -> &'static str {
        "bf16"
    }

    fn columns_at_once(&self) -> usize {
        1
    }

    fn decode(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        match &self.held {
            Held::Panels(panels) => panels.decode(row, columns.start, &mut to[..columns.len()]),
            Held::Rows(all) => {
                let from = &all[row * self.shape.1..][columns];
                to.iter_mut().zip(from).for_each(|(to, bits)| *to = f32::from_bits(u32::from(*bits) << 16));
            }
        }
    }

    fn bytes(&self) -> usize {
        match &self.held {
            Held::Panels(panels) => panels.bytes(),
            Held::Rows(all) => size_of_val(&**all),
        }
    }

    /// Row by row, whatever the order.
    fn content(&self, take: &mut dyn FnMut(&[u8])) {
        let mut row = vec![0f32; self.shape.1];
        for index in 0..self.shape.0 {
            self.decode(index, 0..self.shape.1, &mut row);
            let bits = row.iter().flat_map(|weight| ((weight.to_bits() >> 16) as u16).to_le_bytes());
            take(&bits.collect::<Vec<u8>>());
        }
    }

    fn as_bf16(&self) -> Option<&Bf16> {
        Some(self)
    }
}
