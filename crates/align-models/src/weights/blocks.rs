//! Weights in blocks of few bits on disk, as bitsandbytes lays them out; and made of numbers on the way in.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use align_kernels::{Absmax, Blocks, DoubleQuantised, FourBit, FourBitKind, Int8};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Deserialize;
use serde_json::{Value, json};

use super::file::WeightFile;
use crate::{Error, Result};

/// How the linear layers of a model are quantised while it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantisation {
    /// 4 bits in blocks of 64, the scales quantised too if `double`.
    FourBit {
        /// What the bits stand for.
        kind: FourBitKind,
        /// Double quantisation.
        double: bool,
    },
    /// 8 bits, a scale for each row.
    Int8,
}

impl Quantisation {
    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::FourBit { kind, .. } => kind.name(),
            Self::Int8 => "int8",
        }
    }

    /// As settings have it, in transformers' words; none where they have nothing.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn from_json(json: &Value) -> std::result::Result<Option<Self>, &'static str> {
        let kind = match json["bnb_4bit_quant_type"].as_str() {
            Some("nf4") => Some(FourBitKind::Nf4),
            Some("fp4") => Some(FourBitKind::Fp4),
            _ => None,
        };
        match (json["load_in_4bit"].as_bool(), json["load_in_8bit"].as_bool(), kind) {
            _ if json.is_null() => Ok(None),
            (Some(true), None, Some(kind)) => {
                let double = json["bnb_4bit_use_double_quant"] == true;
                Ok(Some(Self::FourBit { kind, double }))
            }
            (None, Some(true), None) => Ok(Some(Self::Int8)),
            _ => Err("`load_in_8bit`, or `load_in_4bit` with a `bnb_4bit_quant_type` of nf4 or fp4"),
        }
    }

    /// `quantization_config` of a checkpoint, as transformers writes it, computed with in `dtype`.
    pub(crate) fn of_checkpoint(self, dtype: &str) -> Value {
        let (kind, double) = match self {
            Self::FourBit { kind, double } => (kind, double),
            Self::Int8 => (FourBitKind::Fp4, false), // what an unused setting says
        };
        let four = matches!(self, Self::FourBit { .. });
        json!({
            "_load_in_4bit": four,
            "_load_in_8bit": !four,
            "bnb_4bit_compute_dtype": dtype,
            "bnb_4bit_quant_storage": "uint8",
            "bnb_4bit_quant_type": kind.name(),
            "bnb_4bit_use_double_quant": double,
            "llm_int8_enable_fp32_cpu_offload": false,
            "llm_int8_has_fp16_weight": false,
            "llm_int8_skip_modules": null,
            "llm_int8_threshold": 6.0,
            "load_in_4bit": four,
            "load_in_8bit": !four,
            "quant_method": "bitsandbytes"
        })
    }

    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::Int8 => json!({ "load_in_8bit": true }),
            Self::FourBit { kind, double } => json!({
                "load_in_4bit": true,
                "bnb_4bit_quant_type": kind.name(),
                "bnb_4bit_use_double_quant": double,
            }),
        }
    }
}

/// Weights of a block that is made here: bitsandbytes' default.
pub(super) const BLOCK: usize = 64;

/// Tensors beside a weight that belong to it.
const PARTS: [&str; 6] = [
    "absmax",
    "quant_map",
    "nested_absmax",
    "nested_quant_map",
    "quant_state.bitsandbytes__nf4",
    "quant_state.bitsandbytes__fp4",
];

/// Files' tensors by name.
pub(super) type Stored<'a> = BTreeMap<String, (&'a WeightFile, &'a TensorInfo)>;

/// All tensors of these files.
pub(super) fn stored(files: &[WeightFile]) -> Stored<'_> {
    files.iter().flat_map(|file| file.tensors().map(move |(name, info)| (name, (file, info)))).collect()
}

/// A weight in blocks, of which rows may be had.
pub(super) enum Quantised {
    FourBit(FourBit),
    Int8(Int8),
}

/// What bitsandbytes writes beside 4-bit weights.
#[derive(Deserialize)]
struct State {
    quant_type: String,
    blocksize: usize,
    shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f32>,
}

impl Quantised {
    /// Some rows of it, or all.
    pub(super) fn part(&self, rows: Range<usize>) -> Arc<dyn Blocks> {
        match self {
            Self::FourBit(all) if rows.len() == all.shape().0 => Arc::new(all.clone()),
            Self::FourBit(all) => Arc::new(all.rows(rows)),
            Self::Int8(all) => Arc::new(all.rows(rows)),
        }
    }

    /// The blocks that stand for `weights` `[outputs, inputs]`.
    pub(super) fn of(weights: &[f32], shape: (usize, usize), how: Quantisation) -> Result<Self> {
        Ok(match how {
            Quantisation::FourBit { kind, double } => {
                Self::FourBit(FourBit::quantise(weights, kind, shape, BLOCK, double)?)
            }
            Quantisation::Int8 => {
                // bitsandbytes takes 8 bits from 16.
                let half: Vec<f32> = weights.iter().map(|it| half::f16::from_f32(*it).to_f32()).collect();
                Self::Int8(Int8::quantise(&half, shape)?)
            }
        })
    }

