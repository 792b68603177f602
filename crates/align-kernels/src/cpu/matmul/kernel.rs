//! Tiles of a product, all sums in registers.
//!
//! The right operand comes in panels: as many columns as a tile has, side by side, inner index by inner
//! index. Elements of the left operand meet a row of the panel one by one. Whatever the tile, an element of
//! the product is the sum over the inner index in order, each step a fused multiply-add: its bits do not
//! depend on where in a tile it is, nor on the width of the registers.

#![expect(unsafe_code, reason = "tiles are read and written through pointers, in code for a CPU feature")]

use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

use super::vector::{Vector, Ymm, Zmm};
use crate::cpu::Isa;

/// The kernel for an instruction set that the CPU has: what makes one, [`Kernel::get`], asked it.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    rows: usize,
    columns: usize,
    pack: unsafe fn(Operand, usize, usize, *mut f32),
    turn: unsafe fn(Operand, usize, usize, *mut f32),
    multiply: unsafe fn(Strip),
}

/// An operand, by its first element and the distances of its rows and of its columns.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub(super) data: *const f32,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

/// Rows of the left operand times a panel.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    /// In tiles: element (i, k) of a tile is at `i · row_stride + k · column_stride`.
    pub(super) left: Operand,
    /// From one tile of the left operand to the next.
    pub(super) tile_stride: usize,
    pub(super) rows: usize,
    pub(super) inner: usize,
    /// A panel, or the right operand itself: rows of `columns`, `panel_stride` apart.
    pub(super) panel: *const f32,
    pub(super) panel_stride: usize,
    pub(super) columns: usize,
    pub(super) out: *mut f32,
    pub(super) out_stride: usize,
    /// Whether sums are added to what is in `out`, rather than written over it.
    pub(super) add: bool,
}

impl Kernel {
    /// The kernel of this CPU, if there is one for it.
    pub(super) fn get() -> Option<Self> {
        Self::avx512().or_else(Self::avx2)
    }

