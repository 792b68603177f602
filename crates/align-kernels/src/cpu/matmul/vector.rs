//! Registers of the instruction sets that the kernel of products is written for.

#![expect(unsafe_code, reason = "intrinsics of a CPU feature, on pointers")]

use std::arch::x86_64::*;

/// A register of f32.
///
/// # Safety
/// All functions require the CPU feature that the type stands for, in the function that they are inlined
/// into, and pointers that are valid for the lanes that they name.
pub(super) trait Vector: Copy {
    /// Which lanes.
    type Mask: Copy;
    /// Elements of a register.
    const LANES: usize;

    /// The first `lanes` lanes, at most [`Vector::LANES`].
    unsafe fn first(lanes: usize) -> Self::Mask;
    unsafe fn zero() -> Self;
    /// The element at `from` in all lanes.
    unsafe fn splat(from: *const f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Zero in all other lanes, whose memory is not touched.
    unsafe fn load_some(from: *const f32, lanes: Self::Mask) -> Self;
    unsafe fn store_some(self, to: *mut f32, lanes: Self::Mask);
    unsafe fn add(self, other: Self) -> Self;
    /// `self · by + plus`, rounded once.
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self;
    /// Writes the transpose of [`Vector::LANES`] rows and columns; rows start `stride` apart.
    unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize);
}

/// AVX-512.
#[derive(Clone, Copy)]
pub(super) struct Zmm(__m512);

// SAFETY (all blocks): promised by the caller, see the trait.
impl Vector for Zmm {
    type Mask = __mmask16;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn first(lanes: usize) -> __mmask16 {
        ((1u32 << lanes) - 1) as __mmask16
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self(_mm512_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        unsafe { Self(_mm512_set1_ps(*from)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Self(_mm512_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn load_some(from: *const f32, lanes: __mmask16) -> Self {
        unsafe { Self(_mm512_maskz_loadu_ps(lanes, from)) }
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, lanes: __mmask16) {
        unsafe { _mm512_mask_storeu_ps(to, lanes, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(_mm512_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe { Self(_mm512_fmadd_ps(self.0, by.0, plus.0)) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        unsafe {
            let mut columns = [_mm512_setzero_ps(); 16];
            // In fours: afterwards lane group l of column 4q + j has rows 4q.. of column 4l + j.
            for q in 0..4 {
                let row = |i: usize| _mm512_loadu_ps(from.wrapping_add((4 * q + i) * stride));
                let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                let pairs = |x, y| {
                    let (low, high) = (_mm512_unpacklo_ps(x, y), _mm512_unpackhi_ps(x, y));
                    (_mm512_castps_pd(low), _mm512_castps_pd(high))
                };
                let ((ab0, ab1), (cd0, cd1)) = (pairs(a, b), pairs(c, d));
                columns[4 * q] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab0, cd0));
                columns[4 * q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab0, cd0));
                columns[4 * q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(ab1, cd1));
                columns[4 * q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(ab1, cd1));
            }
            for j in 0..4 {
                let [a, b, c, d] = [columns[j], columns[4 + j], columns[8 + j], columns[12 + j]];
                let (ab02, ab13) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
                let (cd02, cd13) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
                let put = |column: usize, x| _mm512_storeu_ps(to.wrapping_add(column * to_stride), x);
                put(j, _mm512_shuffle_f32x4::<0x88>(ab02, cd02));
                put(4 + j, _mm512_shuffle_f32x4::<0x88>(ab13, cd13));
                put(8 + j, _mm512_shuffle_f32x4::<0xdd>(ab02, cd02));
                put(12 + j, _mm512_shuffle_f32x4::<0xdd>(ab13, cd13));
            }
        }
    }
}

/// AVX2 with FMA.
#[derive(Clone, Copy)]
pub(super) struct Ymm(__m256);

// SAFETY (all blocks): promised by the caller, see the trait.
impl Vector for Ymm {
    type Mask = __m256i;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn first(lanes: usize) -> __m256i {
        const ONES_THEN_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        unsafe { _mm256_loadu_si256(ONES_THEN_ZEROS.as_ptr().wrapping_add(8 - lanes).cast()) }
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self(_mm256_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        unsafe { Self(_mm256_set1_ps(*from)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Self(_mm256_loadu_ps(from)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn load_some(from: *const f32, lanes: __m256i) -> Self {
        unsafe { Self(_mm256_maskload_ps(from, lanes)) }
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, lanes: __m256i) {
        unsafe { _mm256_maskstore_ps(to, lanes, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, plus: Self) -> Self {
        unsafe { Self(_mm256_fmadd_ps(self.0, by.0, plus.0)) }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        unsafe {
            let mut columns = [_mm256_setzero_ps(); 8];
            // In fours: afterwards half l of column 4q + j has rows 4q.. of column 4l + j.
            for q in 0..2 {
                let row = |i: usize| _mm256_loadu_ps(from.wrapping_add((4 * q + i) * stride));
                let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                let pairs = |x, y| {
                    let (low, high) = (_mm256_unpacklo_ps(x, y), _mm256_unpackhi_ps(x, y));
                    (_mm256_castps_pd(low), _mm256_castps_pd(high))
                };
                let ((ab0, ab1), (cd0, cd1)) = (pairs(a, b), pairs(c, d));
                columns[4 * q] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab0, cd0));
                columns[4 * q + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab0, cd0));
                columns[4 * q + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(ab1, cd1));
                columns[4 * q + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(ab1, cd1));
            }
            for j in 0..4 {
                let (upper, lower) = (columns[j], columns[4 + j]);
                let put = |column: usize, x| _mm256_storeu_ps(to.wrapping_add(column * to_stride), x);
                put(j, _mm256_permute2f128_ps::<0x20>(upper, lower));
                put(4 + j, _mm256_permute2f128_ps::<0x31>(upper, lower));
            }
        }
    }
}
