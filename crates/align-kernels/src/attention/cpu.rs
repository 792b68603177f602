//! Segment attention on f32 slices in main memory.
//!
//! Tiles of query rows meet blocks of keys, with a running softmax (Milakov & Gimelshein 2018; Dao et al.
//! 2022): nothing of size tokens² exists, and the scratch of a thread is bounded whatever the context.
//! Products read keys and values where they lie; grouped heads do not repeat them. Kept for the backward
//! pass is the log of each softmax's denominator alone. A tile is cut from its own segment, so no result
//! depends on what else is in the stream, nor on the number of threads.

mod backward;
mod forward;
mod one_row;
mod tiles;

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::Segment;
use crate::cpu::{Matrix, slice, tensor};
use tiles::{Piece, Tile};

/// See [`super::attention`]; operands must be f32 on the CPU, checked to fit.
pub(super) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &[Segment],
    scale: f64,
    window: Option<usize>,
) -> Result<Tensor> {
    let op = Attention::new(segments, scale, window);
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
}

/// One run of the op: forward, then backward.
pub(crate) struct Attention {
    segments: Vec<Segment>,
    scale: f32,
    window: usize,
    /// log Σ exp of the scores, `[tokens, heads]`, once the forward pass has run.
    log_sums: OnceLock<Vec<f32>>,
}

/// What both passes read.
struct Operands<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    heads: usize,
    kv_heads: usize,
    dim: usize,
    scale: f32,
    /// Keys that a query sees, its own included.
    window: usize,
}

impl<'a> Operands<'a> {
    /// Query heads per key head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Where the query head `head` of row `row` starts, in `q` and in all that is shaped like it.
    fn query_offset(&self, row: usize, head: usize) -> usize {
        (row * self.heads + head) * self.dim
    }

    /// The same for `k` and `v`.
    fn key_offset(&self, row: usize, kv_head: usize) -> usize {
        (row * self.kv_heads + kv_head) * self.dim
    }

    /// One head of a tile's rows of `data`, which is shaped like `q`.
    fn head_rows<'d>(&self, data: &'d [f32], tile: &Tile, head: usize) -> impl Iterator<Item = &'d [f32]> {
        let (first, stride, dim) = (self.query_offset(tile.query, head), self.heads * self.dim, self.dim);
        (0..tile.rows).map(move |row| &data[first + row * stride..][..dim])
    }

    /// The same as a matrix of `rows` rows from `row` on.
    fn query_rows<'d>(&self, data: &'d [f32], row: usize, head: usize, rows: usize) -> Matrix<'d> {
        Matrix::strided(&data[self.query_offset(row, head)..], rows, self.dim, self.heads * self.dim)
    }

    fn keys(&self, piece: &Piece, kv_head: usize) -> Matrix<'a> {
        self.key_rows(self.k, piece, kv_head)
    }

    fn values(&self, piece: &Piece, kv_head: usize) -> Matrix<'a> {
        self.key_rows(self.v, piece, kv_head)
    }

    fn key_rows(&self, data: &'a [f32], piece: &Piece, kv_head: usize) -> Matrix<'a> {
        let first = self.key_offset(piece.key, kv_head);
        Matrix::strided(&data[first..], piece.len, self.dim, self.kv_heads * self.dim)
    }
}

impl Attention {
    pub(crate) fn new(segments: &[Segment], scale: f64, window: Option<usize>) -> Self {
        Self {
            segments: segments.to_vec(),
            scale: scale as f32,
            window: window.unwrap_or(usize::MAX),
            log_sums: OnceLock::new(),
        }
    }

    /// The result, shaped like `q`. All contiguous.
    pub(crate) fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Vec<f32>> {
        let (queries, keys, values) = (slice(q)?, slice(k)?, slice(v)?);
        self.run(&self.operands(&queries, &keys, &values, [q.shape(), k.shape()])?)
    }

    /// The gradients of `q`, `k` and `v` from that of the result `out`. All contiguous.
    pub(crate) fn backward(
        &self,
        [q, k, v]: [&Tensor; 3],
        out: &Tensor,
        grad: &[f32],
    ) -> Result<[Vec<f32>; 3]> {
        let Some(log_sums) = self.log_sums.get() else {
            bail!("attention: the backward pass ran before the forward pass");
        };
        let (queries, keys, values) = (slice(q)?, slice(k)?, slice(v)?);
        let operands = self.operands(&queries, &keys, &values, [q.shape(), k.shape()])?;
        Ok(backward::backward(&operands, &self.segments, &slice(out)?, log_sums, grad))
    }

    fn run(&self, operands: &Operands<'_>) -> Result<Vec<f32>> {
        let (out, log_sums) = forward::forward(operands, &self.segments);
        if self.log_sums.set(log_sums).is_err() {
            bail!("the forward pass of an attention op ran twice");
        }
        Ok(out)
    }

    fn operands<'a>(
        &self,
        q: &'a [f32],
        k: &'a [f32],
        v: &'a [f32],
        shape: [&Shape; 2],
    ) -> Result<Operands<'a>> {
        let (_, heads, dim) = shape[0].dims3()?;
        let (_, kv_heads, _) = shape[1].dims3()?;
        Ok(Operands { q, k, v, heads, kv_heads, dim, scale: self.scale, window: self.window })
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (floats(q, q_layout)?, floats(k, k_layout)?, floats(v, v_layout)?);
        let operands = self.operands(q, k, v, [q_layout.shape(), k_layout.shape()])?;
        Ok((CpuStorage::F32(self.run(&operands)?), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dq, dk, dv] = self.backward([q, k, v], out, &slice(&grad.contiguous()?)?)?;
        let wanted =
            |of: &Tensor, grad: Vec<f32>| of.track_op().then(|| tensor(grad, of.shape())).transpose();
        Ok((wanted(q, dq)?, wanted(k, dk)?, wanted(v, dv)?))
    }
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(data), Some((start, end))) => Ok(&data[start..end]),
        _ => bail!("attention: expected contiguous f32 operands, got {layout:?}"),
    }
}
