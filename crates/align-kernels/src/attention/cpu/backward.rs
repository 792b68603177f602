//! Backward pass: computes the weights again, tile by tile.
//!
//! With `P` the weights, `g` the gradient of the output `o = P v` and `δ = rowsum(g ∘ o)`:
//! `dv = Pᵀ g`, `dS = P ∘ (g vᵀ − δ)`, `dq = scale · dS k`, `dk = scale · dSᵀ q`.
//!
//! Segments that share keys are one family; a family's part of a key head is one job, done in the order
//! of the segments. So each gradient row is summed by one thread in a fixed order. Parallelism is what the
//! stream offers in families times key heads: one long sequence has that of its key heads alone.

use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use super::super::Segment;
use super::Operands;
use super::forward::{WORTH_THREADS, cost, score};
use super::tiles::{KEYS, LANES, ROWS, Tile, context, hide, lines_seen, load_columns, pieces};
use crate::cpu::{Matrix, MatrixMut, Start, Threads, dot, exp, matmul, simd};
use crate::softcap::{cap, scale_by_slope};

/// Gradients of the queries, keys and values; rows of keys that no segment saw have the gradient zero.
pub(super) fn backward(
    operands: &Operands<'_>,
    segments: &[Segment],
    out: &[f32],
    log_sums: &[f32],
    grad: &[f32],
) -> [Vec<f32>; 3] {
    let mut dq = vec![0f32; operands.q.len()];
    let mut dk = vec![0f32; operands.k.len()];
    let mut dv = vec![0f32; operands.v.len()];
    let gradients = Gradients { dq: dq.as_mut_ptr(), dk: dk.as_mut_ptr(), dv: dv.as_mut_ptr() };
    let pass = Pass { operands, out, log_sums, grad, gradients };
    let families = families(segments);
    let jobs: Vec<_> = families
        .iter()
        .flat_map(|family| (0..operands.kv_heads).map(move |kv_head| (family.as_slice(), kv_head)))
        .collect();
    if cost(operands, segments) < WORTH_THREADS {
        let mut scratch = Scratch::new(operands.dim);
        jobs.into_iter().for_each(|(family, kv_head)| pass.family(family, kv_head, &mut scratch));
    } else {
        let scratch = || Scratch::new(operands.dim);
        jobs.into_par_iter()
            .for_each_init(scratch, |scratch, (family, kv_head)| pass.family(family, kv_head, scratch));
    }
    [dq, dk, dv]
}

/// Segments by the keys they share, each family and all of them in order of the segments. Key ranges are
/// known to be equal or apart.
fn families(segments: &[Segment]) -> Vec<Vec<&Segment>> {
    let mut family_of: Vec<usize> = Vec::with_capacity(segments.len()); // of each segment; its first member
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new(); // start of a range: a segment that has it
    for (index, segment) in segments.iter().enumerate() {
        family_of.push(index);
        for range in &segment.keys {
            let (mine, other) = (family_of[index], family_of[*seen.entry(range.start).or_insert(index)]);
            let (first, later) = (mine.min(other), mine.max(other));
            if first != later {
                family_of.iter_mut().filter(|family| **family == later).for_each(|family| *family = first);
            }
        }
    }
    let mut families: BTreeMap<usize, Vec<&Segment>> = BTreeMap::new();
    for (family, segment) in family_of.into_iter().zip(segments) {
        families.entry(family).or_default().push(segment);
    }
    families.into_values().collect()
}

/// Where jobs write, each its own head's elements of its own rows.
struct Gradients {
    dq: *mut f32,
    dk: *mut f32,
    dv: *mut f32,
}

// SAFETY: two jobs differ in the key head or in the family. Rows of queries belong to one segment (`check`, which
// `attention` and `attention_block` call first), rows of keys to one family (`check_apart`, which both call before
// anything that has a backward pass is recorded; both in `attention/mod.rs`), and heads of a row are disjoint runs of
// elements: no element is reached by two jobs, and none is read until all jobs have ended.
#[expect(unsafe_code, reason = "heads lie interleaved, which slices cannot express")]
unsafe impl Sync for Gradients {}

