//! Tiles of a product of bf16, all sums in registers.
//!
//! Both operands are pairs: two numbers of the inner dimension in 32 bits, the first in the low half. A row of a panel
//! is a pair of each of its columns; a pair of the left operand meets all of them at once.

#![expect(unsafe_code, reason = "tiles are read and written through pointers, in code for a CPU feature")]

use std::arch::x86_64::*;

use crate::cpu::Isa;

/// Rows of a tile.
pub(super) const ROWS: usize = 8;
/// Registers of a row of a tile: 24 of 32 registers are sums.
const WIDE: usize = 3;
/// Elements of a register.
pub(super) const LANES: usize = 16;
/// Columns of a tile, and of a panel.
pub(super) const COLUMNS: usize = WIDE * LANES;

/// Whether the CPU has bf16 arithmetic, and what goes with it.
pub(super) fn is_here() -> bool {
    Isa::in_use() >= Isa::Avx512Bf16
}

/// Rows of the left operand times a panel.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    /// Pairs of the left operand: pair `k` of row `i` of tile `t` is at `t · tile_stride + i · row_stride + k · pair_stride`.
    pub(super) left: *const u32,
    pub(super) tile_stride: usize,
    pub(super) row_stride: usize,
    pub(super) pair_stride: usize,
    pub(super) rows: usize,
    /// Pairs of the inner dimension.
    pub(super) pairs: usize,
    /// Rows of [`COLUMNS`] pairs.
    pub(super) panel: *const u32,
    /// Columns of the result, at most [`COLUMNS`].
    pub(super) columns: usize,
    pub(super) out: *mut f32,
    pub(super) out_stride: usize,
    /// Whether sums are added to what is in `out`, rather than written over it.
    pub(super) add: bool,
}

/// Multiplies rows with a panel.
///
/// # Safety
/// Pointers are valid for the elements that the fields name, `out` for writes and, with `add`, for reads; [`is_here`].
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn multiply(mut s: Strip) {
    // SAFETY: the caller's promise; the strip shrinks by the rows of the tiles that are done.
    unsafe {
        while s.rows >= ROWS {
            row_of_tiles::<ROWS>(&s);
            s.left = s.left.wrapping_add(s.tile_stride);
            s.out = s.out.wrapping_add(ROWS * s.out_stride);
            s.rows -= ROWS;
        }
        match s.rows {
            1 => row_of_tiles::<1>(&s),
            2 => row_of_tiles::<2>(&s),
            3 => row_of_tiles::<3>(&s),
            4 => row_of_tiles::<4>(&s),
            5 => row_of_tiles::<5>(&s),
            6 => row_of_tiles::<6>(&s),
            7 => row_of_tiles::<7>(&s),
            _ => {}
        }
    }
}

/// One tile, as many registers wide as there are columns for.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn row_of_tiles<const R: usize>(s: &Strip) {
    // SAFETY: the caller's promise.
    unsafe {
        match s.columns.div_ceil(LANES) {
            0 => {}
            1 => tile::<R, 1>(s),
            2 => tile::<R, 2>(s),
            _ => tile::<R, WIDE>(s),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn tile<const R: usize, const N: usize>(s: &Strip) {
    // SAFETY: the caller's promise, for the columns that there are: the mask of the last register ends with them.
    unsafe {
        let at = |row: usize, n: usize| s.out.wrapping_add(row * s.out_stride + n * LANES);
        let mut sums = [[_mm512_setzero_ps(); N]; R];
        for row in 0..R {
            // Results come from main memory, where they are a weight's gradient.
            (0..N).for_each(|n| _mm_prefetch::<_MM_HINT_T0>(at(row, n).cast()));
        }
        let (mut left, mut right) = (s.left, s.panel);
        for _ in 0..s.pairs {
            let right_row: [__m512bh; N] = std::array::from_fn(|n| {
                std::mem::transmute(_mm512_loadu_si512(right.wrapping_add(n * LANES).cast()))
            });
            for (row, sums) in sums.iter_mut().enumerate() {
                let pair = *left.wrapping_add(row * s.row_stride).cast::<i32>();
                let pair: __m512bh = std::mem::transmute(_mm512_set1_epi32(pair));
                for (sum, right) in sums.iter_mut().zip(right_row) {
                    *sum = _mm512_dpbf16_ps(*sum, pair, right);
                }
            }
            left = left.wrapping_add(s.pair_stride);
            right = right.wrapping_add(COLUMNS);
        }
        let last = first_lanes(s.columns - (N - 1) * LANES);
        for (row, sums) in sums.into_iter().enumerate() {
            for (n, sum) in sums.into_iter().enumerate() {
                let mask = if n + 1 == N { last } else { !0 };
                let sum =
                    if s.add { _mm512_add_ps(_mm512_maskz_loadu_ps(mask, at(row, n)), sum) } else { sum };
                _mm512_mask_storeu_ps(at(row, n), mask, sum);
            }
        }
    }
}

/// A mask of the first lanes, at most all.
pub(super) fn first_lanes(lanes: usize) -> __mmask16 {
    ((1u32 << lanes.min(LANES)) - 1) as __mmask16
}
