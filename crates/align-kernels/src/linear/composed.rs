//! Linear layer of matrix products on whole tensors.

use candle_core::{Result, Tensor};

use super::{Adapter, Linear};
use crate::tape::{WayBack, sum_of_rows};

/// The output, and the way back to the input, if that is wanted.
pub(super) fn linear(x: &Tensor, layer: &Linear, wanted: bool) -> Result<(Tensor, WayBack)> {
    let (x, layer) = (x.contiguous()?, layer.clone());
    let precision = layer.weight.precision();
    let weight = layer.weight.as_numbers(&x)?;
    let mut y = precision.rounded(&x)?.matmul(&precision.rounded(&weight)?.t()?)?;
    // What was decoded is decoded again on the way back, and not kept until then.
    drop(weight);
    if let Some(bias) = &layer.bias {
        y = y.broadcast_add(&bias.tensor().detach())?;
    }
    let low_rank = match layer.adapter.as_deref() {
        None => None,
        Some(adapter) => {
            let low_rank = LowRank::of(&x, adapter)?;
            y = (y + low_rank.output()?)?;
            Some(low_rank)
        }
    };
    let back = move |grad: &Tensor| {
        let grad = grad.contiguous()?;
        if let Some(buffer) = layer.bias.as_ref().and_then(|bias| bias.grad_buffer()) {
            buffer.accumulate(&sum_of_rows(&grad)?)?;
        }
        if let Some(buffer) = layer.weight.param().and_then(|weight| weight.grad_buffer()) {
            buffer.accumulate(&precision.rounded(&grad)?.t()?.matmul(&precision.rounded(&x)?)?)?;
        }
        let through = || precision.rounded(&grad)?.matmul(&precision.rounded(&layer.weight.as_numbers(&x)?)?);
        let of_adapter = low_rank.as_ref().map(|it| it.gradients(&x, &grad, wanted)).transpose()?.flatten();
        Ok([match (wanted, of_adapter) {
            (false, _) => None,
            (true, None) => Some(through()?),
            (true, Some(of_adapter)) => Some((through()? + of_adapter)?),
        }])
    };
    Ok((y, Box::new(back)))
}

/// What an adapter adds: `inner Bᵀ` with `inner = s x Aᵀ`, and the scaled bias.
struct LowRank {
    adapter: Adapter,
    inner: Tensor,
}

impl LowRank {
    fn of(x: &Tensor, adapter: &Adapter) -> Result<Self> {
        let inner = (x.matmul(&adapter.a.tensor().detach().t()?)? * adapter.scale)?;
        Ok(Self { adapter: adapter.clone(), inner })
    }

    fn output(&self) -> Result<Tensor> {
        let y = self.inner.matmul(&self.adapter.b.tensor().detach().t()?)?;
        match &self.adapter.bias {
            None => Ok(y),
            Some(bias) => y.broadcast_add(&(bias.tensor().detach() * self.adapter.scale)?),
        }
    }

    /// Adds the gradients of A and B; the input's, if it is wanted.
    fn gradients(&self, x: &Tensor, grad: &Tensor, wanted: bool) -> Result<Option<Tensor>> {
        let Adapter { a, b, bias, scale, .. } = &self.adapter;
        if let Some(buffer) = bias.as_ref().and_then(|bias| bias.grad_buffer()) {
            buffer.accumulate(&(sum_of_rows(grad)? * *scale)?)?;
        }
        if let Some(buffer) = b.grad_buffer() {
            buffer.accumulate(&grad.t()?.matmul(&self.inner)?)?;
        }
        if !wanted && a.grad_buffer().is_none() {
            return Ok(None);
        }
        let inner = (grad.matmul(&b.tensor().detach())? * *scale)?;
        if let Some(buffer) = a.grad_buffer() {
            buffer.accumulate(&inner.t()?.matmul(x)?)?;
        }
        Ok(if wanted { Some(inner.matmul(&a.tensor().detach())?) } else { None })
    }
}
