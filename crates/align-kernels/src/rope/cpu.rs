//! Rotary embedding on slices, in one pass; the backward pass is the same with the angles negated.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::Rope;
use crate::cpu::{BLOCK_ROWS, filled, simd, slice, tensor};

/// `x` `[tokens, heads, head_dim]` rotated by the angles times `sign`, which is 1 or −1.
#[expect(unsafe_code, reason = "the result is written to memory that is not zeroed first")]
pub(super) fn rotate(rows: &Tensor, rotation: &Rope, sign: f32) -> Result<Tensor> {
    let (tokens, heads, head_dim) = rows.dims3()?;
    let (x, half) = (rows.contiguous()?, rotation.cos.dim(2)?);
    let (x, cos, sin) = (slice(&x)?, slice(&rotation.cos)?, slice(&rotation.sin)?);
    if x.is_empty() {
        return rows.copy();
    }
    assert!(0 < half && 2 * half <= head_dim, "a head is rotated by halves");
    assert_eq!([cos.len(), sin.len()], [tokens * half; 2], "an angle for each half of each token");
    let block = BLOCK_ROWS * heads * head_dim;
    // SAFETY: all four are cut into the same blocks of whole tokens, as their lengths agree; `rotate_tokens` writes
    // all of each head of each token.
    let y = unsafe {
        filled(x.len(), |y| {
            y.par_chunks_mut(block)
                .zip(x.par_chunks(block))
                .zip(cos.par_chunks(BLOCK_ROWS * half))
                .zip(sin.par_chunks(BLOCK_ROWS * half))
                .for_each(|(((y, x), cos), sin)| rotate_tokens(x, cos, sin, sign, half, head_dim, y));
        })
    };
    tensor(y, rows.shape())
}

simd! {
    fn rotate_tokens(
        x: &[f32],
        cos: &[f32],
        sin: &[f32],
        sign: f32,
        half: usize,
        head_dim: usize,
        y: &mut [MaybeUninit<f32>],
    ) {
        let row = x.len() / (cos.len() / half);
        let tokens = x.chunks_exact(row).zip(y.chunks_exact_mut(row));
        for ((x, y), (cos, sin)) in tokens.zip(cos.chunks_exact(half).zip(sin.chunks_exact(half))) {
            for (x, y) in x.chunks_exact(head_dim).zip(y.chunks_exact_mut(head_dim)) {
                let ((x1, rest), (y1, left)) = (x.split_at(half), y.split_at_mut(half));
                let ((x2, rest), (y2, left)) = (rest.split_at(half), left.split_at_mut(half));
                let pairs = x1.iter().zip(x2).zip(y1.iter_mut().zip(y2));
                for (((x1, x2), (y1, y2)), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
                    let sin = sin * sign;
                    y1.write(x1 * cos - x2 * sin);
                    y2.write(x2 * cos + x1 * sin);
                }
                for (y, x) in left.iter_mut().zip(rest) {
                    y.write(*x);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn rotated(shape: (usize, usize, usize), positions: &[u32]) -> Result<Tensor> {
        let rotation = Rope::new(positions, &[1.0, 0.1], 1.0, DType::F32, &Device::Cpu)?;
        rotate(&Tensor::ones(shape, DType::F32, &Device::Cpu)?, &rotation, 1.0)
    }

    #[test]
    #[should_panic(expected = "an angle for each half of each token")]
    fn a_token_without_a_position_is_refused() {
        let _ = rotated((3, 2, 4), &[0, 1]);
    }

    #[test]
    #[should_panic(expected = "by halves")]
    fn more_angles_than_a_head_has_pairs_are_refused() {
        let _ = rotated((2, 1, 3), &[0, 1]);
    }
}
