//! The state of an optimizer in a file: `<buffer>.<parameter>`, `step`, and the optimizer's name.

use std::collections::HashMap;
use std::path::Path;

use align_kernels::Params;
use candle_core::{Device, Tensor};

use super::{Optim, Optimizer};
use crate::{Error, Result};

const STEP: &str = "step";
/// The name's letters. AdamW's files, which had no name at first, still have none.
const OPTIM: &str = "optim";

impl Optimizer {
    /// Writes the state and the step as safetensors: `exp_avg.<name>`, `exp_avg_sq.<name>` or what else the optimizer keeps,
    /// `step`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let step = Tensor::new(self.step as i64, &Device::Cpu)?;
        let mut tensors = HashMap::from([(STEP.to_owned(), step)]);
        let optim = self.config.method.optim();
        if optim != Optim::AdamwTorch {
            tensors.insert(OPTIM.to_owned(), Tensor::new(optim.name().as_bytes(), &Device::Cpu)?);
        }
        for (name, state) in &self.states {
            for buffer in &state.buffers {
                tensors.insert(format!("{}.{name}", buffer.spec.name), buffer.tensor()?);
            }
        }
        Ok(candle_core::safetensors::save(&tensors, path)?)
    }

    /// Reads back what [`Optimizer::save`] wrote.
    ///
    /// # Errors
    /// If the file is of another optimizer, misses a parameter's state, or has it in another shape.
    pub fn load(&mut self, params: &Params, path: &Path) -> Result<()> {
        let problem = |problem: String| Error::checkpoint(path, problem);
        let unreadable = |error| problem(format!("cannot be read: {error}"));
        let mut tensors = candle_core::safetensors::load(path, &Device::Cpu).map_err(unreadable)?;
        let expected = self.config.method.optim().name();
        let found = match tensors.remove(OPTIM) {
            Some(name) => String::from_utf8_lossy(&name.flatten_all()?.to_vec1::<u8>()?).into_owned(),
            None => Optim::AdamwTorch.name().to_owned(),
        };
        if found != expected {
            return Err(problem(format!(
                "holds the state of `optim` {found}, expected that of {expected}: go on with --optim {found}, or start a \
                 new run from the checkpoint's weights"
            )));
        }
        let mut take =
            |name: &str| tensors.remove(name).ok_or_else(|| problem(format!("it has no tensor `{name}`")));
        self.step = take(STEP)?.to_scalar::<i64>()? as usize;
        for (name, state) in &mut self.states {
            params.require(name)?;
            for buffer in &mut state.buffers {
                let tensor = take(&format!("{}.{name}", buffer.spec.name))?;
                let spec = &buffer.spec;
                if tensor.dims() != spec.shape || tensor.dtype() != spec.dtype {
                    return Err(problem(format!(
                        "`{}` of `{name}`: expected {} {:?}, found {} {:?}",
                        spec.name,
                        spec.dtype.as_str(),
                        spec.shape,
                        tensor.dtype().as_str(),
                        tensor.dims()
                    )));
                }
                buffer.set(&tensor)?;
            }
        }
        Ok(())
    }
}
