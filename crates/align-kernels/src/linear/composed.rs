//! Linear layer of matrix products on whole tensors.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, MetalStorage, Result, Shape, Tensor};

use crate::Param;

/// See [`linear`](crate::linear).
pub fn linear(x: &Tensor, weight: &Param, bias: Option<&Param>) -> Result<Tensor> {
    let y = x.contiguous()?.apply_op2(weight.tensor(), LinearOp(weight.clone()))?;
    match bias {
        None => Ok(y),
        Some(bias) => y.broadcast_add(&bias.leaf()?),
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
