//! Matrix products of operands that are rounded to bf16, summed in f32.
//!
//! Both operands come as f32 and are rounded, to the nearest, ties to even, while they are brought into the order in which
//! they are read. A CPU with bf16 arithmetic takes two steps of the inner dimension at a time ([`kernel`]); any other
//! computes the f32 product of the rounded operands ([`rounded`]). The two add up in another order.
//!
//! As with f32, no result depends on the number of threads: elements are summed along the inner dimension, in blocks whose
//! bounds are a matter of its size alone.

#[cfg(target_arch = "x86_64")]
mod few;
#[cfg(target_arch = "x86_64")]
mod kernel;
#[cfg(target_arch = "x86_64")]
mod order;
#[cfg(target_arch = "x86_64")]
mod panels;
mod rounded;
#[cfg(target_arch = "x86_64")]
mod share;
#[cfg(test)]
mod tests;

use super::{Matrix, MatrixMut, Start, Threads};
#[cfg(target_arch = "x86_64")]
pub(crate) use few::PairPanels;
#[cfg(target_arch = "x86_64")]
pub(crate) use panels::WeightPanels;

/// `out = a b`, or `out = out + a b`, of `a` and `b` rounded to bf16.
pub(crate) fn matmul_bf16(start: Start, a: Matrix<'_>, b: Matrix<'_>, out: MatrixMut<'_>, threads: Threads) {
    super::assert_fit(&a, &b, &out);
    #[cfg(target_arch = "x86_64")]
    if kernel::is_here() {
        return share::compute(start, a, b, out, super::threads_for(&a, &b, threads));
    }
    rounded::matmul(start, a, b, out, threads);
}

/// The size of all blocks of an inner dimension but the last: sums of more terms are added up block by block.
pub(crate) fn block_len(inner: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if kernel::is_here() {
        return share::block_len(inner);
    }
    super::block_len(inner)
}

/// The bf16 nearest to `x`, ties to even, as its bits; what is too small for a normal number is zero, as it is to the
/// arithmetic of CPUs.
#[inline(always)]
fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    match bits & 0x7f80_0000 {
        0 => (bits >> 16) as u16 & 0x8000,
        // What is no number stays none, whatever is cut off.
        0x7f80_0000 if bits & 0x007f_ffff != 0 => (bits >> 16) as u16 | 0x40,
        _ => ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16,
    }
}

/// `x` rounded to bf16.
#[inline(always)]
pub(crate) fn round(x: f32) -> f32 {
    f32::from_bits(u32::from(to_bf16(x)) << 16)
}

/// No CPU of this kind has such arithmetic here.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) enum PairPanels {}

#[cfg(not(target_arch = "x86_64"))]
impl PairPanels {
    pub(crate) fn of(_: &[f32], _: usize) -> Option<Self> {
        None
    }

    pub(crate) fn multiply(&self, _: &[f32], _: impl Fn(usize, usize, &[f32])) {
        match *self {}
    }
}

/// No CPU of this kind has such arithmetic here.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Debug)]
pub(crate) enum WeightPanels {}

#[cfg(not(target_arch = "x86_64"))]
impl WeightPanels {
    pub(crate) fn of(_: &[f32], _: (usize, usize)) -> Option<Self> {
        None
    }

    pub(crate) fn bytes(&self) -> usize {
        match *self {}
    }

    pub(crate) fn decode(&self, _: usize, _: usize, _: &mut [f32]) {
        match *self {}
    }

    pub(crate) fn products<const N: usize>(weights: [&Self; N], _: &[f32], _: usize) -> [Vec<f32>; N] {
        weights.map(|weight| match *weight {})
    }
}
