//! Tensors on their way into a file: numbers in the precision that is asked for, or blocks in bitsandbytes' layout.

use std::borrow::Cow;
use std::path::Path;

use align_kernels::{Absmax, Blocks, FourBit, Int8};
use candle_core::{DType, Tensor};
use safetensors::{Dtype, View};

use super::SavedDtype;
use super::blocks::Quantised;
use crate::{Error, Quantisation, Result};

/// What is rounded to the largest number of float16, at most.
const LARGEST_F16: f32 = 65519.0;

/// A tensor that will be written.
#[derive(Clone, Debug)]
pub(super) enum Written {
    Numbers(Tensor),
    Bytes { dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8> },
}

impl Written {
    fn floats(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self::Bytes { dtype: Dtype::F32, shape: vec![values.len()], bytes }
    }

    fn codes(bytes: Vec<u8>, shape: Vec<usize>) -> Self {
        Self::Bytes { dtype: Dtype::U8, shape, bytes }
    }

    /// Bytes in a file whose numbers have this precision.
    pub(super) fn size(&self, dtype: SavedDtype) -> u64 {
        match self {
            Self::Numbers(tensor) => (tensor.elem_count() * dtype.tensor().size_in_bytes()) as u64,
            Self::Bytes { bytes, .. } => bytes.len() as u64,
        }
    }

    /// The tensor of that name with numbers in this precision.
    ///
    /// # Errors
    /// Numbers that would be infinite in it.
    pub(super) fn converted(self, name: &str, dtype: SavedDtype, dir: &Path) -> Result<Self> {
        Ok(match self {
            Self::Numbers(tensor) => {
                if dtype == SavedDtype::Float16 && tensor.elem_count() > 0 {
                    let largest = tensor.abs()?.max_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?;
                    if largest > LARGEST_F16 {
                        let problem = format!(
                            "`{name}`: holds {largest}, and float16 ends at 65504; save it in bfloat16 or float32"
                        );
                        return Err(Error::invalid(dir, problem));
                    }
                }
                Self::Numbers(tensor.to_dtype(dtype.tensor())?)
            }
            bytes @ Self::Bytes { .. } => bytes,
        })
    }
}

impl View for &Written {
    fn dtype(&self) -> Dtype {
        match self {
            Written::Numbers(tensor) => View::dtype(&tensor),
            Written::Bytes { dtype, .. } => *dtype,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Written::Numbers(tensor) => tensor.dims(),
            Written::Bytes { shape, .. } => shape,
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Written::Numbers(tensor) => Cow::Owned(View::data(&tensor).into_owned()),
            Written::Bytes { bytes, .. } => Cow::Borrowed(bytes),
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Written::Numbers(tensor) => tensor.elem_count() * tensor.dtype().size_in_bytes(),
            Written::Bytes { bytes, .. } => bytes.len(),
        }
    }
}

/// The tensors that bitsandbytes writes for a linear layer's weight, which is quantised from that precision.
pub(super) fn in_blocks(
    name: &str,
    weight: &Tensor,
    how: Quantisation,
    dtype: SavedDtype,
) -> Result<Vec<(String, Written)>> {
    let shape = weight.dims2()?;
    let weight = weight.to_dtype(dtype.tensor())?.to_dtype(DType::F32)?;
    Ok(match Quantised::of(&weight.flatten_all()?.to_vec1::<f32>()?, shape, how)? {
        Quantised::FourBit(blocks) => four_bit(name, &blocks, dtype),
        Quantised::Int8(blocks) => int8(name, &blocks),
    })
}

fn four_bit(name: &str, blocks: &FourBit, dtype: SavedDtype) -> Vec<(String, Written)> {
    let kind = blocks.kind().name();
    let ((outputs, inputs), block, dtype) = (blocks.shape(), blocks.block(), dtype.name());
    let mut state = format!(
        r#"{{"quant_type": "{kind}", "blocksize": {block}, "dtype": "{dtype}", "shape": [{outputs}, {inputs}]"#
    );
    let part = |part: &str, written| (format!("{name}.{part}"), written);
    let codes = blocks.codes().to_vec();
    let count = codes.len();
    let mut all = vec![
        (name.to_owned(), Written::codes(codes, vec![count, 1])),
        part("quant_map", Written::floats(&blocks.kind().map())),
    ];
    match blocks.absmax() {
        Absmax::Plain(scales) => all.push(part("absmax", Written::floats(scales))),
        Absmax::Double(double) => {
            let (second, offset) = (double.second_block, f64::from(double.offset));
            state += &format!(
                r#", "nested_blocksize": {second}, "nested_dtype": "float32", "nested_offset": {offset}"#
            );
            all.push(part("absmax", Written::codes(double.codes.clone(), vec![double.codes.len()])));
            all.push(part("nested_absmax", Written::floats(&double.second)));
            all.push(part("nested_quant_map", Written::floats(&*double.map)));
        }
    }
    state.push('}');
    let state = state.into_bytes();
    let count = state.len();
    all.push(part(&format!("quant_state.bitsandbytes__{kind}"), Written::codes(state, vec![count])));
    all
}

fn int8(name: &str, blocks: &Int8) -> Vec<(String, Written)> {
    let module = name.strip_suffix(".weight").unwrap_or(name);
    let (outputs, inputs) = blocks.shape();
    let bytes = blocks.codes().iter().map(|code| code.cast_unsigned()).collect();
    vec![
        (name.to_owned(), Written::Bytes { dtype: Dtype::I8, shape: vec![outputs, inputs], bytes }),
        (format!("{module}.SCB"), Written::floats(blocks.scales())),
        // The order of the codes in memory: row by row.
        (format!("{module}.weight_format"), Written::codes(vec![0], Vec::new())),
    ]
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn numbers_that_float16_does_not_have_are_an_error() {
        let converted = |largest: f32| {
            let tensor = Tensor::new(&[0.1, -largest], &Device::Cpu).unwrap();
            Written::Numbers(tensor).converted("w", SavedDtype::Float16, Path::new("dir"))
        };
        let Written::Numbers(tensor) = converted(65519.0).unwrap() else { panic!("numbers stay numbers") };
        let values = tensor.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, [0.099975586, -65504.0]);
        let error = converted(65520.0).unwrap_err().to_string();
        assert!(error.contains("`w`: holds 65520, and float16 ends at 65504"), "{error}");
    }
}
