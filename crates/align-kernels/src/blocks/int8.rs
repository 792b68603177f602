//! 8 bits per weight, as bitsandbytes' LLM.int8 stores them: a scale for each row.

use std::ops::Range;

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::Blocks;

/// A weight `[outputs, inputs]` in 8 bits (Dettmers et al. 2022, arXiv:2208.07339): `code · scale / 127`. Inputs are not
/// rounded, other than there.
#[derive(Clone, Debug)]
pub struct Int8 {
    shape: (usize, usize),
    codes: Vec<i8>,
    scales: Vec<f32>,
}

impl Int8 {
    /// Codes `[outputs, inputs]` and the scales of their rows (`SCB`).
    ///
    /// # Errors
    /// If there are not as many of each as the shape needs.
    pub fn new(shape: (usize, usize), codes: Vec<i8>, scales: Vec<f32>) -> Result<Self> {
        if codes.len() != shape.0 * shape.1 || scales.len() != shape.0 {
            bail!(
                "expected codes {shape:?} with a scale for each row, found {} and {}",
                codes.len(),
                scales.len()
            );
        }
        Ok(Self { shape, codes, scales })
    }

    /// The codes that stand for `weights` `[outputs, inputs]` most closely, rounded to even.
    ///
    /// # Errors
    /// If there are not as many numbers as the shape needs.
    pub fn quantise(weights: &[f32], shape: (usize, usize)) -> Result<Self> {
        if weights.len() != shape.0 * shape.1 {
            bail!("expected {shape:?} numbers, found {}", weights.len());
        }
        let of_row = |row: &[f32]| {
            let scale = row.iter().fold(0f32, |largest, weight| largest.max(weight.abs()));
            // torch divides a number by a tensor in two steps.
            let inverse = (1.0 / scale) * 127.0;
            // A row of zeros has no scale: what is 0 · ∞ is 0.
            let code = |weight: &f32| (weight * inverse).round_ties_even() as i8;
            (row.iter().map(code).collect::<Vec<i8>>(), scale)
        };
        let rows: Vec<(Vec<i8>, f32)> = weights.par_chunks(shape.1.max(1)).map(of_row).collect();
        let scales = rows.iter().map(|(_, scale)| *scale).collect();
        Self::new(shape, rows.into_iter().flat_map(|(codes, _)| codes).collect(), scales)
    }

    /// The codes.
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The largest weight of each row.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// Some rows of it, as a weight of its own: a part of a fused one.
    ///
    /// # Panics
    /// If it has no such rows.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let inputs = self.shape.1;
        Self {
            shape: (rows.len(), inputs),
            codes: self.codes[rows.start * inputs..rows.end * inputs].to_vec(),
            scales: self.scales[rows].to_vec(),
        }
    }
}

impl Blocks for Int8 {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn format(&self) -> &'static str {
        "int8"
    }

    fn columns_at_once(&self) -> usize {
        1
    }

    fn decode(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        let codes = &self.codes[row * self.shape.1..][columns];
        // In the order of bitsandbytes, and with its 1/127.
        let scale = self.scales[row];
        to.iter_mut().zip(codes).for_each(|(to, code)| *to = f32::from(*code) * scale * 0.007_874_016);
    }

    fn bytes(&self) -> usize {
        self.codes.len() + 4 * self.scales.len()
    }

    fn content(&self, take: &mut dyn FnMut(&[u8])) {
        take(b"int8");
        [self.shape.0, self.shape.1].iter().for_each(|number| take(&(*number as u64).to_le_bytes()));
        self.scales.iter().for_each(|scale| take(&scale.to_le_bytes()));
        self.codes.chunks(4096).for_each(|codes| {
            let bytes: Vec<u8> = codes.iter().map(|code| code.cast_unsigned()).collect();
            take(&bytes);
        });
    }
}
