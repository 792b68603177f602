//! Linear layers on slices: the products go straight to where their results stay.

mod input;
mod low_rank;
mod weight;

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::Linear;
use crate::cpu::{
    BLOCK_ROWS, Matrix, MatrixMut, Precision, Start, Threads, add_assign, slice, sum_blocks, tensor,
};
use crate::{GradBuffer, Param, Value};
use input::Input;
use low_rank::LowRanks;
use weight::{Held, outputs_of};

/// The outputs of layers that take the same input, and the way back. All f32 on the CPU, of fitting shapes; their adapters,
/// if any, [are plain](super::Adapter::is_plain).
pub(super) fn linears<const N: usize>(
    input: &Value,
    layers: [&Linear; N],
) -> Result<([Tensor; N], Backward)> {
    let x = input.tensor().contiguous()?;
    let shape @ (rows, _) = x.dims2()?;
    let weights = layers.iter().map(|layer| Held::of(&layer.weight)).collect::<Result<Vec<_>>>()?;
    let mut values = outputs_of::<N>(&weights, &slice(&x)?, rows)?;
    for (y, layer) in values.iter_mut().zip(layers) {
        if let Some(bias) = &layer.bias {
            add_bias(y, bias)?;
        }
    }
    let adapters = layers.map(|layer| layer.adapter.as_deref());
    let low_ranks = LowRanks::of(&slice(&x)?, rows, &adapters)?;
    if let Some(low_ranks) = &low_ranks {
        for (index, y) in values.iter_mut().enumerate() {
            low_ranks.add_output(index, y)?;
        }
    }
    let buffer = |param: &Param| param.grad_buffer().cloned();
    let layers = weights.into_iter().zip(layers).map(|(weight, layer)| Layer {
        weight,
        outputs: layer.outputs(),
        weight_buffer: layer.weight.param().and_then(buffer),
        bias_buffer: layer.bias.as_ref().and_then(buffer),
    });
    let layers: Vec<_> = layers.collect();
    let tensors = values.into_iter().zip(&layers).map(|(y, layer)| tensor(y, (rows, layer.outputs)));
    let tensors = tensors.collect::<Result<Vec<_>>>()?.try_into().expect("one output per layer");
    let input = kept(input, &layers, low_ranks.is_some())?;
    Ok((tensors, Backward { input, shape, layers, low_ranks }))
}

/// The input as the gradients of these layers' parameters need it: those of low ranks are products in f32.
fn kept(input: &Value, layers: &[Layer], low_ranks: bool) -> Result<Input> {
    let trained = || layers.iter().filter(|layer| layer.weight_buffer.is_some());
    let precisions = trained().map(|layer| layer.weight.precision);
    match trained().next() {
        _ if low_ranks => Input::whole(input),
        None => Ok(Input::Nothing),
        Some(first) if precisions.eq(trained().map(|_| first.weight.precision)) => {
            Input::of(input, first.weight.precision)
        }
        Some(_) => Input::whole(input),
    }
}

/// The backward pass of one run of the op.
pub(super) struct Backward {
    input: Input,
    /// Rows and columns of the input.
    shape: (usize, usize),
    layers: Vec<Layer>,
    low_ranks: Option<LowRanks>,
}

/// What a layer needs on its way back.
struct Layer {
    weight: Held,
    outputs: usize,
    weight_buffer: Option<Arc<GradBuffer>>,
    bias_buffer: Option<Arc<GradBuffer>>,
}

impl Backward {
    /// From the gradients of the outputs: adds those of the parameters that are tracked; the input's, if it is wanted.
    pub(super) fn gradients(&self, grads: &[Option<&Tensor>], wanted: bool) -> Result<Option<Tensor>> {
        let (rows, inputs) = self.shape;
        let contiguous = |grad: &Option<&Tensor>| grad.map(Tensor::contiguous).transpose();
        let grads = grads.iter().map(contiguous).collect::<Result<Vec<_>>>()?;
        let slices = grads.iter().map(|grad| grad.as_ref().map(slice).transpose());
        let slices = slices.collect::<Result<Vec<_>>>()?;
        let grads: Vec<Option<&[f32]>> = slices.iter().map(Option::as_deref).collect();
        let of_adapters = self.of_parameters(&grads, wanted)?;
        if !wanted {
            return Ok(None);
        }
        let mut dx = None;
        for (layer, grad) in self.layers.iter().zip(&grads).rev() {
            let Some(grad) = grad else { continue };
            match &mut dx {
                None => dx = Some(layer.weight.input_gradient(grad, rows, layer.outputs)?),
                Some(dx) => layer.weight.add_input_gradient(dx, grad, rows, layer.outputs)?,
            }
        }
        if let (Some(dx), Some(low_ranks), Some(inner)) = (&mut dx, &self.low_ranks, of_adapters) {
            low_ranks.add_input_gradient(dx, &inner, rows);
        }
        dx.map(|dx| tensor(dx, (rows, inputs))).transpose()
    }

    /// Adds the gradients of the parameters; that of `x Aᵀ` of all low ranks, if there are any.
    fn of_parameters(&self, grads: &[Option<&[f32]>], wanted: bool) -> Result<Option<Vec<f32>>> {
        let (rows, inputs) = self.shape;
        let x = self.input.numbers()?;
        let x = x.as_ref().map(slice).transpose()?;
        let x = x.as_deref().map(|x| Matrix::new(x, rows, inputs));
        for (layer, grad) in self.layers.iter().zip(grads) {
            let Some(grad) = grad else { continue };
            if let Some(buffer) = &layer.bias_buffer {
                add_bias_gradient(buffer, grad, layer.outputs, 1.0)?;
            }
            if let Some(x) = x {
                let grad = Matrix::new(grad, rows, layer.outputs);
                add_weight_gradient(layer.weight.precision, layer.weight_buffer.as_deref(), grad, x)?;
            }
        }
        let low_ranks = self.low_ranks.as_ref().zip(x);
        low_ranks.map(|(low_ranks, x)| low_ranks.gradients(grads, x, wanted)).transpose()
    }
}

fn add_bias(y: &mut [f32], bias: &Param) -> Result<()> {
    let bias = bias.tensor().detach().contiguous()?;
    let bias = slice(&bias)?;
    y.par_chunks_mut(bias.len().max(1)).with_min_len(BLOCK_ROWS).for_each(|y| add_assign(y, &bias));
    Ok(())
}

/// `gᵀ x`, added where the gradient stays; nothing for a frozen weight, which has no such place.
fn add_weight_gradient(
    precision: Precision,
    buffer: Option<&GradBuffer>,
    grad: Matrix<'_>,
    x: Matrix<'_>,
) -> Result<()> {
    let Some(buffer) = buffer else { return Ok(()) };
    let (outputs, inputs) = (grad.columns(), x.columns());
    buffer.accumulate_in_place(
        &(outputs, inputs).into(),
        || precision.product(grad.t(), x, Threads::All),
        |sum| {
            let sum = MatrixMut::new(sum, outputs, inputs);
            precision.matmul(Start::Out, grad.t(), x, sum, Threads::All);
        },
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
