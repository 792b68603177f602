//! What every public function checks at its border, so that a wrong shape, type or number is one
//! sentence with the expected and the found, and nothing behind the border can fail on its input.

use candle_core::{DType, Result, Tensor, bail};

/// The tensor in the precision losses are computed in: f16 and bf16 become f32, f32 and f64 stay.
/// The conversion is differentiable; the gradient comes back in the tensor's own type.
pub(crate) fn at_least_f32(name: &str, tensor: &Tensor) -> Result<Tensor> {
    match tensor.dtype() {
        DType::F32 | DType::F64 => Ok(tensor.clone()),
        DType::F16 | DType::BF16 => tensor.to_dtype(DType::F32),
        other => bail!("expected {name} of a floating type (f64, f32, f16, bf16), got {other:?}"),
    }
}

/// A constant beside `anchor`: detached, in its type.
pub(crate) fn constant_like(name: &str, tensor: &Tensor, anchor: &Tensor) -> Result<Tensor> {
    at_least_f32(name, &tensor.detach())?.to_dtype(anchor.dtype())
}

pub(crate) fn same_shape(name: &str, tensor: &Tensor, like: &str, anchor: &Tensor) -> Result<()> {
    if tensor.dims() != anchor.dims() {
        bail!("expected {name} in the shape of {like} {:?}, got {:?}", anchor.dims(), tensor.dims());
    }
    Ok(())
}

/// The mask as a condition: every non-zero entry counts.
pub(crate) fn condition(mask: &Tensor) -> Result<Tensor> {
    mask.ne(0f64)
}

pub(crate) fn positive(name: &str, value: f64) -> Result<f64> {
    if !(value.is_finite() && value > 0.0) {
        bail!("expected {name} to be a positive number, got {value}");
    }
    Ok(value)
}

pub(crate) fn not_negative(name: &str, value: f64) -> Result<f64> {
    if !(value.is_finite() && value >= 0.0) {
        bail!("expected {name} to be 0 or a positive number, got {value}");
    }
    Ok(value)
}

pub(crate) fn finite(name: &str, value: f64) -> Result<f64> {
    if !value.is_finite() {
        bail!("expected {name} to be a finite number, got {value}");
    }
    Ok(value)
}

pub(crate) fn between_0_and_1(name: &str, value: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&value) {
        bail!("expected {name} in [0, 1], got {value}");
    }
    Ok(value)
}
