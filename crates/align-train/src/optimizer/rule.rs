//! What one parameter is updated by: its buffers, and its step in place or in tensor operations.

use std::ops::Range;

use align_kernels::Param;
use candle_core::{DType, Tensor};

use super::buffer::{Buffer, Spec, f32s, quantised, tensors};
use super::{Adam, Momentum, Muon, adafactor, adamw, adamw_8bit, in_place, lion, muon, sgd};
use crate::Result;

/// The update of one parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    AdamW(Adam),
    /// As bitsandbytes orders it, for parameters that are too small for 8 bits.
    AdamW32bit(Adam),
    AdamW8bit(Adam),
    Adafactor,
    Lion {
        beta1: f64,
        beta2: f64,
    },
    Sgd(Momentum),
    Muon(Muon),
}

/// A step, and the group that the parameter belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// t, counted from 1.
    pub(super) number: usize,
    /// η
    pub(super) learning_rate: f64,
    /// λ, or 0 where the parameter does not decay.
    pub(super) weight_decay: f64,
    /// What gradients are multiplied by first (gradient clipping).
    pub(super) grad_scale: f64,
}

impl Step {
    /// 1 − ηλ
    pub(super) fn decay(self) -> f64 {
        1.0 - self.learning_rate * self.weight_decay
    }
}

impl Rule {
    /// The buffers that the rule keeps for a parameter, all zero at first.
    pub(super) fn buffers(self, shape: &[usize]) -> Vec<Spec> {
        let same = |name| Spec { name, shape: shape.to_vec(), dtype: DType::F32 };
        match self {
            Self::AdamW(_) | Self::AdamW32bit(_) => vec![same("exp_avg"), same("exp_avg_sq")],
            Self::AdamW8bit(_) => adamw_8bit::buffers(shape),
            Self::Adafactor => adafactor::buffers(shape),
            Self::Lion { .. } => vec![same("exp_avg")],
            Self::Sgd(momentum) if momentum.momentum == 0.0 => Vec::new(),
            Self::Sgd(_) | Self::Muon(_) => vec![same("momentum_buffer")],
        }
    }

    /// The buffers of some elements of a parameter: of none, none; of all, in its shape.
    pub(super) fn buffers_of(self, shape: &[usize], own: &Range<usize>) -> Vec<Spec> {
        match own.len() {
            0 => Vec::new(),
            all if all == shape.iter().product::<usize>() => self.buffers(shape),
            some => self.buffers(&[some]),
        }
    }

    /// True if the rule has a form for devices other than the CPU.
    pub(super) fn is_composed(self) -> bool {
        !matches!(self, Self::AdamW8bit(_) | Self::AdamW32bit(_))
    }

    /// One step of some elements of a parameter on the CPU, of which `grad` is the gradient. Both are f32 and contiguous.
    pub(super) fn step_in_place(
        self,
        param: &Tensor,
        own: Range<usize>,
        grad: &Tensor,
        buffers: &mut [Buffer],
        step: Step,
    ) -> Result<()> {
        let update = |p: &mut [f32], g: &[f32]| match self {
            Self::AdamW(adam) => {
                adamw::step(p, g, f32s(buffers), adam, step);
                Ok(())
            }
            Self::AdamW32bit(adam) => {
                adamw_8bit::step_32bit(p, g, f32s(buffers), adam, step);
                Ok(())
            }
            Self::AdamW8bit(adam) => {
                adamw_8bit::step(p, g, quantised(buffers), adam, step);
                Ok(())
            }
            Self::Adafactor => {
                adafactor::step(p, g, buffers, param.dims(), step);
                Ok(())
            }
            Self::Lion { beta1, beta2 } => {
                lion::step(p, g, f32s(buffers), (beta1, beta2), step);
                Ok(())
            }
            Self::Sgd(momentum) => {
                sgd::step(p, g, buffers, momentum, step);
                Ok(())
            }
            Self::Muon(it) => muon::step(p, g, f32s(buffers), param.dims(), it, step),
        };
        Ok(in_place::update(param, own, grad, update)?)
    }

    /// The same step in tensor operations: the definition, and the form for every device but the CPU.
    pub(super) fn step_composed(
        self,
        param: &Param,
        grad: &Tensor,
        buffers: &mut [Buffer],
        step: Step,
    ) -> Result<()> {
        let grad = (grad.detach() * step.grad_scale)?;
        match self {
            Self::AdamW(adam) => adamw::composed(param, &grad, tensors(buffers), adam, step),
            Self::Adafactor => adafactor::composed(param, &grad, buffers, step),
            Self::Lion { beta1, beta2 } => {
                lion::composed(param, &grad, tensors(buffers), (beta1, beta2), step)
            }
            Self::Sgd(momentum) => sgd::composed(param, &grad, buffers, momentum, step),
            Self::Muon(it) => muon::composed(param, &grad, tensors(buffers), it, step),
            Self::AdamW8bit(_) | Self::AdamW32bit(_) => {
                unreachable!("refused by `Optimizer::new` where there is no in-place form")
            }
        }
    }
}