    /// Every kernel by its name; those that this CPU does not have are none.
    #[cfg(test)]
    pub(super) fn all() -> [(&'static str, Option<Self>); 2] {
        [("AVX-512", Self::avx512()), ("AVX2", Self::avx2())]
    }

    fn avx512() -> Option<Self> {
        (Isa::in_use() >= Isa::Avx512).then_some(Self::AVX512)
    }

    fn avx2() -> Option<Self> {
        (Isa::in_use() >= Isa::Avx2).then_some(Self::AVX2)
    }

    /// Rows of a tile.
    pub(super) fn rows(self) -> usize {
        self.rows
    }

    /// Columns of a tile, and of a panel.
    pub(super) fn columns(self) -> usize {
        self.columns
    }

    /// Writes a panel: `columns` columns of `b`, `inner` rows of it.
    ///
    /// # Safety
    /// As [`pack`] says of memory.
    pub(super) unsafe fn pack(self, b: Operand, inner: usize, columns: usize, panel: *mut f32) {
        // SAFETY: the caller's promise; the CPU has the features.
        unsafe { (self.pack)(b, inner, columns, panel) }
    }

    /// Writes tiles of the left operand: `rows` rows of `a`.
    ///
    /// # Safety
    /// As [`turn`] says.
    pub(super) unsafe fn turn(self, a: Operand, rows: usize, inner: usize, tiles: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { (self.turn)(a, rows, inner, tiles) }
    }

    /// Multiplies rows with a panel.
    ///
    /// # Safety
    /// As [`strip`] says of memory.
    pub(super) unsafe fn multiply(self, s: Strip) {
        // SAFETY: the caller's promise; the CPU has the features.
        unsafe { (self.multiply)(s) }
    }

    /// 24 of 32 registers are sums.
    const AVX512: Self = {
        #[target_feature(enable = "avx512f")]
        unsafe fn multiply(s: Strip) {
            // SAFETY: the caller's promise.
            unsafe { strip::<Zmm, 8, 3>(s) }
        }
        #[target_feature(enable = "avx512f")]
        unsafe fn pack_panel(b: Operand, inner: usize, columns: usize, panel: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { pack::<Zmm, 3>(b, inner, columns, panel) }
        }
        Self { rows: 8, columns: 48, pack: pack_panel, turn: turn::<8>, multiply }
    };

    /// 12 of 16 registers are sums.
    const AVX2: Self = {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn multiply(s: Strip) {
            // SAFETY: the caller's promise.
            unsafe { strip::<Ymm, 6, 2>(s) }
        }
        #[target_feature(enable = "avx2,fma")]
        unsafe fn pack_panel(b: Operand, inner: usize, columns: usize, panel: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { pack::<Ymm, 2>(b, inner, columns, panel) }
        }
        Self { rows: 6, columns: 16, pack: pack_panel, turn: turn::<6>, multiply }
    };
}

/// All tiles of a strip, `R` rows by `N` registers.
///
/// # Safety
/// Pointers are valid for the elements that the fields of `s` name, `out` for writes and, with `add`, for
/// reads; the CPU has the feature of `V`.
#[inline(always)]
unsafe fn strip<V: Vector, const R: usize, const N: usize>(s: Strip) {
    let tiles = s.rows / R;
    let rest = s.rows % R;
    let mut s = s;
    // SAFETY: the caller's promise; the strip shrinks by the rows of the tiles that are done.
    unsafe {
        for _ in 0..tiles {
            row_of_tiles::<V, R, N>(&s);
            s.left.data = s.left.data.wrapping_add(s.tile_stride);
            s.out = s.out.wrapping_add(R * s.out_stride);
        }
        match rest {
            1 => row_of_tiles::<V, 1, N>(&s),
            2 => row_of_tiles::<V, 2, N>(&s),
            3 => row_of_tiles::<V, 3, N>(&s),
            4 => row_of_tiles::<V, 4, N>(&s),
            5 => row_of_tiles::<V, 5, N>(&s),
            6 => row_of_tiles::<V, 6, N>(&s),
            7 => row_of_tiles::<V, 7, N>(&s),
            _ => {}
        }
    }
}

/// One tile of the panel's whole width, or several of one register if it is not full.
#[inline(always)]
unsafe fn row_of_tiles<V: Vector, const R: usize, const N: usize>(s: &Strip) {
    // SAFETY: the caller's promise; masks end at the strip's columns.
    unsafe {
        if s.columns == N * V::LANES {
            return tile::<V, R, N>(s);
        }
        let mut s = *s;
        while s.columns > 0 {
            let lanes = s.columns.min(V::LANES);
            narrow_tile::<V, R>(&s, V::first(lanes));
            s.panel = s.panel.wrapping_add(lanes);
            s.out = s.out.wrapping_add(lanes);
            s.columns -= lanes;
        }
    }
}

#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const N: usize>(s: &Strip) {
    // SAFETY: the caller's promise; a prefetch cannot fail.
    unsafe {
        let at = |row: usize, n: usize| s.out.wrapping_add(row * s.out_stride + n * V::LANES);
        let mut sums = [[V::zero(); N]; R];
        for row in 0..R {
            // Results come from main memory, where they are a weight's gradient.
            (0..N).for_each(|n| _mm_prefetch::<_MM_HINT_T0>(at(row, n).cast()));
        }
        let (mut left, mut right) = (s.left.data, s.panel);
        for _ in 0..s.inner {
            let right_row: [V; N] = std::array::from_fn(|n| V::load(right.wrapping_add(n * V::LANES)));
            for (row, sums) in sums.iter_mut().enumerate() {
                let element = V::splat(left.wrapping_add(row * s.left.row_stride));
                for (sum, right) in sums.iter_mut().zip(right_row) {
                    *sum = element.mul_add(right, *sum);
                }
            }
            left = left.wrapping_add(s.left.column_stride);
            right = right.wrapping_add(s.panel_stride);
        }
        for (row, sums) in sums.into_iter().enumerate() {
            for (n, sum) in sums.into_iter().enumerate() {
                let sum = if s.add { V::load(at(row, n)).add(sum) } else { sum };
                sum.store(at(row, n));
            }
        }
    }
}

