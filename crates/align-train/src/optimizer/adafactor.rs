//! Adafactor (Shazeer & Stern 2018, arXiv:1804.04235) as transformers' `Trainer` configures its own: an external learning rate
//! (`relative_step` and `scale_parameter` off), no first moment.
//!
//! ```text
//! β̂ = 1 − t^−0.8,  s = g² + 1e-30
//! R ← β̂ R + (1 − β̂) mean of s over columns,  C ← β̂ C + (1 − β̂) mean of s over rows
//! u = g / √(R Cᵀ / mean R)          (of a vector: V ← β̂ V + (1 − β̂) s,  u = g / √V)
//! u ← u / max(1, RMS(u))
//! p ← p (1 − ηλ) − η u
//! ```
//!
//! Sums are f64 and of rows in blocks of one size, in order: the number of threads changes nothing.

use align_kernels::Param;
use candle_core::{D, DType, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::buffer::{Buffer, Spec, f32s, tensors};
use super::in_place::BLOCK;
use super::rule::Step;
use crate::Result;

/// Added to the square of each gradient.
const SQUARE_EPSILON: f32 = 1e-30;
/// The exponent of the running averages' forgetting.
const DECAY_RATE: f64 = -0.8;

/// Rows and columns of a matrix; the second moment itself of a vector. Of a tensor with more dimensions each matrix of the
/// last two.
pub(super) fn buffers(dims: &[usize]) -> Vec<Spec> {
    let spec = |name, shape| Spec { name, shape, dtype: DType::F32 };
    match dims {
        [batch @ .., rows, columns] => vec![
            spec("exp_avg_sq_row", [batch, &[*rows]].concat()),
            spec("exp_avg_sq_col", [batch, &[*columns]].concat()),
        ],
        vector => vec![spec("exp_avg_sq", vector.to_vec())],
    }
}

pub(super) fn step(p: &mut [f32], g: &[f32], buffers: &mut [Buffer], dims: &[usize], step: Step) {
    let beta2 = 1.0 - (step.number as f64).powf(DECAY_RATE);
    let average = Average { beta2: beta2 as f32, towards: (1.0 - beta2) as f32 };
    let scale = step.grad_scale as f32;
    let [.., rows, columns] = *dims else {
        let [v] = f32s(buffers);
        v.par_chunks_mut(BLOCK).zip(g.par_chunks(BLOCK)).for_each(|(v, g)| {
            v.iter_mut().zip(g).for_each(|(v, &g)| average.add(v, square(g * scale)));
        });
        let inverse: Vec<f32> = v.par_iter().map(|v| 1.0 / v.sqrt()).collect();
        return apply(p, g, step, &[], &inverse, inverse.len().max(1));
    };
    let [row, column] = f32s(buffers);
    let matrices = g.chunks(rows * columns).zip(row.chunks_mut(rows).zip(column.chunks_mut(columns)));
    for (g, (row, column)) in matrices {
        average_rows_and_columns(g, scale, &average, row, column);
    }
    // √(R Cᵀ / mean R) of every matrix, as its two factors.
    let row_factors = row.chunks(rows).flat_map(|row| {
        let mean = (row.iter().map(|&r| f64::from(r)).sum::<f64>() / row.len() as f64) as f32;
        row.iter().map(move |r| 1.0 / (r / mean).sqrt())
    });
    let column_factors: Vec<f32> = column.iter().map(|c| 1.0 / c.sqrt()).collect();
    apply(p, g, step, &row_factors.collect::<Vec<_>>(), &column_factors, columns);
}

/// How a running average moves.
struct Average {
    beta2: f32,
    towards: f32,
}

impl Average {
    #[inline(always)]
    fn add(&self, average: &mut f32, value: f32) {
        *average = value.mul_add(self.towards, *average * self.beta2);
    }
}

#[inline(always)]
fn square(g: f32) -> f32 {
    g * g + SQUARE_EPSILON
}

/// Rows that one thread takes at a time, of so many columns.
fn rows_of_block(columns: usize) -> usize {
    (BLOCK / columns.max(1)).max(1)
}

fn average_rows_and_columns(g: &[f32], scale: f32, average: &Average, row: &mut [f32], column: &mut [f32]) {
    let (rows, columns) = (row.len(), column.len());
    let block = rows_of_block(columns);
    let sums = g.par_chunks(block * columns).zip(row.par_chunks_mut(block)).map(|(g, row)| {
        let mut of_columns = vec![0f64; columns];
        Arch::new().dispatch(|| {
            for (g, row) in g.chunks(columns).zip(row) {
                let mut of_row = 0f64;
                for (&g, of_column) in g.iter().zip(&mut of_columns) {
                    let square = f64::from(square(g * scale));
                    of_row += square;
                    *of_column += square;
                }
                average.add(row, (of_row / columns as f64) as f32);
            }
        });
        of_columns
    });
    // In the order of the blocks, whichever thread had them.
    let mut total = vec![0f64; columns];
    for block in sums.collect::<Vec<_>>() {
        total.iter_mut().zip(block).for_each(|(total, sum)| *total += sum);
    }
    column.iter_mut().zip(total).for_each(|(column, sum)| average.add(column, (sum / rows as f64) as f32));
}

/// p ← p (1 − ηλ) − η u / max(1, RMS(u)), where u is the gradient times the factor of its row, if there are any, and that of its
/// column.
fn apply(p: &mut [f32], g: &[f32], step: Step, row_factors: &[f32], column_factors: &[f32], columns: usize) {
    let block = rows_of_block(columns);
    let scale = step.grad_scale as f32;
    // Matrices of one tensor lie one after the other, and their columns' factors too.
    let matrices = column_factors.len() / columns.max(1);
    let rows = g.len().checked_div(columns * matrices.max(1)).unwrap_or(0);
    let factors = |at: usize| {
        let matrix = at.checked_div(rows).unwrap_or(0);
        (row_factors.get(at).copied().unwrap_or(1.0), &column_factors[matrix * columns..][..columns])
    };
    let squares: Vec<f64> = g
        .par_chunks(block * columns)
        .enumerate()
        .map(|(number, g)| {
            Arch::new().dispatch(|| {
                let mut sum = 0f64;
                for (at, g) in g.chunks(columns).enumerate() {
                    let (row, column) = factors(number * block + at);
                    for (&g, &column) in g.iter().zip(column) {
                        let update = f64::from(row * column * (g * scale));
                        sum += update * update;
                    }
                }
                sum
            })
        })
        .collect();
    let rms = (squares.iter().sum::<f64>() / g.len().max(1) as f64).sqrt() as f32;
    let (clip, rate) = (rms.max(1.0), step.learning_rate as f32);
    let minus_decay = (-step.weight_decay * step.learning_rate) as f32;
    p.par_chunks_mut(block * columns).zip(g.par_chunks(block * columns)).enumerate().for_each(
        |(number, (p, g))| {
            Arch::new().dispatch(|| {
                for (at, (p, g)) in p.chunks_mut(columns).zip(g.chunks(columns)).enumerate() {
                    let (row, column) = factors(number * block + at);
                    for ((p, &g), &column) in p.iter_mut().zip(g).zip(column) {
                        let update = row * column * (g * scale) / clip * rate;
                        *p = p.mul_add(minus_decay, *p) - update;
                    }
                }
            });
        },
    );
}

pub(super) fn composed(param: &Param, grad: &Tensor, buffers: &mut [Buffer], step: Step) -> Result<()> {
    let beta2 = 1.0 - (step.number as f64).powf(DECAY_RATE);
    let average = |state: &Tensor, value: &Tensor| (state * beta2)? + (value * (1.0 - beta2))?;
    let squares = (grad.sqr()? + f64::from(SQUARE_EPSILON))?;
    let update = if let [_] = buffers {
        let [v] = tensors(buffers);
        *v = average(v, &squares)?;
        (grad / v.sqrt()?)?
    } else {
        let [row, column] = tensors(buffers);
        *row = average(row, &squares.mean(D::Minus1)?)?;
        *column = average(column, &squares.mean(D::Minus2)?)?;
        let row = row.broadcast_div(&row.mean_keepdim(D::Minus1)?)?.sqrt()?.recip()?.unsqueeze(D::Minus1)?;
        let column = column.sqrt()?.recip()?.unsqueeze(D::Minus2)?;
        (row.broadcast_mul(&column)? * grad)?
    };
    let rms = f64::from(update.sqr()?.mean_all()?.to_scalar::<f32>()?).sqrt();
    let update = (update * (step.learning_rate / rms.max(1.0)))?;
    param.set(&((param.tensor().detach() * step.decay())? - update)?)?;
    Ok(())
}
