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

use align_kernels::{Param, Params};
use candle_core::DType;

pub use adamw::Adam;
pub use config::{Optim, OptimizerConfig, OptimizerMethod};
pub use muon::{LrAdjustment, Muon};
pub use sgd::Momentum;

use crate::{Error, Result};
use buffer::Buffer;
use rule::{Rule, Step};

/// The optimizer: the state of each parameter by the parameter's name, and the number of steps.
pub struct Optimizer {
    config: OptimizerConfig,
    step: usize,
    states: BTreeMap<String, State>,
}

/// A parameter's rule with its buffers.
struct State {
    rule: Rule,
    buffers: Vec<Buffer>,
}

impl Optimizer {
    /// An optimizer with zero state for the given parameters.
    ///
    /// # Errors
    /// If a parameter is not f32 (trainable weights always are); an optimizer that could do what it is chosen for with none of
    /// them, or not on their device.
    pub fn new(params: &Params, config: OptimizerConfig) -> Result<Self> {
        let optim = config.method.optim();
        let states = params
            .iter()
            .map(|(name, param)| Ok((name.to_owned(), State::zeros(name, param, config)?)))
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
        Ok(Self { config, step: 0, states })
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
        self.step += 1;
        for (name, param) in params.iter() {
            let step = Step {
                number: self.step,
                learning_rate: self.rate(name, param, learning_rate),
                weight_decay: if Self::decays(name, param) { self.config.weight_decay } else { 0.0 },
                grad_scale,
            };
            let state = self.states.get_mut(name).ok_or_else(|| unknown(name))?;
            let grad = match param.grad_buffer().and_then(|buffer| buffer.get()) {
                Some(grad) => grad.contiguous()?,
                None => param.tensor().detach().zeros_like()?,
            };
            if param.device().is_cpu() {
                state.rule.step_in_place(param.tensor(), &grad, &mut state.buffers, step)?;
            } else {
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
    fn zeros(name: &str, param: &Param, config: OptimizerConfig) -> Result<Self> {
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
        let specs = rule.buffers(param.tensor().dims()).into_iter();
        let buffers = specs.map(|spec| Buffer::zeros(spec, param.device()));
        Ok(Self { rule, buffers: buffers.collect::<candle_core::Result<_>>()? })
    }
}

fn unknown(name: &str) -> candle_core::Error {
    candle_core::Error::Msg(format!("the optimizer knows no parameter called `{name}`"))
}

#[cfg(test)]
mod tests;
