//! Tiles of a product `x Wᵀ` of few rows: some rows of W by a panel of rows of x, all sums in registers.

#[cfg(target_arch = "x86_64")]
use super::Isa;

/// Rows of a wide panel: a register of AVX-512, two of AVX2.
const WIDE: usize = 16;
/// Rows of the narrow panel that may come last.
const NARROW: usize = 8;

/// Rows of `x` side by side: input by input, the elements of all of them, then zeros up to the width.
pub(crate) struct Panel {
    first_row: usize,
    rows: usize,
    elements: Elements,
}

enum Elements {
    Wide(Vec<[f32; WIDE]>),
    Narrow(Vec<[f32; NARROW]>),
}

impl Panel {
    /// The rows of `x`, `[rows, inputs]`, in panels.
    pub(crate) fn all(x: &[f32], inputs: usize) -> Vec<Self> {
        let panel = |(index, x): (usize, &[f32])| {
            let rows = x.len() / inputs;
            let elements = if rows > NARROW {
                Elements::Wide(side_by_side(x, inputs))
            } else {
                Elements::Narrow(side_by_side(x, inputs))
            };
            Self { first_row: index * WIDE, rows, elements }
        };
        x.chunks(WIDE * inputs).enumerate().map(panel).collect()
    }
}

fn side_by_side<const L: usize>(x: &[f32], inputs: usize) -> Vec<[f32; L]> {
    let mut panel = vec![[0f32; L]; inputs];
    for (lane, row) in x.chunks_exact(inputs).enumerate() {
        for (at, value) in panel.iter_mut().zip(row) {
            at[lane] = *value;
        }
    }
    panel
}

/// The product of a panel's rows with `w`, `[outputs, inputs]`: `put(row, output, values)` gets it in runs
/// of outputs from `output` on, in which `row` counts from the first row of `x`.
pub(crate) fn multiply(w: &[f32], panel: &Panel, put: impl Fn(usize, usize, &[f32])) {
    #[cfg(target_arch = "x86_64")]
    {
        if Isa::in_use() >= Isa::Avx512 {
            #[expect(unsafe_code, reason = "calls code for a CPU feature")]
            // SAFETY: the CPU has the features that the function is compiled for.
            return unsafe { avx512(w, panel, put) };
        }
        if Isa::in_use() >= Isa::Avx2 {
            #[expect(unsafe_code, reason = "calls code for a CPU feature")]
            // SAFETY: the CPU has the features that the function is compiled for.
            return unsafe { avx2(w, panel, put) };
        }
    }
    // Where fused multiply-add is not part of the baseline it would be a call of a function.
    multiply_with::<{ cfg!(target_arch = "aarch64") }>(w, panel, put);
}

/// [`multiply`] where a register holds a row of a wide panel.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn avx512(w: &[f32], panel: &Panel, put: impl Fn(usize, usize, &[f32])) {
    multiply_with::<true>(w, panel, put);
}

/// [`multiply`] where it takes two.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(w: &[f32], panel: &Panel, put: impl Fn(usize, usize, &[f32])) {
    multiply_with::<true>(w, panel, put);
}

/// With tiles of as many sums as hide the latency of the additions (6 of 64 bytes, 12 or 8 of 32) and leave
/// registers. Before you change the sizes, look at the machine code: with 8 rows of W by 16 of x the compiler
/// puts those rows into a register rather than these, and the product takes forty times as long.
#[inline(always)]
fn multiply_with<const FUSED: bool>(w: &[f32], panel: &Panel, put: impl Fn(usize, usize, &[f32])) {
    match &panel.elements {
        Elements::Wide(x) => tiles::<6, WIDE, 8, FUSED>(w, x, panel, put),
        Elements::Narrow(x) => tiles::<8, NARROW, 8, FUSED>(w, x, panel, put),
    }
}

/// Tiles of `R` outputs, then of one.
#[inline(always)]
fn tiles<const R: usize, const L: usize, const STEP: usize, const FUSED: bool>(
    w: &[f32],
    x: &[[f32; L]],
    panel: &Panel,
    put: impl Fn(usize, usize, &[f32]),
) {
    let inputs = x.len();
    let mut tiles = w.chunks_exact(R * inputs);
    let mut output = 0;
    for w in &mut tiles {
        let sums = tile::<R, L, STEP, FUSED>(w, x);
        for row in 0..panel.rows {
            put(panel.first_row + row, output, &sums.map(|sums| sums[row]));
        }
        output += R;
    }
    for w in tiles.remainder().chunks_exact(inputs) {
        let [sums] = tile::<1, L, STEP, FUSED>(w, x);
        for (row, sum) in sums[..panel.rows].iter().enumerate() {
            put(panel.first_row + row, output, &[*sum]);
        }
        output += 1;
    }
}

