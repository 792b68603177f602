//! How gradients add up on a tape.

use candle_core::{DType, Result, Shape, Tensor, bail};

use super::Value;
use crate::cpu::{add_all, is_f32_on_cpu, slice, update};

/// A gradient, and whether somebody else holds its storage too, so that nobody may write to it.
pub(super) struct Gradient {
    tensor: Tensor,
    shared: bool,
}

impl Gradient {
    pub(super) fn own(tensor: Tensor) -> Self {
        Self { tensor, shared: false }
    }

    pub(super) fn shared(tensor: Tensor) -> Self {
        Self { tensor, shared: true }
    }

    /// A value as a term of a sum.
    pub(super) fn of(value: &Value) -> Self {
        Self { tensor: value.tensor.clone(), shared: value.shared.get() }
    }

    pub(super) fn share(&self) -> Self {
        Self::shared(self.tensor.clone())
    }

    pub(super) fn reshape(self, shape: &Shape) -> Result<Self> {
        Ok(Self { tensor: self.tensor.reshape(shape)?, shared: self.shared })
    }

    pub(super) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    pub(super) fn into_tensor(self) -> Tensor {
        self.tensor
    }
}

/// Adds a gradient to those that have arrived.
pub(super) fn add(sum: &mut Option<Gradient>, grad: Gradient) -> Result<()> {
    *sum = Some(match sum.take() {
        None => grad,
        Some(before) => Gradient::own(sum_of(before, grad)?),
    });
    Ok(())
}

/// The sum, in the storage of one of the two where nobody else holds it.
pub(super) fn sum_of(a: Gradient, b: Gradient) -> Result<Tensor> {
    if a.tensor.shape() != b.tensor.shape() {
        bail!("expected two tensors of one shape, got {:?} and {:?}", a.tensor.shape(), b.tensor.shape());
    }
    match (a.shared, b.shared) {
        (false, _) => add_in_place(a.tensor, &b.tensor),
        (true, false) => add_in_place(b.tensor, &a.tensor),
        (true, true) => a.tensor + b.tensor,
    }
}

/// At least f32: what half precision is summed in.
pub(crate) fn wide(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::BF16 | DType::F16 => x.to_dtype(DType::F32),
        _ => Ok(x.clone()),
    }
}

/// `[rows, columns]` → `[columns]`: a product with ones, because candle's sum over rows is many times slower.
pub(crate) fn sum_of_rows(x: &Tensor) -> Result<Tensor> {
    Tensor::ones((1, x.dim(0)?), x.dtype(), x.device())?.matmul(x)?.squeeze(0)
}

/// `total + grad`, in `total`'s storage where the device has an in-place form.
pub(crate) fn add_in_place(total: Tensor, grad: &Tensor) -> Result<Tensor> {
    if total.shape() != grad.shape() {
        bail!("gradient {:?} does not fit the buffer {:?}", grad.shape(), total.shape());
    }
    if !is_f32_on_cpu(&[&total, grad]) || !total.is_contiguous() {
        return &total + grad;
    }
    let grad = grad.contiguous()?;
    let grad = slice(&grad)?;
    update(&total, |total| add_all(total, &grad))?;
    Ok(total)
}
