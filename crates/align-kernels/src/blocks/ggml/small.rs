//! Blocks of 32: a scale, perhaps a smallest value, and 4, 5 or 8 bits each. Low nibbles are the first half.

use half::f16;

use crate::cpu::simd;

const BLOCK: usize = 32;

simd! {
    /// (q − 8) d.
    pub(super) fn q4_0(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<18>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let d = scale(block, 0);
            let (low, high) = to.split_at_mut(BLOCK / 2);
            for ((low, high), byte) in low.iter_mut().zip(high).zip(&block[2..]) {
                *low = f32::from((byte & 15) as i8 - 8) * d;
                *high = f32::from((byte >> 4) as i8 - 8) * d;
            }
        }
    }
}

simd! {
    /// q d + m.
    pub(super) fn q4_1(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<20>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let (d, m) = (scale(block, 0), scale(block, 2));
            let (low, high) = to.split_at_mut(BLOCK / 2);
            for ((low, high), byte) in low.iter_mut().zip(high).zip(&block[4..]) {
                *low = f32::from(byte & 15) * d + m;
                *high = f32::from(byte >> 4) * d + m;
            }
        }
    }
}

simd! {
    /// (q − 16) d; the fifth bits lie before the others.
    pub(super) fn q5_0(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<22>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let (d, fifth) = (scale(block, 0), bits(block, 2));
            let (low, high) = to.split_at_mut(BLOCK / 2);
            for (at, ((low, high), byte)) in low.iter_mut().zip(high).zip(&block[6..]).enumerate() {
                *low = f32::from((byte & 15 | fifth_of(fifth, at)) as i8 - 16) * d;
                *high = f32::from((byte >> 4 | fifth_of(fifth, at + BLOCK / 2)) as i8 - 16) * d;
            }
        }
    }
}

simd! {
    /// q d + m.
    pub(super) fn q5_1(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<24>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let (d, m, fifth) = (scale(block, 0), scale(block, 2), bits(block, 4));
            let (low, high) = to.split_at_mut(BLOCK / 2);
            for (at, ((low, high), byte)) in low.iter_mut().zip(high).zip(&block[8..]).enumerate() {
                *low = f32::from(byte & 15 | fifth_of(fifth, at)) * d + m;
                *high = f32::from(byte >> 4 | fifth_of(fifth, at + BLOCK / 2)) * d + m;
            }
        }
    }
}

simd! {
    /// q d.
    pub(super) fn q8_0(bytes: &[u8], to: &mut [f32]) {
        for (block, to) in bytes.as_chunks::<34>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            let d = scale(block, 0);
            for (to, byte) in to.iter_mut().zip(&block[2..]) {
                *to = f32::from(byte.cast_signed()) * d;
            }
        }
    }
}

/// A 16-bit number.
#[inline(always)]
pub(super) fn scale(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// 32 bits.
#[inline(always)]
fn bits(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// The bit of a place, as the fifth of a value.
#[inline(always)]
fn fifth_of(bits: u32, at: usize) -> u8 {
    ((bits >> at & 1) as u8) << 4
}
