//! Weights of which each has one of sixteen values.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, _mm_and_si128, _mm_cvtsi64_si128, _mm_set1_epi8, _mm_srli_epi16, _mm_srli_si128,
    _mm_unpacklo_epi8, _mm256_blendv_ps, _mm256_castsi256_ps, _mm256_cvtepu8_epi32, _mm256_loadu_ps,
    _mm256_permutevar8x32_ps, _mm256_slli_epi32, _mm256_storeu_ps,
};

/// Writes what the high and the low half of each byte stand for.
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls code for a CPU feature"))]
pub(super) fn look_up(values: &[f32; 16], bytes: &[u8], to: &mut [[f32; 2]]) {
    #[cfg(target_arch = "x86_64")]
    if crate::cpu::has_avx2() {
        // SAFETY: the CPU has the feature that the function is compiled for.
        return unsafe { avx2(values, bytes, to) };
    }
    one_by_one(values, bytes, to);
}

#[inline(always)]
fn one_by_one(values: &[f32; 16], bytes: &[u8], to: &mut [[f32; 2]]) {
    for (to, byte) in to.iter_mut().zip(bytes) {
        *to = [values[usize::from(byte >> 4)], values[usize::from(byte & 15)]];
    }
}

/// Eight bytes at a time: of each half of the table the value that three bits choose, and of both what the fourth says.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "loads and stores of registers")]
#[target_feature(enable = "avx2")]
fn avx2(values: &[f32; 16], bytes: &[u8], to: &mut [[f32; 2]]) {
    let len = bytes.len().min(to.len());
    let (eights, rest) = bytes[..len].as_chunks::<8>();
    let (places, last) = to[..len].as_chunks_mut::<8>();
    // SAFETY: sixteen numbers.
    let (small, large) = unsafe { (_mm256_loadu_ps(values.as_ptr()), _mm256_loadu_ps(values[8..].as_ptr())) };
    let value = |code: __m256i| {
        let (small, large) = (_mm256_permutevar8x32_ps(small, code), _mm256_permutevar8x32_ps(large, code));
        _mm256_blendv_ps(small, large, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(code)))
    };
    let half = _mm_set1_epi8(15);
    for (bytes, to) in eights.iter().zip(places) {
        let bytes = _mm_cvtsi64_si128(i64::from_le_bytes(*bytes));
        let (high, low) = (_mm_and_si128(_mm_srli_epi16::<4>(bytes), half), _mm_and_si128(bytes, half));
        let codes = _mm_unpacklo_epi8(high, low);
        let to = to.as_flattened_mut();
        // SAFETY: room for sixteen numbers.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), value(_mm256_cvtepu8_epi32(codes)));
            _mm256_storeu_ps(to[8..].as_mut_ptr(), value(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(codes))));
        }
    }
    one_by_one(values, rest, last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_find_the_same_values() {
        let values = std::array::from_fn(|i| i as f32 - 7.5);
        let bytes: Vec<u8> = (0..=255).chain([3, 250, 17]).collect();
        for len in [0, 1, 7, 8, 9, 256, 259] {
            let [mut found, mut expected] = [vec![[9.0; 2]; len + 1], vec![[9.0; 2]; len + 1]];
            look_up(&values, &bytes[..len], &mut found);
            one_by_one(&values, &bytes[..len], &mut expected);
            assert_eq!((&found, found[len]), (&expected, [9.0; 2]));
            assert!((0..len).all(|at| found[at][0] == f32::from(bytes[at] / 16) - 7.5));
        }
    }
}
