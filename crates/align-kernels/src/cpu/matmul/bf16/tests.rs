//! Every form against the sum in f64 of rounded operands, and the rounding against that of the CPU.

use super::super::tests::{check, values, with_threads};
use super::super::{Matrix, MatrixMut, Start, Threads};
use super::{matmul_bf16, round, rounded, to_bf16};

/// What a product of rounded operands may be: of each term, its order in the sum aside, one rounding of half a unit.
fn near(first: f32, terms: &mut dyn Iterator<Item = (f32, f32)>, found: f32) {
    let start = (f64::from(first), f64::from(first).abs(), 1.0);
    let (exact, size, count) = terms.fold(start, |(sum, size, count), (a, b)| {
        let term = f64::from(round(a)) * f64::from(round(b));
        (sum + term, size + term.abs(), count + 1.0)
    });
    let bound = size * count * f64::from(f32::EPSILON / 2.0);
    assert!((f64::from(found) - exact).abs() <= bound, "{found} is not {exact}");
}

#[test]
fn products_are_those_of_rounded_operands() {
    #[cfg(target_arch = "x86_64")]
    crate::cpu::forms::ran("products of bf16", "AVX-512 BF16", super::kernel::is_here());
    check(&|start, a, b, out| matmul_bf16(start, a, b, out, Threads::All), near);
    check(&|start, a, b, out| matmul_bf16(start, a, b, out, Threads::One), near);
    check(&|start, a, b, out| rounded::matmul(start, a, b, out, Threads::All), near);
    check(&|start, a, b, out| rounded::matmul(start, a, b, out, Threads::One), near);
}

#[test]
fn products_do_not_depend_on_the_number_of_threads() {
    for (rows, inner, columns) in
        [(257, 130, 301), (65, 3000, 129), (40, 2999, 389), (530, 64, 4200), (1, 4097, 513)]
    {
        let (a, b) = (values(rows * inner), values(inner * columns));
        let (a_rows, a_columns) = (Matrix::new(&a, rows, inner), Matrix::new(&a, inner, rows).t());
        let (b_rows, b_columns) = (Matrix::new(&b, inner, columns), Matrix::new(&b, columns, inner).t());
        for (a, b) in [(a_rows, b_rows), (a_rows, b_columns), (a_columns, b_rows), (a_columns, b_columns)] {
            let product = |threads| {
                let mut out = vec![0.0; rows * columns];
                matmul_bf16(Start::Zero, a, b, MatrixMut::new(&mut out, rows, columns), threads);
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let one = product(Threads::One);
            for threads in [1, 2, 3, 5] {
                assert!(one == with_threads(threads, || product(Threads::All)), "{threads} threads");
            }
        }
    }
}

/// The bits of numbers of all sizes and kinds, between two of bf16 or half way.
fn patterns() -> impl Iterator<Item = f32> {
    let low = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
    (0..=u16::MAX).flat_map(move |high| low.map(|low| f32::from_bits(u32::from(high) << 16 | low)))
}

#[test]
fn rounding_takes_the_nearest_and_the_even_one_of_two() {
    for x in patterns().filter(|x| x.is_finite()) {
        let found = f64::from(round(x));
        let (x, step) =
            (f64::from(x), f64::from(f32::from_bits((x.to_bits() & 0x7f80_0000).max(0x80_0000))) / 128.0);
        if x.abs() < f64::from(f32::MIN_POSITIVE) {
            assert_eq!(found, 0.0);
            continue;
        }
        assert!((found - x).abs() <= step / 2.0 || found.is_infinite(), "{found} for {x}");
        let is_tie = (found - x).abs() == step / 2.0;
        assert!(!is_tie || to_bf16(found as f32).is_multiple_of(2), "{found} for {x}");
    }
    assert_eq!((round(f32::MAX), round(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
    assert!(patterns().all(|x| x.is_nan() == round(x).is_nan()));
}

#[test]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls code for a CPU feature")]
fn the_cpu_rounds_alike() {
    use super::super::kernel::Operand;
    if !super::kernel::is_here() {
        return crate::cpu::forms::ran("rounding to bf16", "AVX-512 BF16", false);
    }
    let numbers: Vec<f32> = patterns().collect();
    let mut pairs = vec![0u32; numbers.len() / 2 + 16];
    let from = Operand { data: numbers.as_ptr(), row_stride: numbers.len(), column_stride: 1 };
    // SAFETY: the CPU has the feature; one row of so many numbers, and room for their pairs.
    unsafe {
        super::order::rows_of_pairs(from, 1, numbers.len(), pairs.as_mut_ptr(), pairs.len());
    }
    for (x, pair) in numbers.chunks(2).zip(pairs) {
        assert_eq!(pair, u32::from(to_bf16(x[0])) | u32::from(to_bf16(x[1])) << 16, "{x:?}");
    }
}