struct Pass<'a> {
    operands: &'a Operands<'a>,
    out: &'a [f32],
    log_sums: &'a [f32],
    grad: &'a [f32],
    gradients: Gradients,
}

impl Pass<'_> {
    fn family(&self, family: &[&Segment], kv_head: usize, scratch: &mut Scratch) {
        let group = self.operands.group();
        for segment in family {
            let context = context(segment);
            for tile in Tile::of(segment) {
                for head in kv_head * group..(kv_head + 1) * group {
                    self.tile(&context, &tile, head, kv_head, scratch);
                }
            }
        }
    }

    /// One head of a tile.
    #[expect(unsafe_code, reason = "writes rows of gradients that no slice can stand for")]
    fn tile(
        &self,
        context: &[Range<usize>],
        tile: &Tile,
        head: usize,
        kv_head: usize,
        scratch: &mut Scratch,
    ) {
        let operands = self.operands;
        let padded = tile.padded();
        scratch.load(self, tile, head);
        for block in tile.blocks(operands.window) {
            let pieces = pieces(context, &block, tile.own);
            for piece in &pieces {
                let keys = operands.keys(piece, kv_head, &mut scratch.room);
                score(keys, &scratch.queries, piece, padded, &mut scratch.scores);
                let values = operands.values(piece, kv_head, &mut scratch.room);
                score(values, &scratch.grads, piece, padded, &mut scratch.slopes);
            }
            let lines = block.len() * ROWS;
            if let Some(by) = operands.softcap {
                cap(&mut scratch.scores[..lines], by);
                scratch.capped.clear();
                scratch.capped.extend_from_slice(&scratch.scores[..lines]);
            }
            hide(&mut scratch.scores, &pieces, &block, tile, operands.window);
            for row in (0..padded).step_by(LANES) {
                let seen = lines_seen(&pieces, row) * ROWS;
                let (scores, slopes) = (&mut scratch.scores[..seen], &mut scratch.slopes[..seen]);
                differentiate(scores, slopes, row, &scratch.log_sums, &scratch.delta, operands.scale);
            }
            if let Some(by) = operands.softcap {
                scale_by_slope(&mut scratch.slopes[..lines], &scratch.capped, by);
            }
            for piece in &pieces {
                let (rows, first) = (tile.rows - piece.first_row, piece.line * ROWS + piece.first_row);
                let weights = Matrix::strided(&scratch.scores[first..], piece.len, rows, ROWS);
                let slopes = Matrix::strided(&scratch.slopes[first..], piece.len, rows, ROWS);
                let query = tile.query + piece.first_row;
                let to = operands.key_offset(piece.key, kv_head);
                let stride = operands.kv_heads * operands.dim;
                // SAFETY: the elements are this job's (see `Gradients`), inside the vectors, which are as long as `k`
                // and `v`, as those rows are inside these (`check`), and initialised.
                let [dk, dv] = [self.gradients.dk, self.gradients.dv].map(|base| unsafe {
                    MatrixMut::from_raw(base.add(to), piece.len, operands.dim, stride)
                });
                let queries = operands.query_rows(operands.q, query, head, rows);
                matmul(Start::Out, slopes, queries, dk, Threads::One);
                let grads = operands.query_rows(self.grad, query, head, rows);
                matmul(Start::Out, weights, grads, dv, Threads::One);

                let count = padded - piece.first_row;
                let slopes = Matrix::strided(&scratch.slopes[first..], piece.len, count, ROWS);
                let dq = MatrixMut::strided(&mut scratch.dq[piece.first_row..], operands.dim, count, ROWS);
                let keys = operands.keys(piece, kv_head, &mut scratch.room);
                matmul(Start::Out, keys.t(), slopes, dq, Threads::One);
            }
        }
        for row in 0..tile.rows {
            let to = operands.query_offset(tile.query + row, head);
            // SAFETY: as above, for a row of queries.
            let dq = unsafe { std::slice::from_raw_parts_mut(self.gradients.dq.add(to), operands.dim) };
            for (dq, line) in dq.iter_mut().zip(scratch.dq.chunks_exact(ROWS)) {
                *dq = line[row];
            }
        }
    }
}

