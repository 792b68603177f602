//! `x Wᵀ + b`, accumulating the weight's gradient in its own buffer.
//!
//! candle's matmul computes both gradients whether or not they are wanted, and adds the transposed
//! weight gradient element by element. Here a frozen weight costs nothing in the backward pass, and a
//! tracked one gets `gᵀ x` directly in the weight's own layout.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, MetalStorage, Result, Shape, Tensor, bail};

use crate::Param;

/// `x Wᵀ + b`: `[rows, inputs]` → `[rows, outputs]`, for a weight `[outputs, inputs]` and a bias
/// `[outputs]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn linear(x: &Tensor, weight: &Param, bias: Option<&Param>) -> Result<Tensor> {
    let (_, inputs) = x.dims2()?;
    let (outputs, expected) = weight.tensor().dims2()?;
    if inputs != expected {
        bail!("linear: expected input [rows, {expected}], got {:?}", x.shape());
    }
    let y = x.contiguous()?.apply_op2(weight.tensor(), LinearOp(weight.clone()))?;
    match bias {
        None => Ok(y),
        Some(bias) if bias.tensor().dims() == [outputs] => y.broadcast_add(&bias.leaf()?),
        Some(bias) => bail!("linear: expected bias [{outputs}], got {:?}", bias.tensor().shape()),
    }
}

struct LinearOp(Param);

/// `x Wᵀ` on any backend's storage.
fn forward<S: BackendStorage>(x: &S, x_layout: &Layout, w: &S, w_layout: &Layout) -> Result<(S, Shape)> {
    let (rows, inputs) = x_layout.shape().dims2()?;
    let (outputs, _) = w_layout.shape().dims2()?;
    let y = x.matmul(w, (1, rows, outputs, inputs), x_layout, &w_layout.transpose(0, 1)?)?;
    Ok((y, Shape::from((rows, outputs))))
}

impl CustomOp2 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        forward(x, lx, w, lw)
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        lx: &Layout,
        w: &CudaStorage,
        lw: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        forward(x, lx, w, lw)
    }

    fn metal_fwd(
        &self,
        x: &MetalStorage,
        lx: &Layout,
        w: &MetalStorage,
        lw: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        forward(x, lx, w, lw)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        if let Some(buffer) = self.0.grad_buffer() {
            buffer.accumulate(&grad.t()?.matmul(&x.detach())?)?;
        }
        let dx = if x.track_op() { Some(grad.matmul(&w.detach())?) } else { None };
        Ok((dx, None))
    }
}
