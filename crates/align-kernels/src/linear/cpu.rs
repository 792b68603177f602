//! Linear layer on slices: the products go straight to where their results stay.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::Linear;
use crate::cpu::{
    BLOCK_ROWS, FEW_ROWS, Matrix, MatrixMut, Start, Threads, add_assign, few_rows, matmul, product, slice,
    sum_blocks, tensor,
};
use crate::{GradBuffer, Param};

/// The layer's output, and the way back. All f32 on the CPU, of fitting shapes.
pub(super) fn linear(x: &Tensor, layer: &Linear) -> Result<(Tensor, Backward)> {
    let (x, weight) = (x.contiguous()?, layer.weight.tensor().detach().contiguous()?);
    let (rows, inputs) = x.dims2()?;
    let [mut y] = products(&slice(&x)?, rows, inputs, [&*slice(&weight)?]);
    if let Some(bias) = &layer.bias {
        add_bias(&mut y, bias)?;
    }
    let buffer = |param: &Param| param.grad_buffer().cloned();
    let (weight_buffer, bias_buffer) = (buffer(&layer.weight), layer.bias.as_ref().and_then(buffer));
    Ok((tensor(y, (rows, layer.outputs()))?, Backward { x, weight, weight_buffer, bias_buffer }))
}

/// The backward pass of one run of the op.
pub(super) struct Backward {
    x: Tensor,
    weight: Tensor,
    weight_buffer: Option<Arc<GradBuffer>>,
    bias_buffer: Option<Arc<GradBuffer>>,
}

impl Backward {
    /// Adds the gradients of those parameters that are tracked; the input's, if it is wanted.
    pub(super) fn gradients(&self, grad: &Tensor, wanted: bool) -> Result<[Option<Tensor>; 1]> {
        let ((rows, inputs), outputs) = (self.x.dims2()?, self.weight.dim(0)?);
        let grad = grad.contiguous()?;
        let grad = slice(&grad)?;
        if let Some(buffer) = &self.bias_buffer {
            add_bias_gradient(buffer, &grad, outputs)?;
        }
        let grad = Matrix::new(&grad, rows, outputs);
        add_weight_gradient(
            self.weight_buffer.as_deref(),
            grad,
            Matrix::new(&slice(&self.x)?, rows, inputs),
        )?;
        if !wanted {
            return Ok([None]);
        }
        let dx = product(grad, Matrix::new(&slice(&self.weight)?, outputs, inputs), Threads::All);
        Ok([Some(tensor(dx, (rows, inputs))?)])
    }
}

/// The outputs of several layers. All f32 on the CPU, of fitting shapes.
pub(super) fn untracked<const N: usize>(x: &Tensor, layers: [&Linear; N]) -> Result<Vec<Tensor>> {
    let (rows, inputs) = x.dims2()?;
    let x = x.contiguous()?;
    let weights = layers.iter().map(|layer| layer.weight.tensor().detach().contiguous());
    let weights = weights.collect::<Result<Vec<_>>>()?;
    let slices = weights.iter().map(slice).collect::<Result<Vec<_>>>()?;
    let products = products(&slice(&x)?, rows, inputs, std::array::from_fn::<_, N, _>(|i| &*slices[i]));
    let finish = |(mut y, layer): (Vec<f32>, &Linear)| {
        if let Some(bias) = &layer.bias {
            add_bias(&mut y, bias)?;
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

/// Σ_rows g.
fn add_bias_gradient(buffer: &Arc<GradBuffer>, grad: &[f32], outputs: usize) -> Result<()> {
    let rows = grad.len() / outputs.max(1);
    let db = sum_blocks(rows, outputs, |block, sum| {
        let rows = block * BLOCK_ROWS..rows.min((block + 1) * BLOCK_ROWS);
        grad[rows.start * outputs..rows.end * outputs]
            .chunks_exact(outputs)
            .for_each(|row| add_assign(sum, row));
    });
    buffer.accumulate_in_place(&outputs.into(), || db.clone(), |sum| add_assign(sum, &db))
}
