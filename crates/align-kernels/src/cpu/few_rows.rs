//! Products `x Wᵀ` of few rows, as in decoding, where the weights are most of what is read.
//!
//! A product of many rows rearranges a weight first, which costs more than the product where few rows use it.
//! Here weights are read once, in the order they have in memory; the rows are rearranged instead, into
//! panels in which a weight meets all rows as one vector. Several weights that the same rows meet are one
//! parallel pass. Forward only: what is trained has many rows.
//!
//! Every element is a sum of its own over the inputs in order. It depends neither on the other rows nor on
//! their number nor on the number of threads. Multiply-adds are fused where the CPU can.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::matmul::PairPanels;
use super::tile::{Panel, multiply};
use super::{Precision, round};

/// Rows up to which this is faster than the product of many.
pub(crate) const FEW_ROWS: usize = 64;
/// Outputs of a job; a multiple of the outputs of the tiles.
const BLOCK: usize = 48;
/// Multiply-adds below which waking a thread costs more than it saves.
const WORTH_THREADS: usize = 1 << 18;

/// Few rows in the order in which they meet weights.
pub(crate) enum FewRows {
    /// Of f32.
    Panels(Vec<Panel>),
    /// Of bf16, on a CPU with such arithmetic.
    Pairs(PairPanels),
    /// Of bf16 on any other: rounded, as the weights will be.
    Rounded(Vec<Panel>),
}

impl FewRows {
    /// The rows of `x`, `[rows, inputs]`.
    pub(crate) fn of(precision: Precision, x: &[f32], inputs: usize) -> Self {
        match precision {
            Precision::F32 => Self::Panels(Panel::all(x, inputs)),
            Precision::Bf16 => match PairPanels::of(x, inputs) {
                Some(pairs) => Self::Pairs(pairs),
                None => Self::rounded(x, inputs),
            },
        }
    }

    fn rounded(x: &[f32], inputs: usize) -> Self {
        let x: Vec<f32> = x.iter().map(|x| round(*x)).collect();
        Self::Rounded(Panel::all(&x, inputs))
    }

    /// The product of the rows with `w`, `[outputs, inputs]`: `put(row, output, values)` gets it in runs of outputs from
    /// `output` on.
    pub(crate) fn multiply(&self, w: &[f32], put: impl Fn(usize, usize, &[f32])) {
        match self {
            Self::Panels(panels) => panels.iter().for_each(|panel| multiply(w, panel, &put)),
            Self::Pairs(pairs) => pairs.multiply(w, put),
            Self::Rounded(panels) => {
                let w: Vec<f32> = w.iter().map(|w| round(*w)).collect();
                panels.iter().for_each(|panel| multiply(&w, panel, &put));
            }
        }
    }
}

/// `x wᵀ` for each of `weights`: `x` is `[rows, inputs]` and a weight `[outputs, inputs]`, none of them empty.
#[expect(unsafe_code, reason = "the results are written to memory that is not zeroed first")]
pub(crate) fn few_rows<const N: usize>(
    precision: Precision,
    x: &[f32],
    inputs: usize,
    weights: [&[f32]; N],
) -> [Vec<f32>; N] {
    assert!(x.len().is_multiple_of(inputs) && weights.iter().all(|w| w.len().is_multiple_of(inputs)));
    let (rows, few) = (x.len() / inputs, FewRows::of(precision, x, inputs));
    let outputs = weights.map(|w| w.len() / inputs);
    let mut products = outputs.map(|outputs| Vec::with_capacity(rows * outputs));
    let places = products.each_mut().map(|y| Place(y.spare_capacity_mut().as_mut_ptr()));
    let blocks = outputs.map(|outputs| outputs.div_ceil(BLOCK));
    let job = |mut block: usize| {
        let mut which = 0;
        while block >= blocks[which] {
            (which, block) = (which + 1, block - blocks[which]);
        }
        let (first, stride) = (block * BLOCK, outputs[which]);
        let w = &weights[which][first * inputs..stride.min(first + BLOCK) * inputs];
        few.multiply(w, |row, output, values| {
            let place = row * stride + first + output;
            // SAFETY: `place` is output `first + output` of one of the rows, for which there is room,
            // and so are those that follow it; each output belongs to one job.
            unsafe { places[which].write(place, values) };
        });
    };
    let jobs = blocks.iter().sum();
    if x.len() * outputs.iter().sum::<usize>() < WORTH_THREADS {
        (0..jobs).for_each(job);
    } else {
        (0..jobs).into_par_iter().for_each(job);
    }
    for (y, outputs) in products.iter_mut().zip(outputs) {
        // SAFETY: so many were reserved, and the jobs' blocks cover the outputs, of which `multiply` puts each for each
        // row (the test of `tile.rs` holds it to that).
        unsafe { y.set_len(rows * outputs) };
    }
    products
}

/// Where a product begins.
struct Place(*mut MaybeUninit<f32>);

#[expect(unsafe_code, reason = "outputs of one row are written by different threads")]
// SAFETY: what is written through the pointer is subject to the promise made to `write`.
unsafe impl Sync for Place {}

impl Place {
    /// # Safety
    /// The elements from `first` on are in the allocation, and no other thread writes them.
    #[inline(always)]
    #[expect(unsafe_code, reason = "outputs of one row are written by different threads")]
    unsafe fn write(&self, first: usize, values: &[f32]) {
        // SAFETY: the caller's; `values` is initialised memory of its own.
        unsafe { self.0.add(first).cast::<f32>().copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    }
}
