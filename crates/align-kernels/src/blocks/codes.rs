//! The codebooks of bitsandbytes.

/// NormalFloat4 (Dettmers et al. 2023, arXiv:2305.14314): quantiles of a normal distribution, with an exact zero.
pub(super) const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// The 4-bit float of bitsandbytes: sign, two bits of exponent, one of fraction, as it orders them.
pub(super) const FP4: [f32; 16] = [
    0.0,
    0.005_208_333_5,
    0.666_666_7,
    1.0,
    0.333_333_34,
    0.5,
    0.166_666_67,
    0.25,
    0.0,
    -0.005_208_333_5,
    -0.666_666_7,
    -1.0,
    -0.333_333_34,
    -0.5,
    -0.166_666_67,
    -0.25,
];

/// The dynamic map: the signed 8-bit codes of bitsandbytes (Dettmers 2016, arXiv:1511.04561), an exponent whose length varies
/// and a fraction of what bits remain. In order.
pub fn dynamic_map() -> [f32; 256] {
    let positive = fractions(1);
    in_order(positive.iter().copied().chain(positive.iter().map(|value| -value)))
}

/// The unsigned dynamic map: as [`dynamic_map`], where the sign's bit is one more of the fraction.
pub fn unsigned_dynamic_map() -> [f32; 256] {
    in_order(fractions(2).into_iter())
}

/// The numbers between 0 and 1: of each power of ten twice as many as of the one below it.
fn fractions(first: usize) -> Vec<f32> {
    const SCALES: [f32; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
    let of_scale = |(i, scale): (usize, f32)| {
        let steps = first << i;
        (0..steps).map(move |step| scale * ((linspace(step, steps) + linspace(step + 1, steps)) / 2.0))
    };
    SCALES.into_iter().enumerate().flat_map(of_scale).collect()
}

fn in_order(fractions: impl Iterator<Item = f32>) -> [f32; 256] {
    let mut values: Vec<f32> = fractions.chain([0.0, 1.0]).collect();
    values.sort_by(f32::total_cmp);
    values.try_into().expect("two values, and twice 127 or once 254")
}

/// `torch.linspace(0.1, 1, steps + 1)[at]` in f32: from either end to the middle, each step rounded once.
fn linspace(at: usize, steps: usize) -> f32 {
    let step = (1.0 - 0.1f32) / steps as f32;
    if at < steps.div_ceil(2) {
        step.mul_add(at as f32, 0.1)
    } else {
        (-step).mul_add((steps - at) as f32, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_that_of_bitsandbytes() {
        // Bits of some entries of `create_dynamic_map()` of bitsandbytes 0.50.2, and the sum of the bits of all.
        let bits = dynamic_map().map(f32::to_bits);
        let some = [0, 1, 63, 64, 100, 126, 127, 128, 150, 191, 192, 254, 255].map(|at| bits[at]);
        assert_eq!(
            some,
            [
                0xbf7e_3333,
                0xbf7a_999a,
                0xbddb_3334,
                0xbdc9_eb85,
                0xbbf4_bc6a,
                0xb513_a3b7,
                0,
                0x3513_a3b7,
                0x3bab_020d,
                0x3ddb_3334,
                0x3df8_0000,
                0x3f7e_3333,
                0x3f80_0000
            ]
        );
        assert_eq!(bits.iter().map(|&bits| u64::from(bits)).sum::<u64>(), 535_306_620_548);
        let bits = unsigned_dynamic_map().map(f32::to_bits);
        let some = [0, 1, 100, 128, 254, 255].map(|at| bits[at]);
        assert_eq!(some, [0, 0x34ae_7baa, 0x3d80_7ae2, 0x3de2_6666, 0x3f7f_199a, 0x3f80_0000]);
        assert_eq!(bits.iter().map(|&bits| u64::from(bits)).sum::<u64>(), 262_570_225_560);
    }
}
