//! A layer's weight as products take it.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::Blocks;
use crate::blocks;
use crate::cpu::{FEW_ROWS, Matrix, MatrixMut, Start, Threads, few_rows, matmul, product, slice};
use crate::linear::Weight;

/// A weight as products take it.
pub(super) enum Held {
    Dense(Tensor),
    Blocks(Arc<dyn Blocks>),
}

impl Held {
    pub(super) fn of(weight: &Weight) -> Result<Self> {
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
    fn outputs(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        match self {
            Self::Blocks(weight) => Ok(blocks::outputs(x, rows, &**weight)),
            Self::Dense(weight) => {
                let [y] = products(x, rows, weight.dim(1)?, [&*slice(weight)?]);
                Ok(y)
            }
        }
    }

    /// `g W`.
    pub(super) fn input_gradient(&self, grad: &[f32], rows: usize, outputs: usize) -> Result<Vec<f32>> {
        match self {
            Self::Blocks(weight) => Ok(blocks::input_gradient(grad, rows, &**weight)),
            Self::Dense(weight) => {
                let (grad, w) = (Matrix::new(grad, rows, outputs), slice(weight)?);
                Ok(product(grad, Matrix::new(&w, outputs, weight.dim(1)?), Threads::All))
            }
        }
    }

    /// Adds `g W` to `dx`.
    pub(super) fn add_input_gradient(
        &self,
        dx: &mut [f32],
        grad: &[f32],
        rows: usize,
        outputs: usize,
    ) -> Result<()> {
        match self {
            Self::Blocks(weight) => blocks::add_input_gradient(dx, grad, rows, &**weight),
            Self::Dense(weight) => {
                let (inputs, w) = (weight.dim(1)?, slice(weight)?);
                let (grad, w) = (Matrix::new(grad, rows, outputs), Matrix::new(&w, outputs, inputs));
                matmul(Start::Out, grad, w, MatrixMut::new(dx, rows, inputs), Threads::All);
            }
        }
        Ok(())
    }
}

/// `x Wᵀ` for each of `weights`; of few rows, one parallel pass over all that are dense.
pub(super) fn outputs_of<const N: usize>(weights: &[Held], x: &[f32], rows: usize) -> Result<[Vec<f32>; N]> {
    let dense: Vec<&Tensor> = weights.iter().filter_map(Held::dense).collect();
    if dense.len() == N && N > 1 {
        let inputs = dense[0].dim(1)?;
        let slices = dense.into_iter().map(slice).collect::<Result<Vec<_>>>()?;
        return Ok(products(x, rows, inputs, std::array::from_fn(|i| &*slices[i])));
    }
    let values = weights.iter().map(|weight| weight.outputs(x, rows)).collect::<Result<Vec<_>>>()?;
    Ok(values.try_into().expect("one output per weight"))
}

/// `x wᵀ` for each of `weights`.
pub(super) fn products<const N: usize>(
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
