//! Linear layer on slices: the products go straight to where their results stay.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::accumulate::Recorded;
use crate::cpu::{
    BLOCK_ROWS, FEW_ROWS, Floats, Matrix, MatrixMut, Start, Threads, add_assign, few_rows, matmul, product,
    slice, sum_blocks, tensor,
};
use crate::{GradBuffer, Param};

/// See [`linear`](crate::linear). All f32 on the CPU.
pub(super) fn linear(x: &Tensor, weight: &Param, bias: Option<&Param>) -> Result<Tensor> {
    let ((rows, inputs), outputs) = (x.dims2()?, weight.tensor().dim(0)?);
    let (y, layer) = Backward::of(x, weight, bias)?;
    let x_is_tracked = x.track_op();
    if !x_is_tracked && !weight.is_tracked() && !bias.is_some_and(Param::is_tracked) {
        return tensor(y, (rows, outputs));
    }
    let backward = move |grad: &Tensor| {
        let grad = grad.contiguous()?;
        let grad = slice(&grad)?;
        layer.add_parameter_gradients(&grad)?;
        let dx = x_is_tracked.then(|| tensor(layer.input_gradient(&grad)?, (rows, inputs)));
        Ok([dx.transpose()?, None, None])
    };
    // Without a bias the weight stands in its place: no gradient is asked of either.
    let bias = bias.unwrap_or(weight).tensor();
    let value = Floats::new(y, (rows, outputs));
    x.apply_op3(weight.tensor(), bias, Recorded { name: "linear", value, backward })
}

/// The backward pass of one run of the op.
pub(crate) struct Backward {
    x: Tensor,
    weight: Tensor,
    weight_buffer: Option<Arc<GradBuffer>>,
    bias_buffer: Option<Arc<GradBuffer>>,
}

impl Backward {
    /// The layer's output, and the way back. The shapes are taken to fit.
    pub(crate) fn of(x: &Tensor, weight: &Param, bias: Option<&Param>) -> Result<(Vec<f32>, Self)> {
        let (rows, inputs) = x.dims2()?;
        let buffer = |param: &Param| param.grad_buffer().cloned();
        let (weight_buffer, bias_buffer) = (buffer(weight), bias.and_then(buffer));
        let (x, weight) = (x.detach().contiguous()?, weight.tensor().detach().contiguous()?);
        let [mut y] = products(&slice(&x)?, rows, inputs, [&*slice(&weight)?]);
        if let Some(bias) = bias {
            add_bias(&mut y, bias)?;
        }
        Ok((y, Self { x, weight, weight_buffer, bias_buffer }))
    }

    /// Adds the gradients of those parameters that are tracked.
    pub(crate) fn add_parameter_gradients(&self, grad: &[f32]) -> Result<()> {
        let ((rows, inputs), outputs) = (self.x.dims2()?, self.weight.dim(0)?);
        if let Some(buffer) = &self.bias_buffer {
            add_bias_gradient(buffer, grad, outputs)?;
        }
        let x = slice(&self.x)?;
        add_weight_gradient(
            self.weight_buffer.as_deref(),
            Matrix::new(grad, rows, outputs),
            Matrix::new(&x, rows, inputs),
        )
    }

    /// The gradient of the input.
    pub(crate) fn input_gradient(&self, grad: &[f32]) -> Result<Vec<f32>> {
        let (outputs, inputs) = self.weight.dims2()?;
        let (grad, w) = (Matrix::new(grad, self.x.dim(0)?, outputs), slice(&self.weight)?);
        Ok(product(grad, Matrix::new(&w, outputs, inputs), Threads::All))
    }
}

/// See [`linears`](crate::linears). All f32 on the CPU, none tracked.
pub(super) fn untracked<const N: usize>(
    x: &Tensor,
    layers: [(&Param, Option<&Param>); N],
) -> Result<Vec<Tensor>> {
    let (rows, inputs) = x.dims2()?;
    let (x, weights) = (x.contiguous()?, layers.map(|(weight, _)| weight.tensor().contiguous()));
    let weights = weights.into_iter().collect::<Result<Vec<_>>>()?;
    let slices = weights.iter().map(slice).collect::<Result<Vec<_>>>()?;
    let products = products(&slice(&x)?, rows, inputs, std::array::from_fn::<_, N, _>(|i| &*slices[i]));
    let finish = |(mut y, (weight, bias)): (Vec<f32>, (&Param, Option<&Param>))| {
        if let Some(bias) = bias {
            add_bias(&mut y, bias)?;
        }
        tensor(y, (rows, weight.tensor().dim(0)?))
    };
    products.into_iter().zip(layers).map(finish).collect()
}

/// `x wᵀ` for each of `weights`.
pub(crate) fn products<const N: usize>(
    x: &[f32],
    rows: usize,
    inputs: usize,
    weights: [&[f32]; N],
) -> [Vec<f32>; N] {
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
pub(crate) fn add_weight_gradient(
    buffer: Option<&GradBuffer>,
    grad: Matrix<'_>,
    x: Matrix<'_>,
) -> Result<()> {
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
