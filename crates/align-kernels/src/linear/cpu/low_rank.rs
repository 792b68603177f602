//! What the adapters of layers with the same input add. Their A lie below one another and their inner values side by side, so
//! that what they share is one product: a rank alone does not fill a tile. They are f32 whatever the weight's precision.

use candle_core::{Result, Tensor};

use super::weight::products;
use super::{add_bias, add_bias_gradient, add_weight_gradient};
use crate::Param;
use crate::cpu::{Matrix, MatrixMut, Precision, Start, Threads, add_assign, matmul, product, slice};
use crate::linear::Adapter;

/// What adapters keep for their way back: `inner = s x Aᵀ` of all of them, `[rows, ranks]`.
pub(super) struct LowRanks {
    adapters: Vec<Option<Part>>,
    /// All A, `[ranks, inputs]`.
    a: Vec<f32>,
    ranks: usize,
    inner: Vec<f32>,
}

/// An adapter and the first column that is its own.
struct Part {
    adapter: Adapter,
    first: usize,
    rank: usize,
}

impl LowRanks {
    /// The inner values of the adapters that there are; none without any.
    pub(super) fn of(x: &[f32], rows: usize, adapters: &[Option<&Adapter>]) -> Result<Option<Self>> {
        let (mut ranks, mut a, mut inputs) = (0, Vec::new(), 0);
        let mut part = |adapter: &&Adapter| {
            let (rank, width) = adapter.a.tensor().dims2()?;
            a.extend_from_slice(&slice(&adapter.a.tensor().detach().contiguous()?)?);
            (ranks, inputs) = (ranks + rank, width);
            Ok(Part { adapter: (*adapter).clone(), first: ranks - rank, rank })
        };
        let adapters = adapters.iter().map(|it| it.as_ref().map(&mut part).transpose());
        let adapters = adapters.collect::<Result<Vec<Option<Part>>>>()?;
        if adapters.iter().all(Option::is_none) {
            return Ok(None);
        }
        let [inner] = products(Precision::F32, x, rows, inputs, [&a]);
        let mut low_ranks = Self { adapters, a, ranks, inner: Vec::new() };
        low_ranks.inner = low_ranks.scaled(inner);
        Ok(Some(low_ranks))
    }

    /// Each adapter's columns times its scale.
    fn scaled(&self, mut inner: Vec<f32>) -> Vec<f32> {
        let parts = || self.adapters.iter().flatten();
        if parts().any(|part| part.adapter.scale != 1.0) {
            let scales: Vec<f32> =
                parts().flat_map(|part| std::iter::repeat_n(part.adapter.scale as f32, part.rank)).collect();
            for row in inner.chunks_exact_mut(self.ranks.max(1)) {
                row.iter_mut().zip(&scales).for_each(|(value, scale)| *value *= scale);
            }
        }
        inner
    }

    /// Its columns of inner values.
    fn columns<'a>(&self, part: &Part, inner: &'a [f32]) -> Matrix<'a> {
        let rows = inner.len() / self.ranks.max(1);
        Matrix::strided(&inner[part.first.min(inner.len())..], rows, part.rank, self.ranks)
    }

    /// Adds `s (x Aᵀ) Bᵀ` and the scaled bias of one of the layers to its output.
    pub(super) fn add_output(&self, index: usize, y: &mut [f32]) -> Result<()> {
        let Some(part) = &self.adapters[index] else { return Ok(()) };
        let (inner, b) = (self.columns(part, &self.inner), dense(&part.adapter.b)?);
        let (rows, outputs) = (inner.rows(), b.dim(0)?);
        let b = slice(&b)?;
        let right = Matrix::new(&b, outputs, part.rank).t();
        matmul(Start::Out, inner, right, MatrixMut::new(y, rows, outputs), Threads::All);
        match &part.adapter.bias {
            None => Ok(()),
            Some(bias) => add_bias(y, &Param::frozen(&(bias.tensor().detach() * part.adapter.scale)?)),
        }
    }

    /// Adds the gradients of A and B; those of `x Aᵀ`, `[rows, ranks]`, where they are needed.
    pub(super) fn gradients(
        &self,
        grads: &[Option<&[f32]>],
        x: Matrix<'_>,
        wanted: bool,
    ) -> Result<Vec<f32>> {
        let rows = x.rows();
        let mut inner = vec![0f32; rows * self.ranks];
        for (part, grad) in self.adapters.iter().zip(grads) {
            let (Some(part), Some(grad)) = (part, grad) else { continue };
            let Adapter { b, bias, scale, .. } = &part.adapter;
            let outputs = b.tensor().dim(0)?;
            if let Some(buffer) = bias.as_ref().and_then(|bias| bias.grad_buffer()) {
                add_bias_gradient(buffer, grad, outputs, *scale as f32)?;
            }
            let grad = Matrix::new(grad, rows, outputs);
            let buffer = b.grad_buffer().map(|buffer| &**buffer);
            add_weight_gradient(Precision::F32, buffer, grad, self.columns(part, &self.inner))?;
            let b = dense(b)?;
            let b = slice(&b)?;
            let first = part.first.min(inner.len());
            let own = MatrixMut::strided(&mut inner[first..], rows, part.rank, self.ranks);
            matmul(Start::Zero, grad, Matrix::new(&b, outputs, part.rank), own, Threads::All);
        }
        if !wanted && self.adapters.iter().flatten().all(|part| !part.adapter.a.is_tracked()) {
            return Ok(inner);
        }
        let inner = self.scaled(inner);
        let all = product(Matrix::new(&inner, rows, self.ranks).t(), x, Threads::All);
        for (part, _) in self.adapters.iter().zip(grads).filter(|(_, grad)| grad.is_some()) {
            let Some((part, buffer)) = part.as_ref().and_then(|it| Some((it, it.adapter.a.grad_buffer()?)))
            else {
                continue;
            };
            let inputs = x.columns();
            let own = &all[part.first * inputs..][..part.rank * inputs];
            let shape = (part.rank, inputs).into();
            buffer.accumulate_in_place(&shape, || own.to_vec(), |sum| add_assign(sum, own))?;
        }
        Ok(inner)
    }

    /// Adds the input's gradient to `dx`.
    pub(super) fn add_input_gradient(&self, dx: &mut [f32], inner: &[f32], rows: usize) {
        let inputs = self.a.len() / self.ranks.max(1);
        let (inner, a) = (Matrix::new(inner, rows, self.ranks), Matrix::new(&self.a, self.ranks, inputs));
        matmul(Start::Out, inner, a, MatrixMut::new(dx, rows, inputs), Threads::All);
    }
}

fn dense(param: &Param) -> Result<Tensor> {
    param.tensor().detach().contiguous()
}
