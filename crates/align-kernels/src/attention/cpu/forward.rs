//! Forward pass: every tile writes rows of its own.

use std::ops::Range;

use rayon::prelude::*;

use super::super::Segment;
use super::Operands;
use super::one_row::one_row;
use super::tiles::{KEYS, LANES, Piece, ROWS, Tile, context, hide, lines_seen, load_columns, pieces};
use crate::cpu::{Matrix, MatrixMut, Start, Threads, exp, matmul, simd};
use crate::softcap::cap;

/// Multiply-adds below which waking the threads costs more than they save.
pub(super) const WORTH_THREADS: usize = 1 << 20;

/// Segments below which the heads of a single row are jobs of their own.
const FEW: usize = 8;

/// The result, shaped like the queries, and `log Σ exp` of every row's scores, `[tokens, heads]`.
pub(super) fn forward(operands: &Operands<'_>, segments: &[Segment]) -> (Vec<f32>, Vec<f32>) {
    let mut out = vec![0f32; operands.q.len()];
    let mut log_sums = vec![0f32; operands.q.len() / operands.dim.max(1)];
    let contexts: Vec<_> = segments.iter().map(context).collect();
    let jobs = jobs(operands, segments, &contexts, &mut out, &mut log_sums);
    if cost(operands, segments) < WORTH_THREADS {
        let mut scratch = Scratch::new(operands.dim);
        jobs.into_iter().for_each(|job| job.run(operands, &mut scratch));
    } else {
        let scratch = || Scratch::new(operands.dim);
        jobs.into_par_iter().for_each_init(scratch, |scratch, job| job.run(operands, scratch));
    }
    (out, log_sums)
}

/// Multiply-adds of one of the products. A single row counts as several: its products are slower.
pub(super) fn cost(operands: &Operands<'_>, segments: &[Segment]) -> usize {
    let cells = |segment: &Segment| segment.queries.len().max(8) * segment.context().min(operands.window);
    segments.iter().map(cells).sum::<usize>() * operands.heads * operands.dim
}

/// A tile, or some heads of a single row, and the place of its results.
struct Job<'a> {
    context: &'a [Range<usize>],
    tile: Tile,
    /// The heads of a single row.
    one_row: Option<Range<usize>>,
    out: &'a mut [f32],
    log_sums: &'a mut [f32],
}

/// The jobs of all segments, which are known to cover the queries in order.
fn jobs<'a>(
    operands: &Operands<'_>,
    segments: &[Segment],
    contexts: &'a [Vec<Range<usize>>],
    mut out: &'a mut [f32],
    mut log_sums: &'a mut [f32],
) -> Vec<Job<'a>> {
    let mut take = |rows_of_heads: usize| {
        let (mine, rest) = std::mem::take(&mut out).split_at_mut(rows_of_heads * operands.dim);
        out = rest;
        let (my_sums, rest) = std::mem::take(&mut log_sums).split_at_mut(rows_of_heads);
        log_sums = rest;
        (mine, my_sums)
    };
    // Rows are read fastest with all their heads at once, which leaves few jobs where there are few rows.
    let heads_together = if segments.len() < FEW { operands.group() } else { operands.heads };
    let mut jobs = Vec::new();
    for (segment, context) in segments.iter().zip(contexts) {
        for tile in Tile::of(segment) {
            let mut push = |one_row, rows_of_heads| {
                let (out, log_sums) = take(rows_of_heads);
                jobs.push(Job { context, tile, one_row, out, log_sums });
            };
            if segment.queries.len() == 1 {
                let starts = (0..operands.heads).step_by(heads_together);
                starts.for_each(|head| push(Some(head..head + heads_together), heads_together));
            } else {
                push(None, tile.rows * operands.heads);
            }
        }
    }
    jobs
}

impl Job<'_> {
    fn run(self, operands: &Operands<'_>, scratch: &mut Scratch) {
        if let Some(heads) = &self.one_row {
            one_row(
                operands,
                self.context,
                &self.tile,
                heads,
                [&mut scratch.scores, &mut scratch.room],
                self.out,
                self.log_sums,
            );
            return;
        }
        for head in 0..operands.heads {
            scratch.tile(operands, self.context, &self.tile, head);
            for row in 0..self.tile.rows {
                let inverse = 1.0 / scratch.sum[row];
                let out = &mut self.out[operands.query_offset(row, head)..][..operands.dim];
                for (out, line) in out.iter_mut().zip(scratch.mixed.chunks_exact(ROWS)) {
                    *out = line[row] * inverse;
                }
                self.log_sums[row * operands.heads + head] = scratch.max[row] + scratch.sum[row].ln();
            }
        }
    }
}

