//! Which blocks the weights of a written file are in: llama.cpp's mixtures.

use align_gguf::Kind;
use candle_core::quantized::GgmlDType;

/// The type of a GGUF file's weights. Norms and biases are F32 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[expect(non_camel_case_types, reason = "llama.cpp's names")]
pub enum GgufType {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// 16 bits with the exponents of 32.
    Bf16,
    /// 8.5 bits.
    Q8_0,
    /// 4.5 bits.
    Q4_0,
    /// 4.5 bits, half of the values and of what widens 6.6.
    Q4_K_M,
    /// 5.5 bits, half of the values and of what widens 6.6.
    Q5_K_M,
    /// 6.6 bits.
    Q6_K,
}

impl GgufType {
    /// The number of `general.file_type`.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Bf16 => 32,
            Self::Q8_0 => 7,
            Self::Q4_0 => 2,
            Self::Q4_K_M => 15,
            Self::Q5_K_M => 17,
            Self::Q6_K => 18,
        }
    }

    /// The blocks of a tensor by its name in the file and its shape, in a model of `layers` layers; `is_head` for what gives
    /// the logits.
    pub(super) fn of(self, name: &str, shape: &[usize], layers: usize, is_head: bool) -> Kind {
        let &[_, columns] = shape else { return Kind::F32 };
        let wanted = match self {
            Self::F32 => Kind::F32,
            Self::F16 => Kind::F16,
            Self::Bf16 => Kind::BF16,
            Self::Q8_0 => Kind::Q8_0,
            _ if is_head => Kind::Q6_K,
            Self::Q4_0 => Kind::Q4_0,
            Self::Q6_K => Kind::Q6_K,
            Self::Q4_K_M if is_widened(name, layers) => Kind::Q6_K,
            Self::Q5_K_M if is_widened(name, layers) => Kind::Q6_K,
            Self::Q4_K_M => Kind::Q4_K,
            Self::Q5_K_M => Kind::Q5_K,
        };
        fitting(wanted, columns)
    }
}

/// Values and what widens, in the first and last eighth of the layers and every third between.
fn is_widened(name: &str, layers: usize) -> bool {
    let mut parts = name.split('.').skip(1);
    let layer = parts.next().and_then(|number| number.parse::<usize>().ok());
    let (Some(layer), Some("attn_v" | "ffn_down")) = (layer, parts.next()) else { return false };
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

/// Blocks that fit into rows of so many columns.
fn fitting(wanted: Kind, columns: usize) -> Kind {
    let smaller = match wanted {
        fits if columns.is_multiple_of(fits.block()) => return fits,
        Kind::Q4_K => Kind::Q5_0,
        Kind::Q5_K => Kind::Q5_1,
        Kind::Q6_K => Kind::Q8_0,
        _ => Kind::F16,
    };
    if columns.is_multiple_of(smaller.block()) { smaller } else { Kind::F16 }
}

/// candle's word for it.
pub(super) fn blocks_of(kind: Kind) -> GgmlDType {
    match kind {
        Kind::F32 => GgmlDType::F32,
        Kind::F16 => GgmlDType::F16,
        Kind::BF16 => GgmlDType::BF16,
        Kind::Q4_0 => GgmlDType::Q4_0,
        Kind::Q4_1 => GgmlDType::Q4_1,
        Kind::Q5_0 => GgmlDType::Q5_0,
        Kind::Q5_1 => GgmlDType::Q5_1,
        Kind::Q8_0 => GgmlDType::Q8_0,
        Kind::Q2_K => GgmlDType::Q2K,
        Kind::Q3_K => GgmlDType::Q3K,
        Kind::Q4_K => GgmlDType::Q4K,
        Kind::Q5_K => GgmlDType::Q5K,
        Kind::Q6_K => GgmlDType::Q6K,
    }
}
