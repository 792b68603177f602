//! What a LoRA adapter is made of: its settings, under PEFT's names.

use std::fmt;

/// The settings of a LoRA adapter (Hu et al. 2021, arXiv:2106.09685), as PEFT's `LoraConfig` has them.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// The rank: rows of A and columns of B.
    pub r: usize,
    /// α: the product of A and B is multiplied by α / r.
    pub lora_alpha: f64,
    /// The probability with which an element of an adapter's input is dropped in training.
    pub lora_dropout: f64,
    /// rsLoRA: α / √r in the place of α / r (Kalajdzievski 2023, arXiv:2312.03732).
    pub use_rslora: bool,
    /// DoRA: the rows' lengths are trained apart from their directions (Liu et al. 2024, arXiv:2402.09353).
    pub use_dora: bool,
    /// Whether B has a bias.
    pub lora_bias: bool,
    /// The modules that get an adapter.
    pub target_modules: Modules,
    /// Those that get none all the same.
    pub exclude_modules: Option<Modules>,
    /// The layers that get one, by number; all if there are none.
    pub layers_to_transform: Vec<usize>,
    /// The names before a layer's number; any if there are none.
    pub layers_pattern: Vec<String>,
    /// Ranks of modules that have another one: the first pattern that a module's name ends with.
    pub rank_pattern: Vec<(String, usize)>,
    /// The same for α.
    pub alpha_pattern: Vec<(String, f64)>,
    /// Modules that are trained and saved whole.
    pub modules_to_save: Vec<String>,
    /// Tokens whose rows of the embedding are trained, and of the head where that is the embedding.
    pub trainable_token_indices: Vec<u32>,
    /// What a new adapter starts from.
    pub init_lora_weights: LoraStart,
}

/// The start of a new adapter. With each the model starts as its base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoraStart {
    /// `true`: A is uniform in ±1/√inputs, B is 0.
    #[default]
    Uniform,
    /// `gaussian`: A is normal with deviation 1/r, B is 0.
    Gaussian,
    /// `pissa`: the weight's largest singular values and their vectors, which an offset takes off again (PiSSA, Meng et al.
    /// 2024, arXiv:2404.02948). Saved as PEFT converts it: an ordinary adapter of twice the rank over the same base.
    Pissa,
}

/// A choice of a model's modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modules {
    /// `all-linear`: all linear modules but the head.
    AllLinear,
    /// Names: a module's own, or the end of it from a dot on.
    Names(Vec<String>),
    /// A regular expression that the whole name of a module fits.
    Pattern(String),
}

impl Default for LoraConfig {
    /// TRL's ranks, and all linear modules.
    fn default() -> Self {
        Self {
            r: 16,
            lora_alpha: 32.0,
            lora_dropout: 0.0,
            use_rslora: false,
            use_dora: false,
            lora_bias: false,
            target_modules: Modules::AllLinear,
            exclude_modules: None,
            layers_to_transform: Vec::new(),
            layers_pattern: Vec::new(),
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            modules_to_save: Vec::new(),
            trainable_token_indices: Vec::new(),
            init_lora_weights: LoraStart::Uniform,
        }
    }
}

impl LoraConfig {
    /// The settings under which the adapter is saved, which are those of an ordinary one.
    pub(crate) fn portable(&self) -> Self {
        if self.init_lora_weights != LoraStart::Pissa {
            return self.clone();
        }
        let alpha = |alpha: f64| alpha * if self.use_rslora { 2f64.sqrt() } else { 2.0 };
        Self {
            r: 2 * self.r,
            lora_alpha: alpha(self.lora_alpha),
            rank_pattern: self.rank_pattern.iter().map(|(it, rank)| (it.clone(), 2 * rank)).collect(),
            alpha_pattern: self.alpha_pattern.iter().map(|(it, own)| (it.clone(), alpha(*own))).collect(),
            init_lora_weights: LoraStart::Uniform,
            ..self.clone()
        }
    }

    /// The factor of the product of A and B.
    pub(crate) fn scale(&self, rank: usize, alpha: f64) -> f64 {
        let rank = rank as f64;
        alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

impl fmt::Display for Modules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllLinear => f.write_str("all-linear"),
            Self::Names(names) => f.write_str(&names.join(", ")),
            Self::Pattern(pattern) => f.write_str(pattern),
        }
    }
}
