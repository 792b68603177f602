//! A layer's weight as products take it.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::Blocks;
use crate::blocks;
use crate::cpu::{FEW_ROWS, Matrix, MatrixMut, Precision, Start, Threads, WeightPanels, few_rows, slice};
use crate::linear::{Numbers, Weight};

/// A weight as products take it.
pub(super) struct Held {
    pub(super) precision: Precision,
    numbers: HeldNumbers,
}

enum HeldNumbers {
    Dense(Tensor),
    Blocks(Arc<dyn Blocks>),
}

impl Held {
    pub(super) fn of(weight: &Weight) -> Result<Self> {
        let numbers = match weight.numbers() {
            Numbers::Dense(param) => HeldNumbers::Dense(param.tensor().detach().contiguous()?),
            Numbers::Blocks(blocks) => HeldNumbers::Blocks(Arc::clone(blocks)),
        };
        Ok(Self { precision: weight.precision(), numbers })
    }

    fn dense(&self) -> Option<&Tensor> {
        match &self.numbers {
            HeldNumbers::Dense(weight) => Some(weight),
            HeldNumbers::Blocks(_) => None,
        }
    }

    fn panels(&self) -> Option<&WeightPanels> {
        match &self.numbers {
            HeldNumbers::Dense(_) => None,
            HeldNumbers::Blocks(weight) => blocks::panels(self.precision, &**weight),
        }
    }

    /// `x Wᵀ`.
    fn outputs(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        match &self.numbers {
            HeldNumbers::Blocks(weight) => Ok(blocks::outputs(self.precision, x, rows, &**weight)),
            HeldNumbers::Dense(weight) => {
                let [y] = products(self.precision, x, rows, weight.dim(1)?, [&*slice(weight)?]);
                Ok(y)
            }
        }
    }

    /// `g W`.
    pub(super) fn input_gradient(&self, grad: &[f32], rows: usize, outputs: usize) -> Result<Vec<f32>> {
        match &self.numbers {
            HeldNumbers::Blocks(weight) => Ok(blocks::input_gradient(self.precision, grad, rows, &**weight)),
            HeldNumbers::Dense(weight) => {
                let (grad, w) = (Matrix::new(grad, rows, outputs), slice(weight)?);
                Ok(self.precision.product(grad, Matrix::new(&w, outputs, weight.dim(1)?), Threads::All))
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
        match &self.numbers {
            HeldNumbers::Blocks(weight) => {
                blocks::add_input_gradient(self.precision, dx, grad, rows, &**weight);
            }
            HeldNumbers::Dense(weight) => {
                let (inputs, w) = (weight.dim(1)?, slice(weight)?);
                let (grad, w) = (Matrix::new(grad, rows, outputs), Matrix::new(&w, outputs, inputs));
                let dx = MatrixMut::new(dx, rows, inputs);
                self.precision.matmul(Start::Out, grad, w, dx, Threads::All);
            }
        }
        Ok(())
    }
}

/// `x Wᵀ` for each of `weights`; of few rows, one parallel pass over all that are dense.
pub(super) fn outputs_of<const N: usize>(weights: &[Held], x: &[f32], rows: usize) -> Result<[Vec<f32>; N]> {
    let dense: Vec<&Tensor> = weights.iter().filter_map(Held::dense).collect();
    let precision = weights.first().map_or_else(Precision::default, |weight| weight.precision);
    if dense.len() == N && N > 1 && weights.iter().all(|weight| weight.precision == precision) {
        let inputs = dense[0].dim(1)?;
        let slices = dense.into_iter().map(slice).collect::<Result<Vec<_>>>()?;
        return Ok(products(precision, x, rows, inputs, std::array::from_fn(|i| &*slices[i])));
    }
    let panels: Vec<&WeightPanels> = weights.iter().filter_map(Held::panels).collect();
    if let Ok(panels) = <[_; N]>::try_from(panels) {
        return Ok(WeightPanels::products(panels, x, rows));
    }
    let values = weights.iter().map(|weight| weight.outputs(x, rows)).collect::<Result<Vec<_>>>()?;
    Ok(values.try_into().expect("one output per weight"))
}

/// `x wᵀ` for each of `weights`.
pub(super) fn products<const N: usize>(
    precision: Precision,
    x: &[f32],
    rows: usize,
    inputs: usize,
    weights: [&[f32]; N],
) -> [Vec<f32>; N] {
    if (1..=FEW_ROWS).contains(&rows) && inputs > 0 {
        return few_rows(precision, x, inputs, weights);
    }
    weights.map(|w| {
        let outputs = w.len().checked_div(inputs).unwrap_or(0);
        let (x, w) = (Matrix::new(x, rows, inputs), Matrix::new(w, outputs, inputs));
        precision.product(x, w.t(), Threads::All)
    })
}
