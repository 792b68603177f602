//! What the operands of products are rounded to.

use candle_core::{DType, Result, Tensor};

use super::matmul::{block_len, block_len_bf16, matmul, matmul_bf16};
use super::{Matrix, MatrixMut, Start, Threads};

/// What the operands of a product with a weight are rounded to; sums are f32 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Not at all: they are f32.
    #[default]
    F32,
    /// To bfloat16, whose 8 bits of a number's 24 let a CPU that has such arithmetic compute twice as much and more.
    Bf16,
}

impl Precision {
    /// The operand of a product on whole tensors: rounded, in the type that it has.
    pub(crate) fn rounded(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::F32 => Ok(x.clone()),
            Self::Bf16 => x.to_dtype(DType::BF16)?.to_dtype(x.dtype()),
        }
    }

    /// The size of all blocks of an inner dimension but the last, in which a product adds up.
    pub(crate) fn block_len(self, inner: usize) -> usize {
        match self {
            Self::F32 => block_len(inner),
            Self::Bf16 => block_len_bf16(inner),
        }
    }

    /// `out = a b`, or `out = out + a b`.
    pub(crate) fn matmul(
        self,
        start: Start,
        a: Matrix<'_>,
        b: Matrix<'_>,
        out: MatrixMut<'_>,
        threads: Threads,
    ) {
        match self {
            Self::F32 => matmul(start, a, b, out, threads),
            Self::Bf16 => matmul_bf16(start, a, b, out, threads),
        }
    }

    /// `a b` in a new vector `[a.rows, b.columns]`.
    #[expect(unsafe_code, reason = "the product is written to memory that is not zeroed first")]
    pub(crate) fn product(self, a: Matrix<'_>, b: Matrix<'_>, threads: Threads) -> Vec<f32> {
        let len = a.rows() * b.columns();
        let mut out = Vec::with_capacity(len);
        // SAFETY: the vector has room for `len` elements and is not shared; the product writes every one of them, from zero
        // on without reading, before its length says so: also over an inner dimension of 0 (all in the tests of products).
        unsafe {
            let matrix = MatrixMut::from_raw(out.as_mut_ptr(), a.rows(), b.columns(), b.columns());
            self.matmul(Start::Zero, a, b, matrix, threads);
            out.set_len(len);
        }
        out
    }
}
