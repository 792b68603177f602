//! Root-mean-square layer normalisation (Zhang & Sennrich 2019, arXiv:1910.07467).

use candle_core::{D, Result, Tensor, bail};

use crate::Param;
use crate::accumulate::Recorded;

/// `y = w ⊙ x / √(mean(x²) + ε)` over the last dimension: `x` `[rows, hidden]`, `weight` `[hidden]`.
///
/// With `x̂ = x / √(mean(x²) + ε)` and `r` that inverse root, the backward pass is
/// `dx = r (w ⊙ g − x̂ mean(w ⊙ g ⊙ x̂))` and `dw = Σ_rows g ⊙ x̂`.
///
/// # Errors
/// If the shapes do not fit.
pub fn rms_norm(x: &Tensor, weight: &Param, epsilon: f64) -> Result<Tensor> {
    let (rows, hidden) = x.dims2()?;
    if weight.tensor().dims() != [hidden] {
        bail!("rms_norm: expected weight [{hidden}], got {:?}", weight.tensor().shape());
    }
    let w = weight.tensor().detach();
    let inverse_root = (x.detach().sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?.recip()?; // [rows, 1]
    let normalised = x.detach().broadcast_mul(&inverse_root)?;
    let value = normalised.broadcast_mul(&w)?;
    let (buffer, x_is_tracked) = (weight.grad_buffer().cloned(), x.track_op());
    if buffer.is_none() && !x_is_tracked {
        return Ok(value);
    }
    let backward = move |grad: &Tensor| {
        if let Some(buffer) = &buffer {
            // A product with ones: candle's sum over rows is many times slower.
            let ones = Tensor::ones((1, rows), grad.dtype(), grad.device())?;
            buffer.accumulate(&ones.matmul(&(grad * &normalised)?)?.squeeze(0)?)?;
        }
        let weighted = grad.broadcast_mul(&w)?;
        let projection = (&weighted * &normalised)?.mean_keepdim(D::Minus1)?; // [rows, 1]
        let dx = (weighted - normalised.broadcast_mul(&projection)?)?.broadcast_mul(&inverse_root)?;
        Ok([x_is_tracked.then_some(dx), None])
    };
    x.apply_op2(weight.tensor(), Recorded { name: "rms-norm", value, backward })
}
