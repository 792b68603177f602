//! How operands are brought into the order of the tiles: rounded, two steps of the inner dimension side by side.

#![expect(unsafe_code, reason = "operands are read and written through pointers, in code for a CPU feature")]

use std::arch::x86_64::*;

use super::super::kernel::Operand;
use super::kernel::{COLUMNS, LANES, ROWS, first_lanes};

/// Writes rows of pairs, `stride` apart: those of an operand whose rows lie side by side.
///
/// # Safety
/// `from` is valid for reads of `rows` rows of `inner` elements, `to` for writes of as many of `stride` pairs, at least
/// half of `inner` rounded up to a register; [`is_here`](super::kernel::is_here).
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn rows_of_pairs(from: Operand, rows: usize, inner: usize, to: *mut u32, stride: usize) {
    for row in 0..rows {
        let (from, to) = (from.data.wrapping_add(row * from.row_stride), to.wrapping_add(row * stride));
        for k in (0..inner).step_by(2 * LANES) {
            // SAFETY: the caller's promise; masks end with the row.
            unsafe {
                let pairs = pairs_along(from.wrapping_add(k), inner - k);
                _mm512_storeu_si512(to.wrapping_add(k / 2).cast(), pairs);
            }
        }
    }
}

/// Up to 32 elements that follow one another, as pairs of neighbours; zeros after the last.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pairs_along(from: *const f32, left: usize) -> __m512i {
    // SAFETY: the caller's promise: only so many elements are read.
    unsafe {
        let some = |first: usize| {
            _mm512_maskz_loadu_ps(first_lanes(left.saturating_sub(first)), from.wrapping_add(first))
        };
        std::mem::transmute(_mm512_cvtne2ps_pbh(some(LANES), some(0)))
    }
}

/// Pairs across two lines: element j of the first with element j of the second, which may be none.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pairs_across(first: *const f32, second: Option<*const f32>, lanes: __mmask16) -> __m512i {
    // SAFETY: the caller's promise: only these lanes are read.
    unsafe {
        let low = _mm512_maskz_loadu_ps(lanes, first);
        let high = second.map_or(_mm512_setzero_ps(), |second| _mm512_maskz_loadu_ps(lanes, second));
        let both: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
        let (low, high) = (_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64::<1>(both));
        let (low, high) = (_mm512_cvtepu16_epi32(low), _mm512_cvtepu16_epi32(high));
        _mm512_or_si512(low, _mm512_slli_epi32::<16>(high))
    }
}

/// Writes tiles of [`ROWS`] rows, pair by pair: those of an operand whose columns lie side by side.
///
/// # Safety
/// `from` is valid for reads of `rows` rows of `inner` elements, `to` for writes of as many rows, rounded up to two tiles,
/// of half as many pairs, rounded up; [`is_here`](super::kernel::is_here).
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn tiles_of_pairs(from: Operand, rows: usize, inner: usize, to: *mut u32) {
    let pairs = inner.div_ceil(2);
    for row in (0..rows).step_by(LANES) {
        let lanes = first_lanes(rows - row);
        for pair in 0..pairs {
            let line = |k: usize| from.data.wrapping_add(k * from.column_stride + row);
            let second = (2 * pair + 1 < inner).then(|| line(2 * pair + 1));
            // SAFETY: the caller's promise; both tiles have room.
            unsafe {
                let values = pairs_across(line(2 * pair), second, lanes);
                let to = |tile: usize| to.wrapping_add((row / ROWS + tile) * ROWS * pairs + pair * ROWS);
                _mm256_storeu_si256(to(0).cast(), _mm512_castsi512_si256(values));
                _mm256_storeu_si256(to(1).cast(), _mm512_extracti64x4_epi64::<1>(values));
            }
        }
    }
}

/// Writes a panel: `columns` columns of the right operand, zeros in the rest of its width.
///
/// # Safety
/// `from` is valid for reads of `inner` rows of these columns, `panel` for writes of half as many rows, rounded up, of
/// [`COLUMNS`] pairs, and of a register's worth more; [`is_here`](super::kernel::is_here).
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn panel(from: Operand, inner: usize, columns: usize, panel: *mut u32) {
    let pairs = inner.div_ceil(2);
    for first in (0..columns).step_by(LANES) {
        let some = (columns - first).min(LANES);
        // SAFETY: the caller's promise, for the columns that there are.
        unsafe {
            if from.column_stride == 1 {
                for pair in 0..pairs {
                    let line = |k: usize| from.data.wrapping_add(k * from.row_stride + first);
                    let second = (2 * pair + 1 < inner).then(|| line(2 * pair + 1));
                    let ahead = line((2 * pair + 16).min(inner - 1));
                    _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                    let values = pairs_across(line(2 * pair), second, first_lanes(some));
                    _mm512_storeu_si512(panel.wrapping_add(pair * COLUMNS + first).cast(), values);
                }
                continue;
            }
            // Columns lie side by side, as those of a weight's transpose do: squares of pairs are turned in registers.
            for k in (0..inner).step_by(2 * LANES) {
                let mut square = [_mm512_setzero_si512(); LANES];
                for (column, square) in square.iter_mut().enumerate().take(some) {
                    let line = from.data.wrapping_add((first + column) * from.column_stride);
                    _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add((k + 128).min(inner - 1)).cast());
                    *square = pairs_along(line.wrapping_add(k), inner - k);
                }
                let turned = turn(square);
                for (pair, values) in (k / 2..pairs).zip(turned) {
                    _mm512_storeu_si512(panel.wrapping_add(pair * COLUMNS + first).cast(), values);
                }
            }
        }
    }
}

/// The transpose of 16 rows of 16.
#[inline]
#[target_feature(enable = "avx512f")]
fn turn(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut fours = [_mm512_setzero_si512(); LANES];
    // In fours: afterwards lane group l of fours[4q + j] has rows 4q.. of column 4l + j.
    for q in 0..4 {
        let (a, b, c, d) = (rows[4 * q], rows[4 * q + 1], rows[4 * q + 2], rows[4 * q + 3]);
        let (ab0, ab1) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (cd0, cd1) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        fours[4 * q] = _mm512_unpacklo_epi64(ab0, cd0);
        fours[4 * q + 1] = _mm512_unpackhi_epi64(ab0, cd0);
        fours[4 * q + 2] = _mm512_unpacklo_epi64(ab1, cd1);
        fours[4 * q + 3] = _mm512_unpackhi_epi64(ab1, cd1);
    }
    let mut columns = [_mm512_setzero_si512(); LANES];
    for j in 0..4 {
        let [a, b, c, d] = [fours[j], fours[4 + j], fours[8 + j], fours[12 + j]];
        let (ab02, ab13) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (cd02, cd13) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        columns[j] = _mm512_shuffle_i32x4::<0x88>(ab02, cd02);
        columns[4 + j] = _mm512_shuffle_i32x4::<0x88>(ab13, cd13);
        columns[8 + j] = _mm512_shuffle_i32x4::<0xdd>(ab02, cd02);
        columns[12 + j] = _mm512_shuffle_i32x4::<0xdd>(ab13, cd13);
    }
    columns
}
