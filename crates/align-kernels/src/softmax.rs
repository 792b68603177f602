//! The pieces of a softmax over one row of logits in main memory. A sampler puts them together.
//!
//! Vectorised for what the CPU has, with the same bits on every one: sums are taken in fixed lanes.

use crate::cpu::{max, simd};

pub use crate::cpu::exp;

/// Partial sums: two AVX2 registers.
const LANES: usize = 16;

simd! {
    /// The largest value that is not NaN; −∞ if there is none.
    pub fn largest(values: &[f32]) -> f32 {
        max(values)
    }
}

simd! {
    /// Σ exp(`scale` · (value − `largest`)). Partial sums are f32: take a thousand values or so at a time.
    pub fn sum_of_exp(values: &[f32], largest: f32, scale: f32) -> f64 {
        let term = |value: f32| exp((value - largest) * scale);
        let (blocks, rest) = values.as_chunks::<LANES>();
        let mut lanes = [0f32; LANES];
        for block in blocks {
            for lane in 0..LANES {
                lanes[lane] += term(block[lane]);
            }
        }
        let rest: f64 = rest.iter().map(|&value| f64::from(term(value))).sum();
        lanes.into_iter().map(f64::from).sum::<f64>() + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_f64_at_any_length() {
        for len in [0, 1, 15, 16, 17, 511, 512] {
            let values: Vec<f32> = (0..len).map(|i| ((i * 7919) % 101) as f32 / 5.0 - 30.0).collect();
            let top = largest(&values);
            assert_eq!(top, values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            for scale in [0.5f32, 1.0, 3.0] {
                let exact: f64 = values.iter().map(|&v| (f64::from(scale) * f64::from(v - top)).exp()).sum();
                let found = sum_of_exp(&values, top, scale);
                assert!((found - exact).abs() <= 1e-6 * exact, "{len} {scale}: {found}, not {exact}");
            }
        }
    }
}
