//! The state of an optimizer in a file: `<buffer>.<parameter>`, `step`, and the optimizer's name. However ranks have shared it, the
//! file is the same: what writes it asks all for their parts, one buffer at a time, and each reads its own out of the whole.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;

use align_kernels::Params;
use candle_core::{DType, Tensor};
use safetensors::{Dtype, View};
use serde::{Deserialize, Serialize};

use super::buffer::{Buffer, Spec, Values};
use super::{Optim, Optimizer};
use crate::shares::GRAIN;
use crate::tensor_file::TensorFile;
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
        self.save_asking(path, &|question| Ok(vec![self.answer(question)]))
    }

    /// The same of a state that is shared: `ask` has the parts of all ranks, each of which [`Optimizer::answer`]s.
    pub(crate) fn save_asking(&self, path: &Path, ask: &Ask<'_>) -> Result<()> {
        let step = (self.step as i64).to_le_bytes();
        let mut tensors = vec![(STEP.to_owned(), Stored::Bytes(Dtype::I64, [].into(), &step))];
        let optim = self.config.method.optim();
        if optim != Optim::AdamwTorch {
            let name = optim.name().as_bytes();
            tensors.push((OPTIM.to_owned(), Stored::Bytes(Dtype::U8, [name.len()].into(), name)));
        }
        let failed = RefCell::new(None);
        for (name, state) in &self.states {
            for (number, spec) in state.rule.buffers(&state.shape).into_iter().enumerate() {
                let stored = match state.buffers.get(number) {
                    Some(Buffer { values: Values::Device(tensor), .. }) => Stored::Tensor(tensor),
                    Some(buffer) if !self.is_shared => Stored::Buffer(buffer),
                    _ => Stored::Shared {
                        name: name.clone(),
                        number,
                        spec: spec.clone(),
                        ask,
                        failed: &failed,
                    },
                };
                tensors.push((format!("{}.{name}", spec.name), stored));
            }
        }
        let written = safetensors::serialize_to_file(tensors, None, path);
        if let Some(error) = failed.take() {
            return Err(error);
        }
        written.map_err(|error| Error::checkpoint(path, format!("cannot be written: {error}")))
    }

    /// Some bytes of the own part of a buffer; fewer or none where it ends before.
    pub(crate) fn answer(&self, question: &Question) -> Vec<u8> {
        let Question { name, number, from } = question;
        let buffer = self.states.get(name).and_then(|state| state.buffers.get(*number));
        let bytes = buffer.map_or(Cow::Borrowed(&[] as &[u8]), |buffer| bytes_of(buffer, *from, PIECE));
        bytes.into_owned()
    }

    /// Reads back what [`Optimizer::save`] wrote, or the own part of it.
    ///
    /// # Errors
    /// If the file is of another optimizer, misses a parameter's state, or has it in another shape.
    pub fn load(&mut self, params: &Params, path: &Path) -> Result<()> {
        let problem = |problem: String| Error::checkpoint(path, problem);
        let mut file = TensorFile::open(path)?;
        let expected = self.config.method.optim().name();
        let found = match file.info(OPTIM) {
            Some(_) => String::from_utf8_lossy(&file.read(OPTIM, 0, usize::MAX)?).into_owned(),
            None => Optim::AdamwTorch.name().to_owned(),
        };
        if found != expected {
            return Err(problem(format!(
                "holds the state of `optim` {found}, expected that of {expected}: go on with --optim {found}, or start a \
                 new run from the checkpoint's weights"
            )));
        }
        let absent = |name: &str| problem(format!("it has no tensor `{name}`"));
        let step = file.read(STEP, 0, 8)?;
        let step = step.try_into().map_err(|_| problem(format!("`{STEP}` is no number of 64 bits")))?;
        self.step = i64::from_le_bytes(step) as usize;
        for (name, state) in &mut self.states {
            params.require(name)?;
            let whole = state.rule.buffers(&state.shape);
            for (number, spec) in whole.into_iter().enumerate() {
                let stored = format!("{}.{name}", spec.name);
                let (dtype, shape) = file.info(&stored).ok_or_else(|| absent(&stored))?;
                let is = if spec.dtype == DType::U8 { Dtype::U8 } else { Dtype::F32 };
                if *shape != spec.shape || dtype != is {
                    return Err(problem(format!(
                        "`{}` of `{name}`: expected {is:?} {:?}, found {dtype:?} {shape:?}",
                        spec.name, spec.shape
                    )));
                }
                let Some(buffer) = state.buffers.get_mut(number) else { continue };
                // Buffers with one number for each block have as many fewer before the own ones.
                let elements: usize = state.shape.iter().product();
                let is_of_blocks = spec.shape.iter().product::<usize>() != elements && state.own.start > 0;
                let first = if is_of_blocks { state.own.start / GRAIN } else { state.own.start };
                let size = spec.dtype.size_in_bytes();
                buffer.set_bytes(&file.read(&stored, first * size, buffer.bytes())?)?;
            }
        }
        Ok(())
    }
}

