//! Arithmetic that the compiler vectorises, in functions compiled once for AVX2 and once for any CPU.
//!
//! [`simd!`] picks the form at run time, so that a portable binary uses what the machine has. Both forms
//! compute the same operations in the same order (sums in [`LANES`] fixed lanes, no contraction to fused
//! multiply-add), so their results are the same to the bit. No intrinsics: on aarch64 the portable form
//! uses NEON, which is part of the baseline there.

#[cfg(target_arch = "x86_64")]
use super::Isa;

/// Defines a function whose body is compiled for AVX2 as well, chosen where the CPU has it.
///
/// What the body calls must be `#[inline(always)]` to be compiled with it: closures and iterator
/// adapters are inlined by the optimiser, functions need the attribute.
macro_rules! simd {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls code for a CPU feature"))]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn portable($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    portable($($arg),*)
                }
                if $crate::cpu::has_avx2() {
                    // SAFETY: the CPU has the features that the function is compiled for.
                    return unsafe { avx2($($arg),*) };
                }
            }
            portable($($arg),*)
        }
    };
}
pub(crate) use simd;

/// Whether [`simd!`] takes the form for AVX2: where the CPU has it, unless a test wants the other form.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn has_avx2() -> bool {
    #[cfg(test)]
    if super::forms::portable_is_wanted() {
        return false;
    }
    Isa::in_use() >= Isa::Avx2
}

/// Number of partial sums of a reduction: two AVX2 registers.
const LANES: usize = 16;

/// eˣ with a relative error below 2⁻²² (2 units in the last place), for use in vectorised loops.
///
/// Exact at 0; subnormal results are computed, smaller ones are 0; above 88.73 it is infinite; NaN stays.
/// A degree-6 polynomial on [−ln 2 / 2, ln 2 / 2] (Cephes' `expf`), scaled by a power of two in two steps
/// so that neither overflows alone.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it rounds to a whole number, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4; // 11 bits: its products with |n| ≤ 151 are exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons rather than `clamp`, which is not vectorised with its handling of NaN.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_65;
    p = p * r + 0.5;
    let value = (p * r * r + r) + 1.0;
    let power = (shifted.to_bits().wrapping_sub(ROUND.to_bits())) as i32;
    let half = power >> 1;
    let scale = |power: i32| f32::from_bits((power.wrapping_add(127) as u32) << 23);
    value * scale(half) * scale(power.wrapping_sub(half))
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// tanh x, to six units in the last place.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    // Where 1 − 2 / (e²ˣ + 1) would cancel, the series; both are computed, so that the choice is a selection.
    let square = x * x;
    let mut series = 21_844.0 / 6_081_075.0;
    series = series * square - 1_382.0 / 155_925.0;
    series = series * square + 62.0 / 2_835.0;
    series = series * square - 17.0 / 315.0;
    series = series * square + 2.0 / 15.0;
    series = series * square - 1.0 / 3.0;
    let near = x + x * (square * series);
    let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if square < 0.09 { near } else { far }
}

/// Φ(x), the normal distribution's share below x, to 1e-7: Abramowitz and Stegun 1964, 7.1.26.
#[inline(always)]
pub(crate) fn normal_share(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_8;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    let beyond = 0.5 * p * t * exp(-z * z);
    if x < 0.0 { beyond } else { 1.0 - beyond }
}

/// Σ of `f` over three slices of the same length, in fixed lanes.
#[inline(always)]
fn sum_of(a: &[f32], b: &[f32], c: &[f32], f: impl Fn(f32, f32, f32) -> f32) -> f32 {
    debug_assert!(a.len() == b.len() && b.len() == c.len());
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let (c_blocks, c_rest) = c.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for ((a, b), c) in a_blocks.iter().zip(b_blocks).zip(c_blocks) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane], c[lane]);
        }
    }
    for (((lane, a), b), c) in lanes.iter_mut().zip(a_rest).zip(b_rest).zip(c_rest) {
        *lane += f(*a, *b, *c);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

/// Σ a. For use inside [`simd!`].
#[inline(always)]
pub(crate) fn sum(a: &[f32]) -> f32 {
    sum_of(a, a, a, |a, _, _| a)
}

/// Σ a·b. For use inside [`simd!`].
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, b, |a, b, _| a * b)
}

/// Σ a·b·c. For use inside [`simd!`].
#[inline(always)]
pub(crate) fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    sum_of(a, b, c, |a, b, c| a * b * c)
}

/// The largest element that is not NaN; −∞ if there is none. For use inside [`simd!`].
#[inline(always)]
pub(crate) fn max(a: &[f32]) -> f32 {
    let (blocks, rest) = a.as_chunks::<LANES>();
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], block[lane]);
        }
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    simd! {
        fn exp_all(xs: &mut [f32]) {
            for x in xs {
                *x = exp(*x);
            }
        }
    }

    /// Distance in units in the last place of the exact value (of the smallest subnormal near 0).
    fn ulps(found: f32, exact: f64) -> f64 {
        let exponent = (exact.log2().floor() as i32).max(-126);
        (f64::from(found) - exact).abs() / 2f64.powi(exponent - 23)
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = 0f64;
        let xs: Vec<f32> = (0..400_000).map(|i| -103.0 + i as f32 * (191.7 / 400_000.0)).collect();
        let mut ys = xs.clone();
        exp_all(&mut ys);
        for (x, y) in xs.iter().zip(&ys) {
            worst = worst.max(ulps(*y, f64::from(*x).exp()));
            assert_eq!(y.to_bits(), exp(*x).to_bits(), "the two forms differ at {x}");
        }
        assert!(worst <= 2.0, "{worst}");
    }

    #[test]
    fn exp_has_the_right_limits() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(sigmoid(f32::NEG_INFINITY), 0.0);
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
        assert_eq!(sigmoid(0.0), 0.5);
    }

    #[test]
    fn tanh_and_the_normal_share_are_those_of_f64() {
        for i in -4000..=4000 {
            let x = i as f32 / 400.0;
            assert!(ulps(tanh(x).abs(), f64::from(x).tanh().abs()) <= 6.0 || x == 0.0, "tanh {x}");
        }
        assert_eq!([tanh(0.0), tanh(200.0), tanh(-200.0)], [0.0, 1.0, -1.0]);
        assert!(tanh(f32::NAN).is_nan());
        // Φ(1), Φ(−2) and Φ(0.3) from tables.
        for (x, share) in
            [(0.0, 0.5), (1.0, 0.841_344_8), (-2.0, 0.022_750_132), (0.3, 0.617_911_4), (-30.0, 0.0)]
        {
            assert!((normal_share(x) - share).abs() < 2e-7, "{x}: {}", normal_share(x));
        }
    }

    #[test]
    fn reductions_reach_every_element() {
        for len in [0, 1, 15, 16, 17, 40] {
            let xs: Vec<f32> = (0..len).map(|i| i as f32 - 20.0).collect();
            assert_eq!(sum(&xs), xs.iter().sum::<f32>());
            assert_eq!(dot(&xs, &xs), xs.iter().map(|x| x * x).sum::<f32>());
            assert_eq!(dot3(&xs, &xs, &vec![2.0; len]), xs.iter().map(|x| 2.0 * x * x).sum::<f32>());
            assert_eq!(max(&xs), xs.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
        assert_eq!(max(&[f32::NAN, 1.0]), 1.0);
    }
}