    /// Reads the weight of that name and shape; none if it is there as numbers.
    ///
    /// # Errors
    /// Parts that are missing or do not fit together.
    pub(super) fn read(dir: &Path, stored: &Stored<'_>, name: &str, shape: &[usize]) -> Result<Option<Self>> {
        let wrong = |problem: String| Error::invalid(dir, format!("tensor `{name}`: {problem}"));
        let (Some((file, info)), &[outputs, inputs]) = (stored.get(name), shape) else { return Ok(None) };
        let shape = (outputs, inputs);
        match info.dtype {
            Dtype::U8 => four_bit(stored, name, shape, file.bytes(info)?)
                .map(|it| Some(Self::FourBit(it)))
                .map_err(wrong),
            Dtype::I8 if info.shape == [outputs, inputs] => {
                let scales = format!("{}.SCB", name.strip_suffix(".weight").unwrap_or(name));
                let Some((of_scales, scales_info)) = stored.get(&scales) else {
                    return Err(wrong(format!("is of 8 bits and has no scales `{scales}`")));
                };
                let codes = file.bytes(info)?.into_iter().map(u8::cast_signed).collect();
                let scales = of_scales.read(scales_info)?;
                let read = Int8::new(shape, codes, scales).map_err(|error| wrong(error.to_string()))?;
                Ok(Some(Self::Int8(read)))
            }
            _ => Ok(None),
        }
    }
}

/// The names that belong to a weight in blocks.
pub(super) fn parts(name: &str) -> impl Iterator<Item = String> {
    let module = name.strip_suffix(".weight").unwrap_or(name).to_owned();
    let own = PARTS.iter().map(move |part| format!("{name}.{part}"));
    own.chain(["SCB", "weight_format"].map(|part| format!("{module}.{part}")))
}

/// A weight of 4 bits, or what is wrong with it.
fn four_bit(
    stored: &Stored<'_>,
    name: &str,
    shape: (usize, usize),
    codes: Vec<u8>,
) -> std::result::Result<FourBit, String> {
    let part = |part: &str| stored.get(&format!("{name}.{part}"));
    let read = |(file, info): &(&WeightFile, &TensorInfo)| file.read(info).map_err(|error| error.to_string());
    let found = [FourBitKind::Nf4, FourBitKind::Fp4].into_iter().find_map(|kind| {
        part(&format!("quant_state.bitsandbytes__{}", kind.name())).map(|state| (kind, state))
    });
    let Some((kind, (file, info))) = found else {
        return Err("is of 4 bits and has no `quant_state`, which says what they stand for; save the model again with \
                    bitsandbytes ≥ 0.41"
            .to_owned());
    };
    let kind_name = kind.name();
    let bytes = file.bytes(info).map_err(|error| error.to_string())?;
    let state: State = serde_json::from_slice(&bytes).map_err(|error| format!("`quant_state`: {error}"))?;
    if state.quant_type != kind_name || state.shape != [shape.0, shape.1] {
        let (kind, found) = (align_text::shortened(&state.quant_type, 20), &state.shape);
        return Err(format!("`quant_state`: expected {kind_name} of {shape:?}, found {kind} of {found:?}"));
    }
    if let Some(map) = part("quant_map") {
        let same = read(map)?.iter().map(|it| it + 0.0).eq(kind.map().map(|it| it + 0.0));
        if !same {
            return Err(format!("`quant_map`: expected the codes of {kind_name}, found others"));
        }
    }
    let absmax = part("absmax").ok_or("has no scales `absmax`")?;
    let absmax = match (absmax.1.dtype, state.nested_blocksize) {
        (Dtype::U8, Some(second_block @ 1..)) => {
            let second = read(part("nested_absmax").ok_or("has no `nested_absmax`")?)?;
            let map = read(part("nested_quant_map").ok_or("has no `nested_quant_map`")?)?;
            let map = map
                .try_into()
                .map(Box::new)
                .map_err(|_| "`nested_quant_map`: expected 256 codes".to_owned())?;
            let codes = absmax.0.bytes(absmax.1).map_err(|error| error.to_string())?;
            let offset = state.nested_offset.ok_or("`quant_state` has no `nested_offset`")?;
            if second.len() != codes.len().div_ceil(second_block) {
                return Err(format!(
                    "`nested_absmax`: {} scales do not fit {} codes",
                    second.len(),
                    codes.len()
                ));
            }
            Absmax::Double(DoubleQuantised { codes, map, second, second_block, offset })
        }
        (Dtype::U8, _) => {
            return Err("`absmax` is of 8 bits, and `quant_state` has no `nested_blocksize`".to_owned());
        }
        _ => Absmax::Plain(read(absmax)?),
    };
    FourBit::new(kind, shape, state.blocksize, codes, absmax).map_err(|error| error.to_string())
}
