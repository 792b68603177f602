//! AdamW (Loshchilov & Hutter, arXiv:1711.05101) with moments that can be saved.
//!
//! For a gradient g at step t with learning rate η and weight decay λ, as torch computes it:
//!
//! ```text
//! p ← p · (1 − ηλ)
//! m ← m + (1 − β₁)(g − m)
//! v ← β₂ v + (1 − β₂) g²
//! p ← p − η/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
//! ```
//!
//! Moments are f32 and live beside the parameter: on the CPU as plain vectors that one pass updates in
//! place, elsewhere as tensors. candle's own AdamW hides its state, so that a run could not be resumed.

mod composed;
mod in_place;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use align_kernels::{Param, Params};
use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// The coefficients of AdamW. Names and defaults are those of TRL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// β₁, how slowly the first moment moves.
    pub beta1: f64,
    /// β₂, how slowly the second moment moves.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ, applied to matrices only (see [`AdamW::decays`]).
    pub weight_decay: f64,
    /// LoRA+ (Hayou et al. 2024, arXiv:2402.12354): the factor of the learning rate of B and of vectors, as PEFT groups
    /// parameters.
    pub loraplus_lr_ratio: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, loraplus_lr_ratio: 1.0 }
    }
}

/// The optimizer's state: two moments per parameter, by the parameter's name, and the number of steps.
pub struct AdamW {
    config: AdamWConfig,
    step: usize,
    moments: BTreeMap<String, Moments>,
}

/// First and second moment of one parameter.
enum Moments {
    /// Updated in place by [`in_place`].
    Cpu { first: Vec<f32>, second: Vec<f32> },
    /// Replaced by [`composed`].
    Device { first: Tensor, second: Tensor },
}

/// The numbers of one step that are the same for all elements of a parameter.
#[derive(Clone, Copy)]
struct Coefficients {
    /// What gradients are multiplied by first (gradient clipping).
    grad_scale: f64,
    /// 1 − ηλ, or 1 where the parameter does not decay.
    decay: f64,
    beta1: f64,
    beta2: f64,
    /// √(1 − β₂ᵗ)
    correction2_sqrt: f64,
    epsilon: f64,
    /// η / (1 − β₁ᵗ)
    step_size: f64,
}

impl AdamW {
    /// An optimizer with zero moments for the given parameters.
    ///
    /// # Errors
    /// If a parameter is not f32: trainable weights always are.
    pub fn new(params: &Params, config: AdamWConfig) -> Result<Self> {
        let moments = params
            .iter()
            .map(|(name, param)| Ok((name.to_owned(), Moments::zeros(name, param)?)))
            .collect::<Result<_>>()?;
        Ok(Self { config, step: 0, moments })
    }

    /// True if weight decay applies to a parameter: not to vectors, and not to norms and biases by name, as in
    /// transformers. DoRA's magnitudes, which are vectors, do decay there.
    pub fn decays(name: &str, param: &Param) -> bool {
        let name = name.to_lowercase();
        let is_matrix = param.tensor().rank() >= 2 || name.ends_with("lora_magnitude_vector");
        is_matrix && !name.contains("norm") && !name.contains("bias")
    }

    /// The learning rate of a parameter, of that of all.
    fn rate(&self, name: &str, param: &Param, learning_rate: f64) -> f64 {
        let is_faster = name.contains("lora_B") || param.tensor().rank() == 1;
        if is_faster { learning_rate * self.config.loraplus_lr_ratio } else { learning_rate }
    }