/// [`tile`] of the lanes of one register.
#[inline(always)]
unsafe fn narrow_tile<V: Vector, const R: usize>(s: &Strip, lanes: V::Mask) {
    // SAFETY: the caller's promise.
    unsafe {
        let at = |row: usize| s.out.wrapping_add(row * s.out_stride);
        let mut sums = [V::zero(); R];
        let (mut left, mut right) = (s.left.data, s.panel);
        for _ in 0..s.inner {
            let right_row = V::load_some(right, lanes);
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = V::splat(left.wrapping_add(row * s.left.row_stride)).mul_add(right_row, *sum);
            }
            left = left.wrapping_add(s.left.column_stride);
            right = right.wrapping_add(s.panel_stride);
        }
        for (row, sum) in sums.into_iter().enumerate() {
            let sum = if s.add { V::load_some(at(row), lanes).add(sum) } else { sum };
            sum.store_some(at(row), lanes);
        }
    }
}

/// Writes `columns` columns of the right operand, at most those of a panel, for `inner` rows of it: rows of
/// the panel are `N` registers apart.
///
/// # Safety
/// `b` is valid for reads of those elements, `panel` for writes of `inner` whole rows; the CPU has the
/// feature of `V`.
#[inline(always)]
unsafe fn pack<V: Vector, const N: usize>(b: Operand, inner: usize, columns: usize, panel: *mut f32) {
    let width = N * V::LANES;
    let from = |k: usize, j: usize| b.data.wrapping_add(k * b.row_stride + j * b.column_stride);
    let to = |k: usize, j: usize| panel.wrapping_add(k * width + j);
    // SAFETY: the caller's promise; a prefetch cannot fail.
    unsafe {
        if b.column_stride == 1 {
            for k in 0..inner {
                if columns < width {
                    from(k, 0).copy_to_nonoverlapping(to(k, 0), columns);
                    continue;
                }
                for n in 0..N {
                    _mm_prefetch::<_MM_HINT_T1>(from(k + 64, n * V::LANES).cast());
                    _mm_prefetch::<_MM_HINT_T0>(from(k + 8, n * V::LANES).cast());
                    V::load(from(k, n * V::LANES)).store(to(k, n * V::LANES));
                }
            }
            return;
        }
        // Columns lie side by side, as those of a weight's transpose do: squares are turned in registers.
        let (turned_inner, turned_columns) = if b.row_stride == 1 {
            (inner / V::LANES * V::LANES, columns / V::LANES * V::LANES)
        } else {
            (0, 0)
        };
        for j in (0..turned_columns).step_by(V::LANES) {
            for k in (0..turned_inner).step_by(V::LANES) {
                let ahead = k + 160;
                for column in j..j + V::LANES {
                    // What is next after the end of these columns is the start of the columns beside them.
                    let next = if ahead < inner {
                        from(ahead, column)
                    } else {
                        from(ahead - inner, column + V::LANES)
                    };
                    _mm_prefetch::<_MM_HINT_T0>(next.cast());
                }
                V::transpose(from(k, j), b.column_stride, to(k, j), width);
            }
        }
        for k in 0..inner {
            let first = if k < turned_inner { turned_columns } else { 0 };
            for j in first..columns {
                *to(k, j) = *from(k, j);
            }
        }
    }
}

/// Writes `rows` rows of the left operand in tiles of `R`: tile by tile, inner index by inner index.
///
/// # Safety
/// `a` is valid for reads of those rows, `tiles` for writes of as many, rounded up to whole tiles.
unsafe fn turn<const R: usize>(a: Operand, rows: usize, inner: usize, tiles: *mut f32) {
    for row in (0..rows).step_by(R) {
        for k in 0..inner {
            let from = |i: usize| a.data.wrapping_add((row + i) * a.row_stride + k * a.column_stride);
            let to = tiles.wrapping_add(row * inner + k * R);
            // SAFETY: the caller's promise; an array is what the `R` elements side by side are.
            unsafe {
                if a.row_stride == 1 && row + R <= rows {
                    *to.cast::<[f32; R]>() = *from(0).cast::<[f32; R]>();
                } else {
                    (0..R.min(rows - row)).for_each(|i| *to.wrapping_add(i) = *from(i));
                }
            }
        }
    }
}
