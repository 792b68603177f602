//! Blocks of 256 whose parts of 16 or 32 have scales of few bits themselves ("k-quants").

use super::small::scale;
use crate::cpu::simd;

const BLOCK: usize = 256;

simd! {
    /// d s q − m; scales and smallest values of 16 have 4 bits each.
    pub(super) fn q2_k(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<84>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let (d, min) = (scale(block, 80), scale(block, 82));
            for (part, to) in to.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let (s, codes, shift) = (block[part], &block[16 + part / 8 * 32 + part % 2 * 16..][..16], part % 8 / 2 * 2);
                let (d, m) = (d * f32::from(s & 15), min * f32::from(s >> 4));
                for (to, code) in to.iter_mut().zip(codes) {
                    *to = d * f32::from(code >> shift & 3) - m;
                }
            }
        }
    }
}

simd! {
    /// d s (q − 4); the third bits are a mask, the scales of 16 have 6 bits.
    pub(super) fn q3_k(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<110>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let (mask, scales, d) = (&block[..32], &block[96..108], scale(block, 108));
            for (part, to) in to.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                let low = if part < 8 { scales[part] & 15 } else { scales[part - 8] >> 4 };
                let high = scales[8 + part % 4] >> (part / 4 * 2) & 3;
                let d = d * f32::from((low | high << 4) as i8 - 32);
                let (half, shift) = (part % 2 * 16, part % 8 / 2 * 2);
                let codes = &block[32 + part / 8 * 32 + half..][..16];
                for ((to, code), mask) in to.iter_mut().zip(codes).zip(&mask[half..]) {
                    let third = (mask >> (part / 2) & 1) << 2;
                    *to = d * f32::from((code >> shift & 3 | third) as i8 - 4);
                }
            }
        }
    }
}

simd! {
    /// d s q − m; scales and smallest values of 32 have 6 bits each.
    pub(super) fn q4_k(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<144>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let parts = parts(block);
            let codes = block[16..].as_chunks::<32>().0;
            for ((to, codes), parts) in to.as_chunks_mut::<64>().0.iter_mut().zip(codes).zip(parts.as_chunks::<2>().0) {
                let (low, high) = to.split_at_mut(32);
                for ((low, high), code) in low.iter_mut().zip(high).zip(codes) {
                    *low = parts[0].0 * f32::from(code & 15) - parts[0].1;
                    *high = parts[1].0 * f32::from(code >> 4) - parts[1].1;
                }
            }
        }
    }
}

simd! {
    /// As `q4_k`, with fifth bits.
    pub(super) fn q5_k(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<176>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let parts = parts(block);
            let (fifth, codes) = (&block[16..48], block[48..].as_chunks::<32>().0);
            let pairs = to.as_chunks_mut::<64>().0.iter_mut().zip(codes).zip(parts.as_chunks::<2>().0);
            for (pair, ((to, codes), parts)) in pairs.enumerate() {
                let (low, high) = to.split_at_mut(32);
                for (((low, high), code), fifth) in low.iter_mut().zip(high).zip(codes).zip(fifth) {
                    let fifth = fifth >> (2 * pair);
                    *low = parts[0].0 * f32::from(code & 15 | (fifth & 1) << 4) - parts[0].1;
                    *high = parts[1].0 * f32::from(code >> 4 | (fifth >> 1 & 1) << 4) - parts[1].1;
                }
            }
        }
    }
}

simd! {
    /// d s (q − 32); scales of 16 have 8 bits.
    pub(super) fn q6_k(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<210>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let d = scale(block, 208);
            for (half, to) in to.as_chunks_mut::<128>().0.iter_mut().enumerate() {
                let (low, high) = (&block[64 * half..][..64], &block[128 + 32 * half..][..32]);
                for (quarter, to) in to.as_chunks_mut::<32>().0.iter_mut().enumerate() {
                    let (low, shift) = (&low[quarter % 2 * 32..][..32], quarter / 2 * 4);
                    for (part, to) in to.as_chunks_mut::<16>().0.iter_mut().enumerate() {
                        let s = block[192 + 8 * half + 2 * quarter + part].cast_signed();
                        let (d, from) = (d * f32::from(s), 16 * part);
                        for ((to, low), high) in to.iter_mut().zip(&low[from..]).zip(&high[from..]) {
                            let code = low >> shift & 15 | (high >> (2 * quarter) & 3) << 4;
                            *to = d * f32::from(code as i8 - 32);
                        }
                    }
                }
            }
        }
    }
}

/// Scale and smallest value of each eighth of a block, from the 16-bit numbers and the 6-bit ones behind them.
#[inline(always)]
fn parts(block: &[u8]) -> [(f32, f32); 8] {
    let (d, min, s) = (scale(block, 0), scale(block, 2), &block[4..16]);
    std::array::from_fn(|part| {
        let (scale, smallest) = if part < 4 {
            (s[part] & 63, s[part + 4] & 63)
        } else {
            (s[part + 4] & 15 | (s[part - 4] >> 6) << 4, s[part + 4] >> 4 | (s[part] >> 6) << 4)
        };
        (d * f32::from(scale), min * f32::from(smallest))
    })
}