    /// One step: updates every parameter in place from its gradient buffer, gradients multiplied by
    /// `grad_scale` first. A parameter without a gradient counts as one whose gradient is zero.
    ///
    /// # Errors
    /// If `params` are not those that the optimizer was made for.
    pub fn step(&mut self, params: &Params, learning_rate: f64, grad_scale: f64) -> Result<()> {
        self.step += 1;
        for (name, param) in params.iter() {
            let decay = if Self::decays(name, param) { self.config.weight_decay } else { 0.0 };
            let rate = self.rate(name, param, learning_rate);
            let coefficients = self.coefficients(rate, decay, grad_scale);
            let moments = self.moments.get_mut(name).ok_or_else(|| unknown(name))?;
            let grad = match param.grad_buffer().and_then(|buffer| buffer.get()) {
                Some(grad) => grad.contiguous()?,
                None => param.tensor().detach().zeros_like()?,
            };
            match moments {
                Moments::Cpu { first, second } => {
                    in_place::step(param.tensor(), &grad, first, second, coefficients)?;
                }
                Moments::Device { first, second } => {
                    composed::step(param, &grad, first, second, coefficients)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the moments and the step as safetensors: `exp_avg.<name>`, `exp_avg_sq.<name>`, `step`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, params: &Params, path: &Path) -> Result<()> {
        let step = Tensor::new(self.step as i64, &Device::Cpu)?;
        let mut tensors = HashMap::from([("step".to_owned(), step)]);
        for (name, moments) in &self.moments {
            let (first, second) = moments.tensors(params.require(name)?)?;
            tensors.insert(format!("exp_avg.{name}"), first);
            tensors.insert(format!("exp_avg_sq.{name}"), second);
        }
        Ok(candle_core::safetensors::save(&tensors, path)?)
    }

    /// Reads back what [`AdamW::save`] wrote.
    ///
    /// # Errors
    /// If the file misses a parameter's moments or they have another shape.
    pub fn load(&mut self, params: &Params, path: &Path) -> Result<()> {
        let unreadable = |error| Error::checkpoint(path, format!("cannot be read: {error}"));
        let mut tensors = candle_core::safetensors::load(path, &Device::Cpu).map_err(unreadable)?;
        let mut take = |name: &str| {
            tensors.remove(name).ok_or_else(|| Error::checkpoint(path, format!("it has no tensor `{name}`")))
        };
        self.step = take("step")?.to_scalar::<i64>()? as usize;
        for (name, moments) in &mut self.moments {
            let param = params.require(name)?;
            let (first, second) = (take(&format!("exp_avg.{name}"))?, take(&format!("exp_avg_sq.{name}"))?);
            for tensor in [&first, &second] {
                if tensor.shape() != param.tensor().shape() || tensor.dtype() != DType::F32 {
                    return Err(Error::checkpoint(
                        path,
                        format!(
                            "moment of `{name}`: expected f32 {:?}, found {:?} {:?}",
                            param.tensor().dims(),
                            tensor.dtype(),
                            tensor.dims()
                        ),
                    ));
                }
            }
            *moments = Moments::of(param, &first, &second)?;
        }
        Ok(())
    }

    fn coefficients(&self, learning_rate: f64, weight_decay: f64, grad_scale: f64) -> Coefficients {
        let AdamWConfig { beta1, beta2, epsilon, .. } = self.config;
        let t = self.step as f64;
        Coefficients {
            grad_scale,
            decay: 1.0 - learning_rate * weight_decay,
            beta1,
            beta2,
            correction2_sqrt: (1.0 - beta2.powf(t)).sqrt(),
            epsilon,
            step_size: learning_rate / (1.0 - beta1.powf(t)),
        }
    }
}

impl Moments {
    fn zeros(name: &str, param: &Param) -> Result<Self> {
        if param.tensor().dtype() != DType::F32 {
            let found = param.tensor().dtype();
            let problem = format!("`{name}` is {found:?}: trainable parameters must be f32");
            return Err(candle_core::Error::Msg(problem).into());
        }
        if param.device().is_cpu() {
            let zeros = || vec![0.0; param.tensor().elem_count()];
            return Ok(Self::Cpu { first: zeros(), second: zeros() });
        }
        let zeros = || Tensor::zeros(param.tensor().shape(), DType::F32, param.device());
        Ok(Self::Device { first: zeros()?, second: zeros()? })
    }

    fn of(param: &Param, first: &Tensor, second: &Tensor) -> Result<Self> {
        let device = param.device();
        if device.is_cpu() {
            let values = |t: &Tensor| t.flatten_all()?.to_vec1();
            return Ok(Self::Cpu { first: values(first)?, second: values(second)? });
        }
        Ok(Self::Device { first: first.to_device(device)?, second: second.to_device(device)? })
    }

    fn tensors(&self, param: &Param) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Device { first, second } => Ok((first.clone(), second.clone())),
            Self::Cpu { first, second } => {
                let tensor = |v: &[f32]| Tensor::from_slice(v, param.tensor().shape(), &Device::Cpu);
                Ok((tensor(first)?, tensor(second)?))
            }
        }
    }
}

fn unknown(name: &str) -> candle_core::Error {
    candle_core::Error::Msg(format!("the optimizer knows no parameter called `{name}`"))
}

#[cfg(test)]
mod tests;