/// What a thread needs for a tile. Matrices have the tile's rows as columns.
struct Scratch {
    /// Scaled queries, `[dim, ROWS]`.
    queries: Vec<f32>,
    /// Gradient of the output, `[dim, ROWS]`.
    grads: Vec<f32>,
    /// Scores of a block, then their weights, `[KEYS, ROWS]`.
    scores: Vec<f32>,
    /// Gradient of the weights of a block, then of the scores, `[KEYS, ROWS]`.
    slopes: Vec<f32>,
    /// Scores of a block after their cap, where they have one.
    capped: Vec<f32>,
    /// Gradient of the queries so far, `[dim, ROWS]`.
    dq: Vec<f32>,
    /// Keys or values that are widened.
    room: Vec<f32>,
    log_sums: [f32; ROWS],
    delta: [f32; ROWS],
}

impl Scratch {
    fn new(dim: usize) -> Self {
        let [queries, grads, dq] = [(); 3].map(|()| vec![0.0; dim * ROWS]);
        let [scores, slopes] = [(); 2].map(|()| vec![0.0; KEYS * ROWS]);
        Self {
            queries,
            grads,
            scores,
            slopes,
            capped: Vec::new(),
            dq,
            room: Vec::new(),
            log_sums: [0.0; ROWS],
            delta: [0.0; ROWS],
        }
    }

    fn load(&mut self, pass: &Pass<'_>, tile: &Tile, head: usize) {
        let operands = pass.operands;
        let rows = |data| operands.head_rows(data, tile, head);
        load_columns(&mut self.queries, rows(operands.q), tile.padded(), operands.scale);
        load_columns(&mut self.grads, rows(pass.grad), tile.padded(), 1.0);
        self.dq.fill(0.0);
        // Padding: scores of 0 with the sum 0 are finite weights, and without slope.
        (self.log_sums, self.delta) = ([0.0; ROWS], [0.0; ROWS]);
        for (i, (out, grad)) in rows(pass.out).zip(rows(pass.grad)).enumerate() {
            self.log_sums[i] = pass.log_sums[(tile.query + i) * operands.heads + head];
            self.delta[i] = product_sum(out, grad);
        }
    }
}

simd! {
    fn product_sum(a: &[f32], b: &[f32]) -> f32 {
        dot(a, b)
    }
}

simd! {
    /// For the [`LANES`] rows from `row` on: scores to weights, gradient of the weights to that of the
    /// scores before they were scaled.
    fn differentiate(
        scores: &mut [f32],
        slopes: &mut [f32],
        row: usize,
        log_sums: &[f32; ROWS],
        delta: &[f32; ROWS],
        scale: f32,
    ) {
        let group = row / LANES;
        let [log_sums, delta] = [log_sums, delta].map(|stats| stats.as_chunks::<LANES>().0[group]);
        let lines = scores.as_chunks_mut::<ROWS>().0.iter_mut().zip(slopes.as_chunks_mut::<ROWS>().0);
        for (scores, slopes) in lines {
            let scores = &mut scores.as_chunks_mut::<LANES>().0[group];
            let slopes = &mut slopes.as_chunks_mut::<LANES>().0[group];
            for lane in 0..LANES {
                scores[lane] = exp(scores[lane] - log_sums[lane]);
                slopes[lane] = scale * (scores[lane] * (slopes[lane] - delta[lane]));
            }
        }
    }
}