/// What asks all ranks for their answers.
pub(crate) type Ask<'a> = dyn Fn(&Question) -> Result<Vec<Vec<u8>>> + 'a;

/// A question for a part of a buffer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    name: String,
    number: usize,
    from: usize,
}

/// Bytes of an answer, which every rank gets of every other.
const PIECE: usize = 1 << 20;

/// The little-endian bytes of a buffer on the CPU from one on, at most so many.
fn bytes_of(buffer: &Buffer, from: usize, most: usize) -> Cow<'_, [u8]> {
    let range = |all: usize| from.min(all)..from.saturating_add(most).min(all);
    match &buffer.values {
        Values::U8(values) => Cow::Borrowed(&values[range(values.len())]),
        Values::F32(values) => {
            let range = range(4 * values.len());
            let values = &values[range.start / 4..range.end / 4];
            let mut bytes = Vec::with_capacity(4 * values.len());
            values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            Cow::Owned(bytes)
        }
        Values::Device(_) => Cow::Borrowed(&[]),
    }
}

/// The parts of all ranks, one after the other.
fn gathered(name: &str, number: usize, ask: &Ask<'_>, bytes: usize) -> Result<Vec<u8>> {
    let mut of_ranks: Vec<Vec<u8>> = Vec::new();
    let mut from = 0;
    while of_ranks.iter().map(Vec::len).sum::<usize>() < bytes {
        let answers = ask(&Question { name: name.to_owned(), number, from })?;
        if answers.iter().all(Vec::is_empty) {
            return Err(Error::stage(format!(
                "ranks have less than all of the state of `{name}`; this is a bug"
            )));
        }
        of_ranks.resize(answers.len(), Vec::new());
        of_ranks.iter_mut().zip(answers).for_each(|(of_rank, answer)| of_rank.extend(answer));
        from += PIECE;
    }
    Ok(of_ranks.concat())
}

/// A tensor on its way into the file. Its bytes are made when it is written, one tensor at a time: a copy of the whole state would
/// be the most that a run ever has in memory.
enum Stored<'a> {
    Bytes(Dtype, Vec<usize>, &'a [u8]),
    Buffer(&'a Buffer),
    Tensor(&'a Tensor),
    Shared {
        name: String,
        number: usize,
        spec: Spec,
        ask: &'a Ask<'a>,
        /// Why ranks could not be asked: nothing of it can be told by what is written.
        failed: &'a RefCell<Option<Error>>,
    },
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        let of = |spec: &Spec| if spec.dtype == DType::U8 { Dtype::U8 } else { Dtype::F32 };
        match self {
            Self::Bytes(dtype, ..) => *dtype,
            Self::Buffer(buffer) => of(&buffer.spec),
            Self::Shared { spec, .. } => of(spec),
            Self::Tensor(tensor) => View::dtype(tensor),
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Bytes(_, shape, _) => shape,
            Self::Buffer(buffer) => &buffer.spec.shape,
            Self::Shared { spec, .. } => &spec.shape,
            Self::Tensor(tensor) => tensor.dims(),
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Bytes(_, _, bytes) => Cow::Borrowed(bytes),
            Self::Tensor(tensor) => Cow::Owned(View::data(tensor).into_owned()),
            Self::Buffer(buffer) => bytes_of(buffer, 0, usize::MAX),
            Self::Shared { name, number, spec, ask, failed } => {
                let asked = match failed.borrow().is_some() {
                    true => Ok(vec![0; spec.bytes()]),
                    false => gathered(name, *number, *ask, spec.bytes()),
                };
                Cow::Owned(asked.unwrap_or_else(|error| {
                    failed.replace(Some(error));
                    vec![0; spec.bytes()]
                }))
            }
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Self::Bytes(_, _, bytes) => bytes.len(),
            Self::Buffer(buffer) => buffer.bytes(),
            Self::Shared { spec, .. } => spec.bytes(),
            Self::Tensor(tensor) => View::data_len(tensor),
        }
    }
}
