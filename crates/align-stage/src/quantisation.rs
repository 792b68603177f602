//! The options of weights of few bits, by the names of transformers' `BitsAndBytesConfig`.

use align_kernels::FourBitKind;
use align_models::Quantisation;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What 4 bits stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum QuantType {
    /// NormalFloat4.
    Nf4,
    /// A 4-bit float.
    Fp4,
}

/// How the linear layers of a model are quantised.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct QuantOptions {
    /// Quantise the linear layers to 4 bits (Dettmers et al. 2023, arXiv:2305.14314), while a frozen base is loaded (QLoRA) or for
    /// a model that is written
    #[arg(long)]
    pub load_in_4bit: bool,

    /// Quantise them to 8 bits
    #[arg(long)]
    pub load_in_8bit: bool,

    /// What 4 bits stand for; default: nf4
    #[arg(long, value_enum)]
    pub bnb_4bit_quant_type: Option<QuantType>,

    /// Quantise the scales of 4-bit blocks too
    #[arg(long, visible_alias = "use-bnb-nested-quant")]
    pub bnb_4bit_use_double_quant: bool,
}

impl QuantOptions {
    /// How weights are held, if not as numbers.
    ///
    /// # Errors
    /// Options that exclude each other, or have no effect.
    pub fn quantisation(&self) -> Result<Option<Quantisation>> {
        let without = [
            ("bnb_4bit_quant_type", self.bnb_4bit_quant_type.is_some()),
            ("bnb_4bit_use_double_quant", self.bnb_4bit_use_double_quant),
        ];
        if let Some((option, _)) = without.into_iter().find(|(_, given)| *given && !self.load_in_4bit) {
            return Err(Error::no_effect(option, "without `--load-in-4bit`"));
        }
        match (self.load_in_4bit, self.load_in_8bit) {
            (true, true) => {
                Err(Error::option("load_in_8bit", "and `load_in_4bit` exclude each other; give one"))
            }
            (false, false) => Ok(None),
            (false, true) => Ok(Some(Quantisation::Int8)),
            (true, false) => {
                let kind = match self.bnb_4bit_quant_type {
                    None | Some(QuantType::Nf4) => FourBitKind::Nf4,
                    Some(QuantType::Fp4) => FourBitKind::Fp4,
                };
                Ok(Some(Quantisation::FourBit { kind, double: self.bnb_4bit_use_double_quant }))
            }
        }
    }
}
