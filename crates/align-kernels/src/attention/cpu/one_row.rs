//! A segment of one query row, as in decoding: products of a vector with a matrix, which are bound by
//! reading the keys and values, so each is read once, row after row, for all heads.

use std::ops::Range;

use super::Operands;
use super::rows::{Lines, Rows};
use super::tiles::{KEYS, Piece, ROWS, Tile, pieces};
use crate::cpu::{dot, exp, max, simd, sum};
use crate::softcap::cap;

/// The heads `heads` at a tile of one row: `out` is `[heads, dim]` and zero, `log_sums` `[heads]`. `room` is for keys and
/// values that have to be widened.
pub(super) fn one_row(
    operands: &Operands<'_>,
    context: &[Range<usize>],
    tile: &Tile,
    heads: &Range<usize>,
    [scores, room]: [&mut Vec<f32>; 2],
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    // The scratch holds a block of keys for ROWS heads; more take turns.
    let turns = heads.clone().step_by(ROWS).map(|first| first..heads.end.min(first + ROWS));
    let places = out.chunks_mut(ROWS * operands.dim).zip(log_sums.chunks_mut(ROWS));
    for (heads, (out, log_sums)) in turns.zip(places) {
        let (mut largest, mut total) = ([f32::NEG_INFINITY; ROWS], [0f32; ROWS]);
        for block in tile.blocks(operands.window) {
            let pieces = pieces(context, &block, tile.own);
            for piece in &pieces {
                each(operands, operands.k, piece, &heads, room, |piece, keys| {
                    score(operands, piece, keys, tile.query, &heads, scores);
                });
            }
            for (head, out) in out.chunks_exact_mut(operands.dim).enumerate() {
                let scores = &mut scores[head * KEYS..][..block.len()];
                if let Some(by) = operands.softcap {
                    cap(scores, by);
                }
                let shrink = weigh(scores, &mut largest[head], &mut total[head]);
                out.iter_mut().for_each(|x| *x *= shrink);
            }
            for piece in &pieces {
                each(operands, operands.v, piece, &heads, room, |piece, values| {
                    mix(operands, piece, values, &heads, scores, out);
                });
            }
        }
        for (head, out) in out.chunks_exact_mut(operands.dim).enumerate() {
            let inverse = 1.0 / total[head];
            out.iter_mut().for_each(|x| *x *= inverse);
            log_sums[head] = largest[head] + total[head].ln();
        }
    }
}

/// Hands out a piece's rows of keys or values, those heads of them that `heads` look at: all at once, or some at a time.
fn each<'a>(
    operands: &Operands<'a>,
    rows: Rows<'a>,
    piece: &Piece,
    heads: &Range<usize>,
    room: &mut Vec<f32>,
    mut take: impl FnMut(&Piece, Lines<'_>),
) {
    let group = operands.group();
    let kv_heads = heads.start / group..heads.end.div_ceil(group);
    for first in (0..piece.len).step_by(rows.at_once()) {
        let len = rows.at_once().min(piece.len - first);
        let part = Piece { key: piece.key + first, line: piece.line + first, len, ..*piece };
        take(&part, operands.lines(rows, &part, kv_heads.clone(), room));
    }
}

simd! {
    /// Scores of a piece's keys, `[heads, KEYS]`.
    fn score(
        operands: &Operands<'_>,
        piece: &Piece,
        keys: Lines<'_>,
        row: usize,
        heads: &Range<usize>,
        scores: &mut [f32],
    ) {
        let (dim, group) = (operands.dim, operands.group());
        for i in 0..piece.len {
            // Counted up rather than divided: a division costs as much as a product of this length.
            let mut kv_head = 0;
            let mut next = (heads.start / group + 1) * group;
            for (place, head) in heads.clone().enumerate() {
                if head == next {
                    (kv_head, next) = (kv_head + 1, next + group);
                }
                let query = &operands.q[operands.query_offset(row, head)..][..dim];
                let key = &keys.data[i * keys.stride + kv_head * dim..][..dim];
                scores[place * KEYS + piece.line + i] = dot(query, key) * operands.scale;
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
    /// Adds the values of a piece, weighted, four at a time: the sums are read and written once for them.
    fn mix(
        operands: &Operands<'_>,
        piece: &Piece,
        values: Lines<'_>,
        heads: &Range<usize>,
        weights: &[f32],
        out: &mut [f32],
    ) {
        let (dim, group) = (operands.dim, operands.group());
        let fours = piece.len / 4 * 4;
        for i in (0..fours).step_by(4).chain(fours..piece.len) {
            // As above: counted up rather than divided.
            let mut kv_head = 0;
            let mut next = (heads.start / group + 1) * group;
            for (place, head) in heads.clone().enumerate() {
                if head == next {
                    (kv_head, next) = (kv_head + 1, next + group);
                }
                let out = out[place * dim..][..dim].iter_mut();
                let value = |i: usize| &values.data[i * values.stride + kv_head * dim..][..dim];
                let weights = &weights[place * KEYS + piece.line + i..];
                if i < fours {
                    let [w0, w1, w2, w3] = [weights[0], weights[1], weights[2], weights[3]];
                    let four = value(i).iter().zip(value(i + 1)).zip(value(i + 2)).zip(value(i + 3));
                    for (out, (((a, b), c), d)) in out.zip(four) {
                        *out += (w0 * a + w1 * b) + (w2 * c + w3 * d);
                    }
                } else {
                    for (out, x) in out.zip(value(i)) {
                        *out += weights[0] * x;
                    }
                }
            }
        }
    }
}
