//! The state of an optimizer in a file: `<buffer>.<parameter>`, `step`, and the optimizer's name.

use std::borrow::Cow;
use std::path::Path;

use align_kernels::Params;
use candle_core::{Device, Tensor};
use safetensors::{Dtype, View};

use super::buffer::{Buffer, Values};
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
        let step = (self.step as i64).to_le_bytes();
        let mut tensors = vec![(STEP.to_owned(), Stored::Bytes(Dtype::I64, [].into(), &step))];
        let optim = self.config.method.optim();
        if optim != Optim::AdamwTorch {
            let name = optim.name().as_bytes();
            tensors.push((OPTIM.to_owned(), Stored::Bytes(Dtype::U8, [name.len()].into(), name)));
        }
        for (name, state) in &self.states {
            for buffer in &state.buffers {
                let stored = match &buffer.values {
                    Values::Device(tensor) => Stored::Tensor(tensor),
                    Values::F32(_) | Values::U8(_) => Stored::Buffer(buffer),
                };
                tensors.push((format!("{}.{name}", buffer.spec.name), stored));
            }
        }
        let written = safetensors::serialize_to_file(tensors, None, path);
        written.map_err(|error| Error::checkpoint(path, format!("cannot be written: {error}")))
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

/// A tensor on its way into the file. Its bytes are made when it is written, one tensor at a time: a copy of the whole state would
/// be the most that a run ever has in memory.
enum Stored<'a> {
    Bytes(Dtype, Vec<usize>, &'a [u8]),
    Buffer(&'a Buffer),
    Tensor(&'a Tensor),
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::Bytes(dtype, ..) => *dtype,
            Self::Buffer(Buffer { values: Values::U8(_), .. }) => Dtype::U8,
            Self::Buffer(_) => Dtype::F32,
            Self::Tensor(tensor) => View::dtype(tensor),
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Bytes(_, shape, _) => shape,
            Self::Buffer(buffer) => &buffer.spec.shape,
            Self::Tensor(tensor) => tensor.dims(),
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Bytes(_, _, bytes) => Cow::Borrowed(bytes),
            Self::Tensor(tensor) => Cow::Owned(View::data(tensor).into_owned()),
            Self::Buffer(buffer) => match &buffer.values {
                Values::U8(values) => Cow::Borrowed(values),
                Values::F32(values) => {
                    let mut bytes = Vec::with_capacity(self.data_len());
                    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
                    Cow::Owned(bytes)
                }
                Values::Device(_) => Cow::Borrowed(&[]),
            },
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Self::Bytes(_, _, bytes) => bytes.len(),
            Self::Buffer(buffer) => buffer.bytes(),
            Self::Tensor(tensor) => View::data_len(tensor),
        }
    }
}
