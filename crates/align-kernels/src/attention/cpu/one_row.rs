//! A segment of one query row, as in decoding: products of a vector with a matrix, which are bound by
//! reading the keys and values, so each is read once for all query heads that share it.

use std::ops::Range;

use super::Operands;
use super::tiles::{KEYS, Piece, ROWS, Tile, pieces};
use crate::cpu::{dot, exp, max, simd, sum};

/// Rows of values summed in one go: one cache line.
const LANES: usize = 16;

/// The query heads of `kv_head` at a tile of one row: `out` is `[group, dim]`, `log_sums` `[group]`.
pub(super) fn one_row(
    operands: &Operands<'_>,
    context: &[Range<usize>],
    tile: &Tile,
    kv_head: usize,
    scores: &mut [f32],
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    let (dim, group) = (operands.dim, operands.group());
    let queries = &operands.q[operands.query_offset(tile.query, kv_head * group)..][..group * dim];
    // The scratch holds a block of keys for ROWS heads; larger groups take turns.
    for first in (0..group).step_by(ROWS) {
        let heads = first..group.min(first + ROWS);
        let out = &mut out[heads.start * dim..heads.end * dim];
        let (mut largest, mut total) = ([f32::NEG_INFINITY; ROWS], [0f32; ROWS]);
        for block in tile.blocks(operands.window) {
            let pieces = pieces(context, &block, tile.own);
            let queries = &queries[heads.start * dim..heads.end * dim];
            for piece in &pieces {
                score(operands, piece, kv_head, queries, scores);
            }
            for (head, out) in out.chunks_exact_mut(dim).enumerate() {
                let scores = &mut scores[head * KEYS..][..block.len()];
                let shrink = weigh(scores, &mut largest[head], &mut total[head]);
                out.iter_mut().for_each(|x| *x *= shrink);
                for piece in &pieces {
                    mix(operands, piece, kv_head, &scores[piece.line..][..piece.len], out);
                }
            }
        }
        for (head, out) in out.chunks_exact_mut(dim).enumerate() {
            let inverse = 1.0 / total[head];
            out.iter_mut().for_each(|x| *x *= inverse);
            log_sums[first + head] = largest[head] + total[head].ln();
        }
    }
}

simd! {
    /// Scores of a piece's keys for every head of `queries`, `[heads, KEYS]`.
    fn score(operands: &Operands<'_>, piece: &Piece, kv_head: usize, queries: &[f32], scores: &mut [f32]) {
        let dim = operands.dim;
        for i in 0..piece.len {
            let key = &operands.k[operands.key_offset(piece.key + i, kv_head)..][..dim];
            for (head, query) in queries.chunks_exact(dim).enumerate() {
                scores[head * KEYS + piece.line + i] = dot(query, key) * operands.scale;
            }
        }
    }
}

simd! {
    /// Scores to weights; returns by what the earlier weights were too large.
    fn weigh(scores: &mut [f32], largest: &mut f32, total: &mut f32) -> f32 {
        let known = *largest;
        let block = max(scores);
        *largest = if block > known { block } else { known };
        // Every block of a single row is seen whole, so −∞ is left only where all scores are NaN.
        let base = *largest;
        for score in scores.iter_mut() {
            *score = exp(*score - base);
        }
        let shrink = exp(known - base);
        *total = *total * shrink + sum(scores);
        shrink
    }
}

simd! {
    /// Adds the values of a piece, weighted.
    fn mix(operands: &Operands<'_>, piece: &Piece, kv_head: usize, weights: &[f32], out: &mut [f32]) {
        let (first, stride) = (operands.key_offset(piece.key, kv_head), operands.kv_heads * operands.dim);
        let values = &operands.v[first..];
        let (blocks, rest) = out.as_chunks_mut::<LANES>();
        let whole = blocks.len() * LANES;
        for (block, out) in blocks.iter_mut().enumerate() {
            let mut lanes = *out;
            for (i, weight) in weights.iter().enumerate() {
                let value = &values[i * stride + block * LANES..][..LANES];
                for (lane, x) in lanes.iter_mut().zip(value) {
                    *lane += weight * x;
                }
            }
            *out = lanes;
        }
        for (d, out) in rest.iter_mut().enumerate() {
            for (i, weight) in weights.iter().enumerate() {
                *out += weight * values[i * stride + whole + d];
            }
        }
    }
}
