//! Linear layer on slices: the products go straight to where their results stay.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::{Adapter, Linear, Weight};
use crate::blocks::{input_gradient, outputs};
use crate::cpu::{
    BLOCK_ROWS, FEW_ROWS, Matrix, MatrixMut, Start, Threads, add_assign, few_rows, matmul, product, slice,
    sum_blocks, tensor,
};
use crate::{Blocks, GradBuffer, Param};

/// The layer's output, and the way back. All f32 on the CPU, of fitting shapes.
pub(super) fn linear(x: &Tensor, layer: &Linear) -> Result<(Tensor, Backward)> {
    let (x, weight) = (x.contiguous()?, Held::of(&layer.weight)?);
    let rows = x.dim(0)?;
    let mut y = weight.outputs_of(&slice(&x)?, rows)?;
    if let Some(bias) = &layer.bias {
        add_bias(&mut y, bias)?;
    }
    let low_rank = layer.adapter.as_deref().map(|adapter| add_low_rank(&mut y, &slice(&x)?, rows, adapter));
    let low_rank = low_rank.transpose()?;
    let buffer = |param: &Param| param.grad_buffer().cloned();
    let weight_buffer = layer.weight.param().and_then(buffer);
    let bias_buffer = layer.bias.as_ref().and_then(buffer);
    let y = tensor(y, (rows, layer.outputs()))?;
    Ok((y, Backward { x, weight, weight_buffer, bias_buffer, low_rank }))
}

/// The backward pass of one run of the op.
pub(super) struct Backward {
    x: Tensor,
    weight: Held,
    weight_buffer: Option<Arc<GradBuffer>>,
    bias_buffer: Option<Arc<GradBuffer>>,
    low_rank: Option<LowRank>,
}

impl Backward {
    /// Adds the gradients of those parameters that are tracked; the input's, if it is wanted.
    pub(super) fn gradients(&self, grad: &Tensor, wanted: bool) -> Result<[Option<Tensor>; 1]> {
        let ((rows, inputs), outputs) = (self.x.dims2()?, grad.dim(1)?);
        let grad = grad.contiguous()?;
        let grad = slice(&grad)?;
        if let Some(buffer) = &self.bias_buffer {
            add_bias_gradient(buffer, &grad, outputs, 1.0)?;
        }
        let x = slice(&self.x)?;
        let x = Matrix::new(&x, rows, inputs);
        let of_adapter = self.low_rank.as_ref().map(|it| it.gradients(&grad, x, wanted)).transpose()?;
        add_weight_gradient(self.weight_buffer.as_deref(), Matrix::new(&grad, rows, outputs), x)?;
        if !wanted {
            return Ok([None]);
        }
        let mut dx = self.weight.input_gradient(&grad, rows, outputs)?;
        if let (Some(low_rank), Some(inner)) = (&self.low_rank, of_adapter) {
            low_rank.add_input_gradient(&mut dx, &inner, rows)?;
        }
        Ok([Some(tensor(dx, (rows, inputs))?)])
    }
}

/// A weight as products take it.
enum Held {
    Dense(Tensor),
    Blocks(Arc<dyn Blocks>),
}

impl Held {
    fn of(weight: &Weight) -> Result<Self> {
        Ok(match weight {
            Weight::Dense(param) => Self::Dense(param.tensor().detach().contiguous()?),
            Weight::Blocks(blocks) => Self::Blocks(Arc::clone(blocks)),
        })
    }

    fn dense(&self) -> Option<&Tensor> {
        match self {
            Self::Dense(weight) => Some(weight),
            Self::Blocks(_) => None,
        }
    }

    /// `x Wᵀ`.
    fn outputs_of(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        match self {
            Self::Blocks(blocks) => Ok(outputs(x, rows, &**blocks)),
            Self::Dense(weight) => {
                let [y] = products(x, rows, weight.dim(1)?, [&*slice(weight)?]);
                Ok(y)
            }
        }
    }

    /// `g W`.
    fn input_gradient(&self, grad: &[f32], rows: usize, outputs: usize) -> Result<Vec<f32>> {
        match self {
            Self::Blocks(blocks) => Ok(input_gradient(grad, rows, &**blocks)),
            Self::Dense(weight) => {
                let (grad, w) = (Matrix::new(grad, rows, outputs), slice(weight)?);
                Ok(product(grad, Matrix::new(&w, outputs, weight.dim(1)?), Threads::All))
            }
        }
    }
}

/// The outputs of several layers. All f32 on the CPU, of fitting shapes.
pub(super) fn untracked<const N: usize>(x: &Tensor, layers: [&Linear; N]) -> Result<Vec<Tensor>> {
    let (rows, inputs) = x.dims2()?;
    let x = x.contiguous()?;
    let weights = layers.iter().map(|layer| Held::of(&layer.weight)).collect::<Result<Vec<_>>>()?;
    let dense: Vec<&Tensor> = weights.iter().filter_map(Held::dense).collect();
    let products = if dense.len() == N {
        let slices = dense.into_iter().map(slice).collect::<Result<Vec<_>>>()?;
        Vec::from(products(&slice(&x)?, rows, inputs, std::array::from_fn::<_, N, _>(|i| &*slices[i])))
    } else {
        let x = slice(&x)?;
        weights.iter().map(|weight| weight.outputs_of(&x, rows)).collect::<Result<Vec<_>>>()?
    };
    let finish = |(mut y, layer): (Vec<f32>, &Linear)| {
        if let Some(bias) = &layer.bias {
            add_bias(&mut y, bias)?;
        }
        if let Some(adapter) = layer.adapter.as_deref() {
            add_low_rank(&mut y, &slice(&x)?, rows, adapter)?;
        }
        tensor(y, (rows, layer.outputs()))
    };
    products.into_iter().zip(layers).map(finish).collect()
}

