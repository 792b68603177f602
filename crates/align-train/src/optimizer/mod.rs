//! Optimizers with a state that can be saved: AdamW, AdamW with moments of 8 bits, Adafactor, Lion, SGD, Muon.
//!
//! A parameter has a rule and the flat buffers that the rule asks for. On the CPU each step is one pass in place (several for
//! Adafactor and Muon), elsewhere tensor operations. candle's own AdamW hides its state, so that a run could not be resumed.

mod adafactor;
mod adamw;
mod adamw_8bit;
mod buffer;
mod config;
mod in_place;
mod lion;
mod muon;
mod rule;
mod saved;
mod sgd;

use std::collections::BTreeMap;
use std::ops::Range;

use align_kernels::{Param, Params};
use candle_core::{DType, Tensor};

pub use adamw::Adam;
pub use config::{Optim, OptimizerConfig, OptimizerMethod};
pub use muon::{LrAdjustment, Muon};
pub(crate) use saved::{Ask, Question};
pub use sgd::Momentum;

use crate::{Error, Result};
use buffer::Buffer;
use rule::{Rule, Step};

/// The optimizer: the state of each parameter by the parameter's name, and the number of steps.
pub struct Optimizer {
    config: OptimizerConfig,
    step: usize,
    states: BTreeMap<String, State>,
    /// Whether other ranks have the rest.
    is_shared: bool,
}

/// A parameter's rule with its buffers.
struct State {
    rule: Rule,
    /// That of the parameter.
    shape: Vec<usize>,
    /// The elements that are updated here.
    own: Range<usize>,
    buffers: Vec<Buffer>,
}

impl Optimizer {
    /// An optimizer with zero state for the given parameters.
    ///
    /// # Errors
    /// If a parameter is not f32 (trainable weights always are); an optimizer that could do what it is chosen for with none of
    /// them, or not on their device.
    pub fn new(params: &Params, config: OptimizerConfig) -> Result<Self> {
        let whole = |name: &str| 0..params.get(name).map_or(0, |param| param.tensor().elem_count());
        Self::of(params, config, whole, false)
    }

    /// The same for the elements that are this rank's.
    pub(crate) fn of(
        params: &Params,
        config: OptimizerConfig,
        own: impl Fn(&str) -> Range<usize>,
        is_shared: bool,
    ) -> Result<Self> {
        let optim = config.method.optim();
        let states = params
            .iter()
            .map(|(name, param)| Ok((name.to_owned(), State::zeros(name, param, config, own(name))?)))
            .collect::<Result<BTreeMap<_, _>>>()?;
        if !states.is_empty() && !states.values().any(|state| config.method.is_own(state.rule)) {
            let because = match optim {
                Optim::Adamw8bit => format!(
                    "every trained parameter has fewer than {} elements, and those keep float32 moments",
                    adamw_8bit::LEAST
                ),
                _ => "no matrix of the layers is trained, and AdamW updates everything else".to_owned(),
            };
            let problem = format!("would do nothing: {because}; use `adamw_torch`");
            return Err(Error::option("optim", optim.name(), problem));
        }
        Ok(Self { config, step: 0, states, is_shared })
    }

    /// The optimizer's coefficients.
    pub(crate) fn config(&self) -> OptimizerConfig {
        self.config
    }

    /// True if weight decay applies to a parameter: not to vectors, and not to norms and biases by name, as in
    /// transformers. DoRA's magnitudes, which are vectors, do decay there.
    pub fn decays(name: &str, param: &Param) -> bool {
        let name = name.to_lowercase();
        let is_matrix = param.tensor().rank() >= 2 || name.ends_with("lora_magnitude_vector");
        is_matrix && !name.contains("norm") && !name.contains("bias")
    }

    /// The bytes of the state of all parameters.
    pub fn bytes(&self) -> usize {
        self.states.values().flat_map(|state| &state.buffers).map(Buffer::bytes).sum()
    }

    /// One step: updates every parameter in place from its gradient buffer, gradients multiplied by
    /// `grad_scale` first. A parameter without a gradient counts as one whose gradient is zero.
    ///
    /// # Errors
    /// If `params` are not those that the optimizer was made for.
    pub fn step(&mut self, params: &Params, learning_rate: f64, grad_scale: f64) -> Result<()> {
        self.step_with(params, |_| None, learning_rate, grad_scale)
    }

    /// The same, with gradients of the own elements that are not in the buffers.
    pub(crate) fn step_with(
        &mut self,
        params: &Params,
        gradient: impl Fn(&str) -> Option<Vec<f32>>,
        learning_rate: f64,
        grad_scale: f64,
    ) -> Result<()> {
        self.step += 1;
        for (name, param) in params.iter() {
            let step = Step {
                number: self.step,
                learning_rate: self.rate(name, param, learning_rate),
                weight_decay: if Self::decays(name, param) { self.config.weight_decay } else { 0.0 },
                grad_scale,
            };
            let state = self.states.get_mut(name).ok_or_else(|| unknown(name))?;
            if state.own.is_empty() {
                continue;
            }
            let grad = match (gradient(name), param.grad_buffer().and_then(|buffer| buffer.get())) {
                (Some(own), _) => Tensor::from_vec(own, state.own.len(), param.device())?,
                (None, Some(grad)) => grad.contiguous()?,
                (None, None) => Tensor::zeros(state.own.len(), DType::F32, param.device())?,
            };
            if param.device().is_cpu() {
                state.rule.step_in_place(
                    param.tensor(),
                    state.own.clone(),
                    &grad,
                    &mut state.buffers,
                    step,
                )?;
            } else {
                let grad = grad.reshape(param.tensor().shape())?;
                state.rule.step_composed(param, &grad, &mut state.buffers, step)?;
            }
        }
        Ok(())
    }

    /// The learning rate of a parameter, of that of all.
    fn rate(&self, name: &str, param: &Param, learning_rate: f64) -> f64 {
        let is_faster = name.contains("lora_B") || param.tensor().rank() == 1;
        if is_faster { learning_rate * self.config.loraplus_lr_ratio } else { learning_rate }
    }
}

impl State {
    fn zeros(name: &str, param: &Param, config: OptimizerConfig, own: Range<usize>) -> Result<Self> {
        if param.tensor().dtype() != DType::F32 {
            let found = param.tensor().dtype();
            let problem = format!("`{name}` is {found:?}: trainable parameters must be f32");
            return Err(candle_core::Error::Msg(problem).into());
        }
        let rule = config.method.rule(name, param.tensor().dims());
        if !rule.is_composed() && !param.device().is_cpu() {
            let problem = "runs on the CPU alone; use `adamw_torch`, or `--device cpu`";
            return Err(Error::option("optim", config.method.optim().name(), problem));
        }
        let specs = rule.buffers_of(param.tensor().dims(), &own).into_iter();
        let buffers = specs.map(|spec| Buffer::zeros(spec, param.device()));
        let shape = param.tensor().dims().to_vec();
        Ok(Self { rule, shape, own, buffers: buffers.collect::<candle_core::Result<_>>()? })
    }
}

fn unknown(name: &str) -> candle_core::Error {
    candle_core::Error::Msg(format!("the optimizer knows no parameter called `{name}`"))
}

#[cfg(test)]
mod tests;