/// `R` rows of W by `L` rows of x, `STEP` inputs at a time; meanwhile what follows `w` in memory, which
/// are the rows that are next, is fetched.
#[inline(always)]
fn tile<const R: usize, const L: usize, const STEP: usize, const FUSED: bool>(
    w: &[f32],
    x: &[[f32; L]],
) -> [[f32; L]; R] {
    const LINE: usize = 16; // floats of a cache line
    let mut sums = [[0f32; L]; R];
    let rows: [(&[[f32; STEP]], &[f32]); R] =
        std::array::from_fn(|row| w[row * x.len()..][..x.len()].as_chunks::<STEP>());
    let (steps, rest) = x.as_chunks::<STEP>();
    let mut next = w.as_ptr().wrapping_add(w.len());
    for (index, x) in steps.iter().enumerate() {
        for _ in 0..R * STEP / LINE {
            prefetch(next);
            next = next.wrapping_add(LINE);
        }
        let w: [&[f32; STEP]; R] = std::array::from_fn(|row| &rows[row].0[index]);
        for (i, x) in x.iter().enumerate() {
            add::<R, L, FUSED>(&mut sums, w.map(|w| w[i]), x);
        }
    }
    for (i, x) in rest.iter().enumerate() {
        add::<R, L, FUSED>(&mut sums, rows.map(|(_, rest)| rest[i]), x);
    }
    sums
}

/// Adds the products of each weight with all of `x`. A function rather than a closure: those are not sure
/// to be compiled for the CPU features of their caller.
#[inline(always)]
fn add<const R: usize, const L: usize, const FUSED: bool>(
    sums: &mut [[f32; L]; R],
    w: [f32; R],
    x: &[f32; L],
) {
    for row in 0..R {
        for lane in 0..L {
            let sum = &mut sums[row][lane];
            *sum = if FUSED { w[row].mul_add(x[lane], *sum) } else { w[row] * x[lane] + *sum };
        }
    }
}

/// Asks for the cache line at `place`, which need not exist, in the second cache: the first is too small for
/// this tile, the next one and the panel, and has too few places for lines that are on their way.
#[inline(always)]
fn prefetch(place: *const f32) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "an intrinsic")]
    // SAFETY: a hint, which reads nothing and cannot fail wherever the pointer leads.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::cpu::forms::ran;

    type Put<'a> = &'a dyn Fn(usize, usize, &[f32]);

    /// What a form puts, checked to be the fused sum over the inputs in order, element by element.
    fn check(form: impl Fn(&[f32], &Panel, Put<'_>)) {
        let values = |n: usize| -> Vec<f32> { (0..n).map(|i| (i * 7919 % 10_007) as f32 - 5e3).collect() };
        for (rows, inputs, outputs) in
            [(1, 1, 1), (3, 17, 9), (8, 40, 24), (9, 7, 6), (16, 65, 25), (30, 16, 13)]
        {
            let (x, w) = (values(rows * inputs), values(outputs * inputs));
            let found = RefCell::new(vec![f32::NAN; rows * outputs]);
            for panel in Panel::all(&x, inputs) {
                form(&w, &panel, &|row, output, values| {
                    found.borrow_mut()[row * outputs + output..][..values.len()].copy_from_slice(values);
                });
            }
            for (i, found) in found.take().into_iter().enumerate() {
                let (x, w) = (&x[i / outputs * inputs..][..inputs], &w[i % outputs * inputs..][..inputs]);
                let exact = x.iter().zip(w).fold(0f32, |sum, (x, w)| w.mul_add(*x, sum));
                assert_eq!(found.to_bits(), exact.to_bits(), "{rows}x{inputs}x{outputs}, element {i}");
            }
        }
    }

    #[test]
    #[expect(unsafe_code, reason = "calls code for a CPU feature")]
    fn every_form_adds_the_inputs_in_order() {
        let has_avx2 = Isa::in_use() >= Isa::Avx2;
        ran("tiles", "AVX2", has_avx2);
        if has_avx2 {
            // SAFETY: the CPU has the features.
            check(|w, panel, put| unsafe { avx2(w, panel, put) });
        }
        let has_avx512 = Isa::in_use() >= Isa::Avx512;
        ran("tiles", "AVX-512", has_avx512);
        if has_avx512 {
            // SAFETY: the CPU has the features.
            check(|w, panel, put| unsafe { avx512(w, panel, put) });
        }
        check(|w, panel, put| multiply_with::<true>(w, panel, put));
    }
}