/// What a thread needs for a tile. Matrices have the tile's rows as columns.
struct Scratch {
    /// Scaled queries, `[dim, ROWS]`.
    queries: Vec<f32>,
    /// Scores of a block, then their weights, `[KEYS, ROWS]`.
    scores: Vec<f32>,
    /// Weighted sum of the values so far, `[dim, ROWS]`.
    mixed: Vec<f32>,
    /// Keys or values that are widened.
    room: Vec<f32>,
    /// Largest score so far.
    max: [f32; ROWS],
    /// Sum of the weights so far.
    sum: [f32; ROWS],
}

impl Scratch {
    fn new(dim: usize) -> Self {
        Self {
            queries: vec![0.0; dim * ROWS],
            scores: vec![0.0; KEYS * ROWS],
            mixed: vec![0.0; dim * ROWS],
            room: Vec::new(),
            max: [0.0; ROWS],
            sum: [0.0; ROWS],
        }
    }

    /// One head of a tile: leaves `mixed`, `max` and `sum`.
    fn tile(&mut self, operands: &Operands<'_>, context: &[Range<usize>], tile: &Tile, head: usize) {
        let (padded, kv_head) = (tile.padded(), head / operands.group());
        let queries = operands.head_rows(operands.q, tile, head);
        load_columns(&mut self.queries, queries, padded, operands.scale);
        self.max = [f32::NEG_INFINITY; ROWS];
        self.sum = [0.0; ROWS];
        let mut start = Start::Zero; // the first product overwrites what the last tile left
        for block in tile.blocks(operands.window) {
            let pieces = pieces(context, &block, tile.own);
            for piece in &pieces {
                let keys = operands.keys(piece, kv_head, &mut self.room);
                score(keys, &self.queries, piece, padded, &mut self.scores);
            }
            if let Some(by) = operands.softcap {
                cap(&mut self.scores[..block.len() * ROWS], by);
            }
            hide(&mut self.scores, &pieces, &block, tile, operands.window);
            let mut shrink = [1.0; ROWS];
            for row in (0..padded).step_by(LANES) {
                let lines = &mut self.scores[..lines_seen(&pieces, row) * ROWS];
                weigh(lines, row, &mut self.max, &mut self.sum, &mut shrink);
            }
            if start == Start::Out && shrink[..padded].iter().any(|&by| by != 1.0) {
                for line in self.mixed.chunks_exact_mut(ROWS) {
                    line.iter_mut().zip(&shrink).for_each(|(x, by)| *x *= by);
                }
            }
            for piece in &pieces {
                let columns = padded - piece.first_row;
                let weights = &self.scores[piece.line * ROWS + piece.first_row..];
                let weights = Matrix::strided(weights, piece.len, columns, ROWS);
                let mixed = &mut self.mixed[piece.first_row..];
                let mixed = MatrixMut::strided(mixed, operands.dim, columns, ROWS);
                let values = operands.values(piece, kv_head, &mut self.room);
                matmul(start, values.t(), weights, mixed, Threads::One);
                start = Start::Out;
            }
        }
    }
}

/// Products of a piece's rows with the tile's columns, into the piece's lines.
pub(super) fn score(rows: Matrix<'_>, columns: &[f32], piece: &Piece, padded: usize, lines: &mut [f32]) {
    let count = padded - piece.first_row;
    let columns = Matrix::strided(&columns[piece.first_row..], columns.len() / ROWS, count, ROWS);
    let lines = MatrixMut::strided(&mut lines[piece.line * ROWS + piece.first_row..], piece.len, count, ROWS);
    matmul(Start::Zero, rows, columns, lines, Threads::One);
}

simd! {
    /// Scores to weights for the [`LANES`] rows from `row` on: raises `max`, adds to `sum`, and says in
    /// `shrink` by what the earlier weights were too large.
    fn weigh(
        lines: &mut [f32],
        row: usize,
        max: &mut [f32; ROWS],
        sum: &mut [f32; ROWS],
        shrink: &mut [f32; ROWS],
    ) {
        let group = row / LANES;
        let lines = lines.as_chunks_mut::<ROWS>().0;
        let [max, sum, shrink] = [max, sum, shrink].map(|stats| &mut stats.as_chunks_mut::<LANES>().0[group]);
        let mut largest = *max;
        for line in &*lines {
            let scores = &line.as_chunks::<LANES>().0[group];
            for lane in 0..LANES {
                largest[lane] = if scores[lane] > largest[lane] { scores[lane] } else { largest[lane] };
            }
        }
        // A row that has seen nothing yet: any finite base gives its scores of −∞ the weight 0.
        let base = largest.map(|largest| if largest == f32::NEG_INFINITY { 0.0 } else { largest });
        let mut total = [0f32; LANES];
        for line in lines {
            let weights = &mut line.as_chunks_mut::<LANES>().0[group];
            for lane in 0..LANES {
                weights[lane] = exp(weights[lane] - base[lane]);
                total[lane] += weights[lane];
            }
        }
        for lane in 0..LANES {
            shrink[lane] = exp(max[lane] - base[lane]);
            sum[lane] = sum[lane] * shrink[lane] + total[lane];
        }
        *max = largest;
    }
}