/// `x wᵀ` for each of `weights`.
fn products<const N: usize>(x: &[f32], rows: usize, inputs: usize, weights: [&[f32]; N]) -> [Vec<f32>; N] {
    if (1..=FEW_ROWS).contains(&rows) && inputs > 0 {
        return few_rows(x, inputs, weights);
    }
    weights.map(|w| {
        let outputs = w.len().checked_div(inputs).unwrap_or(0);
        product(Matrix::new(x, rows, inputs), Matrix::new(w, outputs, inputs).t(), Threads::All)
    })
}

fn add_bias(y: &mut [f32], bias: &Param) -> Result<()> {
    let bias = bias.tensor().detach().contiguous()?;
    let bias = slice(&bias)?;
    y.par_chunks_mut(bias.len().max(1)).with_min_len(BLOCK_ROWS).for_each(|y| add_assign(y, &bias));
    Ok(())
}

/// `gᵀ x`, added where the gradient stays; nothing for a frozen weight, which has no such place.
fn add_weight_gradient(buffer: Option<&GradBuffer>, grad: Matrix<'_>, x: Matrix<'_>) -> Result<()> {
    let Some(buffer) = buffer else { return Ok(()) };
    let (outputs, inputs) = (grad.columns(), x.columns());
    buffer.accumulate_in_place(
        &(outputs, inputs).into(),
        || product(grad.t(), x, Threads::All),
        |sum| matmul(Start::Out, grad.t(), x, MatrixMut::new(sum, outputs, inputs), Threads::All),
    )
}

/// `scale` Σ_rows g.
fn add_bias_gradient(buffer: &GradBuffer, grad: &[f32], outputs: usize, scale: f32) -> Result<()> {
    let rows = grad.len() / outputs.max(1);
    let mut db = sum_blocks(rows, outputs, |block, sum| {
        let rows = block * BLOCK_ROWS..rows.min((block + 1) * BLOCK_ROWS);
        grad[rows.start * outputs..rows.end * outputs]
            .chunks_exact(outputs)
            .for_each(|row| add_assign(sum, row));
    });
    if scale != 1.0 {
        db.iter_mut().for_each(|sum| *sum *= scale);
    }
    buffer.accumulate_in_place(&outputs.into(), || db.clone(), |sum| add_assign(sum, &db))
}

/// What an adapter keeps for its way back: `inner = s x Aᵀ`.
struct LowRank {
    adapter: Adapter,
    inner: Vec<f32>,
}

/// Adds `s (x Aᵀ) Bᵀ` and the scaled bias to `y`.
fn add_low_rank(y: &mut [f32], x: &[f32], rows: usize, adapter: &Adapter) -> Result<LowRank> {
    let (a, b) = (adapter.a.tensor().detach().contiguous()?, adapter.b.tensor().detach().contiguous()?);
    let ((rank, inputs), outputs) = (a.dims2()?, b.dim(0)?);
    let scale = adapter.scale as f32;
    let [mut inner] = products(x, rows, inputs, [&*slice(&a)?]);
    inner.iter_mut().for_each(|value| *value *= scale);
    let (left, right) = (Matrix::new(&inner, rows, rank), slice(&b)?);
    let right = Matrix::new(&right, outputs, rank).t();
    matmul(Start::Out, left, right, MatrixMut::new(y, rows, outputs), Threads::All);
    if let Some(bias) = &adapter.bias {
        let bias = (bias.tensor().detach() * adapter.scale)?;
        add_bias(y, &Param::frozen(&bias))?;
    }
    Ok(LowRank { adapter: adapter.clone(), inner })
}

impl LowRank {
    /// Adds the gradients of A and B; that of `x Aᵀ`, where it is needed.
    fn gradients(&self, grad: &[f32], x: Matrix<'_>, wanted: bool) -> Result<Vec<f32>> {
        let Adapter { a, b, bias, scale, .. } = &self.adapter;
        let (outputs, rank) = b.tensor().dims2()?;
        if let Some(buffer) = bias.as_ref().and_then(|bias| bias.grad_buffer()) {
            add_bias_gradient(buffer, grad, outputs, *scale as f32)?;
        }
        let grad = Matrix::new(grad, x.rows(), outputs);
        let inner = Matrix::new(&self.inner, x.rows(), rank);
        add_weight_gradient(b.grad_buffer().map(|buffer| &**buffer), grad, inner)?;
        if !wanted && !a.is_tracked() {
            return Ok(Vec::new());
        }
        let b = b.tensor().detach().contiguous()?;
        let mut inner = product(grad, Matrix::new(&slice(&b)?, outputs, rank), Threads::All);
        inner.iter_mut().for_each(|value| *value *= *scale as f32);
        add_weight_gradient(a.grad_buffer().map(|buffer| &**buffer), Matrix::new(&inner, x.rows(), rank), x)?;
        Ok(inner)
    }

    /// Adds the input's gradient to `dx`.
    fn add_input_gradient(&self, dx: &mut [f32], inner: &[f32], rows: usize) -> Result<()> {
        let a = self.adapter.a.tensor().detach().contiguous()?;
        let (rank, inputs) = a.dims2()?;
        let a = slice(&a)?;
        let (inner, a) = (Matrix::new(inner, rows, rank), Matrix::new(&a, rank, inputs));
        matmul(Start::Out, inner, a, MatrixMut::new(dx, rows, inputs), Threads::All);
        Ok(())
    }
}
