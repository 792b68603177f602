//! The AdamW step in ordinary tensor operations: the definition, and the form for every device but the
//! CPU. Orders its operations as torch does, so that results agree to f32 rounding.

use align_kernels::Param;
use candle_core::Tensor;

use super::Coefficients;
use crate::Result;

pub(super) fn step(
    param: &Param,
    grad: &Tensor,
    first: &mut Tensor,
    second: &mut Tensor,
    c: Coefficients,
) -> Result<()> {
    let grad = (grad.detach() * c.grad_scale)?;
    *first = (&*first + ((&grad - &*first)? * (1.0 - c.beta1))?)?;
    *second = ((&*second * c.beta2)? + ((&grad * (1.0 - c.beta2))? * &grad)?)?;
    let denominator = ((second.sqrt()? / c.correction2_sqrt)? + c.epsilon)?;
    let update = ((&*first * -c.step_size)? / denominator)?;
    param.set(&((param.tensor().detach() * c.decay)? + update)?)?;
    Ok(())
}
