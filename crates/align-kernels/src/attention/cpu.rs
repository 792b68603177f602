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
mod rows;
mod tiles;

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::{Looking, Segments};
use crate::SoftCap;
use crate::cpu::{Matrix, slice, tensor};
pub(super) use rows::are_held_here;
use rows::{Held, Lines, Rows};
use tiles::{Piece, Tile};

/// One run of the op, and what its backward pass needs.
pub(super) struct Attention {
    operands: [Tensor; 3],
    looking: Looking,
    mixed: Tensor,
    /// log Σ exp of the scores, `[tokens, heads]`.
    log_sums: Vec<f32>,
}

/// What both passes read.
struct Operands<'a> {
    q: &'a [f32],
    k: Rows<'a>,
    v: Rows<'a>,
    heads: usize,
    kv_heads: usize,
    dim: usize,
    scale: f32,
    /// Keys that a query sees, its own included.
    window: usize,
    softcap: Option<SoftCap>,
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

    fn keys<'b>(&self, piece: &Piece, kv_head: usize, room: &'b mut Vec<f32>) -> Matrix<'b>
    where
        'a: 'b,
    {
        self.lines(self.k, piece, kv_head..kv_head + 1, room).matrix(piece.len, self.dim)
    }

    fn values<'b>(&self, piece: &Piece, kv_head: usize, room: &'b mut Vec<f32>) -> Matrix<'b>
    where
        'a: 'b,
    {
        self.lines(self.v, piece, kv_head..kv_head + 1, room).matrix(piece.len, self.dim)
    }

    /// Some heads of the rows of a piece, where they lie; those of bf16 in `room`.
    fn lines<'b>(
        &self,
        rows: Rows<'a>,
        piece: &Piece,
        kv_heads: Range<usize>,
        room: &'b mut Vec<f32>,
    ) -> Lines<'b>
    where
        'a: 'b,
    {
        let first = self.key_offset(piece.key, kv_heads.start);
        rows.lines(first, [piece.len, kv_heads.len() * self.dim], self.kv_heads * self.dim, room)
    }
}

impl<'a> Operands<'a> {
    fn new(
        q: &'a [f32],
        [k, v]: [Rows<'a>; 2],
        [queries, keys, _]: &[Tensor; 3],
        looking: Looking,
    ) -> Result<Self> {
        let (_, heads, dim) = queries.dims3()?;
        let (_, kv_heads, _) = keys.dims3()?;
        let window = looking.window.unwrap_or(usize::MAX);
        Ok(Self {
            q,
            k,
            v,
            heads,
            kv_heads,
            dim,
            scale: looking.scale as f32,
            window,
            softcap: looking.softcap,
        })
    }
}

impl Attention {
    /// The result, shaped like the queries, and the way back. All on the CPU, queries of f32, keys and values of f32 or bf16;
    /// checked to fit.
    pub(super) fn run(
        operands: [Tensor; 3],
        segments: &Segments,
        looking: Looking,
    ) -> Result<(Tensor, Self)> {
        let [q, k, v] = operands.map(|operand| operand.contiguous());
        let operands = [q?, k?, v?];
        let (mixed, log_sums) = {
            let [queries, keys, values] = &operands;
            let (q, k, v) = (slice(queries)?, Held::of(keys)?, Held::of(values)?);
            forward::forward(&Operands::new(&q, [k.rows(), v.rows()], &operands, looking)?, segments)
        };
        let mixed = tensor(mixed, operands[0].shape())?;
        Ok((mixed.clone(), Self { operands, looking, mixed, log_sums }))
    }

    /// The gradients of queries, keys and values from that of the result.
    pub(super) fn backward(&self, segments: &Segments, grad: &Tensor) -> Result<[Tensor; 3]> {
        let grad = grad.contiguous()?;
        let [queries, keys, values] = &self.operands;
        let (q, k, v) = (slice(queries)?, Held::of(keys)?, Held::of(values)?);
        let operands = Operands::new(&q, [k.rows(), v.rows()], &self.operands, self.looking)?;
        let grads =
            backward::backward(&operands, segments, &slice(&self.mixed)?, &self.log_sums, &slice(&grad)?);
        let [dq, dk, dv] = grads;
        let [q, k, v] = self.operands.each_ref().map(Tensor::shape);
        Ok([tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?])
    }
}
