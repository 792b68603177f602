//! Muon (Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982), as `torch.optim.Muon` computes it: momentum whose singular
//! values are all made about 1.
//!
//! ```text
//! B ← B + (1 − μ)(G − B)
//! U = G + μ (B − G) with Nesterov's momentum, else B
//! p ← p (1 − ηλ) − η s · NewtonSchulz(U)
//! ```
//!
//! Newton–Schulz: X = U / ‖U‖, then k times X ← aX + (bA + cA²)X with A = XXᵀ. torch does this in bf16; here it is in f32. `s`
//! depends on the shape ([`LrAdjustment`]).

use align_kernels::Param;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::in_place::{BLOCK, Elementwise, in_blocks};
use super::rule::Step;
use crate::Result;

/// The quintic's coefficients, whose slope at 0 is as steep as it can be.
const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);

/// The coefficients of Muon. Names are those of torch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Muon {
    /// μ
    pub momentum: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// k, the turns of Newton–Schulz.
    pub ns_steps: usize,
    /// The least norm that a direction is divided by.
    pub epsilon: f64,
    /// The factor of the learning rate.
    pub adjust_lr: LrAdjustment,
}

/// The factor of Muon's learning rate, of a matrix of A rows and B columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LrAdjustment {
    /// √max(1, A/B), torch's default; wants a learning rate of about 0.02.
    Original,
    /// 0.2 √max(A, B): updates as large as AdamW's, so that one learning rate is right for both.
    MatchRmsAdamw,
    /// √(A/B)
    SpectralUnclamped,
}

impl Default for Muon {
    fn default() -> Self {
        let adjust_lr = LrAdjustment::MatchRmsAdamw;
        Self { momentum: 0.95, nesterov: true, ns_steps: 5, epsilon: 1e-7, adjust_lr }
    }
}

impl LrAdjustment {
    fn factor(self, dims: &[usize]) -> f64 {
        let (a, b) = (dims[0] as f64, dims[1] as f64);
        match self {
            Self::Original => (a / b).max(1.0).sqrt(),
            Self::MatchRmsAdamw => 0.2 * a.max(b).sqrt(),
            Self::SpectralUnclamped => (a / b).sqrt(),
        }
    }
}

pub(super) fn step(
    p: &mut [f32],
    g: &[f32],
    [b]: [&mut [f32]; 1],
    dims: &[usize],
    muon: Muon,
    step: Step,
) -> Result<()> {
    let mut direction = vec![0f32; g.len()];
    let momentum = MomentumBlock {
        grad_scale: step.grad_scale as f32,
        towards: (1.0 - muon.momentum) as f32,
        ahead: muon.nesterov.then_some(muon.momentum as f32),
    };
    in_blocks(&mut direction, g, b.par_chunks_mut(BLOCK), &momentum);
    let direction = orthogonalised(&Tensor::from_vec(direction, dims, &Device::Cpu)?, muon)?;
    let rate = step.learning_rate * muon.adjust_lr.factor(dims);
    let update = UpdateBlock { decay: step.decay() as f32, minus_rate: -rate as f32 };
    let direction = direction.flatten_all()?.to_vec1::<f32>()?;
    in_blocks(p, &direction, rayon::iter::repeat_n((), direction.len().div_ceil(BLOCK)), &update);
    Ok(())
}

/// Writes the direction in the place of the parameter.
struct MomentumBlock {
    grad_scale: f32,
    towards: f32,
    /// Of Nesterov's momentum.
    ahead: Option<f32>,
}

impl<'a> Elementwise<&'a mut [f32]> for MomentumBlock {
    #[inline(always)]
    fn block(&self, direction: &mut [f32], g: &[f32], b: &'a mut [f32]) {
        for ((direction, &g), b) in direction.iter_mut().zip(g).zip(b) {
            let g = g * self.grad_scale;
            *b = (g - *b).mul_add(self.towards, *b);
            *direction = self.ahead.map_or(*b, |momentum| (*b - g).mul_add(momentum, g));
        }
    }
}

struct UpdateBlock {
    decay: f32,
    minus_rate: f32,
}

impl Elementwise<()> for UpdateBlock {
    #[inline(always)]
    fn block(&self, p: &mut [f32], direction: &[f32], (): ()) {
        for (p, &direction) in p.iter_mut().zip(direction) {
            *p = direction.mul_add(self.minus_rate, *p * self.decay);
        }
    }
}

pub(super) fn composed(
    param: &Param,
    grad: &Tensor,
    [b]: [&mut Tensor; 1],
    muon: Muon,
    step: Step,
) -> Result<()> {
    *b = (&*b + ((grad - &*b)? * (1.0 - muon.momentum))?)?;
    let direction = if muon.nesterov { (grad + ((&*b - grad)? * muon.momentum)?)? } else { b.clone() };
    let direction = orthogonalised(&direction, muon)?;
    let rate = step.learning_rate * muon.adjust_lr.factor(param.tensor().dims());
    param.set(&((param.tensor().detach() * step.decay())? - (direction * rate)?)?)?;
    Ok(())
}

/// The matrix with its singular values made about 1 (between 0.7 and 1.2) by Newton–Schulz.
fn orthogonalised(matrix: &Tensor, muon: Muon) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    let is_tall = rows > columns;
    let wide = if is_tall { matrix.t()?.contiguous()? } else { matrix.clone() };
    let norm = f64::from(wide.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt();
    let mut x = (wide / norm.max(muon.epsilon))?;
    let (a, b, c) = COEFFICIENTS;
    for _ in 0..muon.ns_steps {
        let gram = x.matmul(&x.t()?.contiguous()?)?;
        let polynomial = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
        x = ((&x * a)? + polynomial.matmul(&x)?)?;
    }
    Ok(if is_tall { x.t()?.contiguous()? } else { x })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances of the singular values from 1, by the Gram matrix of the smaller side.
    fn off_orthogonal(x: &Tensor) -> f32 {
        let (rows, columns) = x.dims2().unwrap();
        let x = if rows > columns { x.t().unwrap().contiguous().unwrap() } else { x.clone() };
        let gram = x.matmul(&x.t().unwrap()).unwrap();
        let identity = Tensor::eye(gram.dim(0).unwrap(), gram.dtype(), &Device::Cpu).unwrap();
        (gram - identity).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn singular_values_become_about_one_whatever_the_scale_and_the_shape() {
        for (rows, columns) in [(6, 9), (9, 6), (7, 7), (1, 5)] {
            let values: Vec<f32> =
                (0..rows * columns).map(|i| ((i * i * 31 + i * 17) % 101) as f32 - 50.0).collect();
            let matrix = Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap();
            let out = orthogonalised(&matrix, Muon::default()).unwrap();
            assert!(off_orthogonal(&out) < 0.6, "{rows}x{columns}: {}", off_orthogonal(&out));
            let scaled = orthogonalised(&(matrix * 1e4).unwrap(), Muon::default()).unwrap();
            let apart = (out - scaled).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(apart < 1e-4, "{apart}");
        }
    }
}
