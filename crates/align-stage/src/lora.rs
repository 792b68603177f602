//! The options of adapters: TRL's and PEFT's names.

use std::path::Path;

use align_models::{LoraConfig, LoraStart, ModelDir, Modules};
use serde::{Deserialize, Serialize};

use crate::{Error, Given, ModelOptions, QuantOptions, Result};

/// How much higher an adapter's learning rate is by default than that of all weights (Schulman et al. 2025, "LoRA Without
/// Regret").
pub(crate) const LEARNING_RATE_FACTOR: f64 = 10.0;

/// What a new adapter starts from. With each the model starts as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum InitLoraWeights {
    /// A uniform in ±1/√inputs, B zero.
    True,
    /// A normal with deviation 1/r, B zero.
    Gaussian,
    /// A and B the weight's largest singular values, which an offset takes off again (PiSSA, Meng et al. 2024, arXiv:2404.02948);
    /// saved as an ordinary adapter of twice the rank.
    Pissa,
}

/// Training an adapter in the place of all weights (LoRA, Hu et al. 2021, arXiv:2106.09685).
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Adapter (LoRA)")]
pub struct LoraOptions {
    /// Train an adapter over the model, which stays as it is, and save the adapter in PEFT's layout. A model that is an
    /// adapter already is trained further without this
    #[arg(long)]
    pub use_peft: bool,

    /// Rank: rows of A and columns of B
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = align_limits::count())]
    pub lora_r: usize,

    /// α: what A and B give is multiplied by α / r
    #[arg(long, default_value_t = 32.0, value_name = "X", value_parser = align_limits::finite())]
    pub lora_alpha: f64,

    /// Probability with which an element of an adapter's input is dropped in training
    #[arg(long, default_value_t = 0.0, value_name = "P", value_parser = align_limits::number(0.0..=0.99))]
    pub lora_dropout: f64,

    /// Modules that get an adapter: `all-linear`, names or ends of names (q_proj,v_proj), or one regular expression for whole
    /// names
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", default_values_t = ["all-linear".to_owned()])]
    pub lora_target_modules: Vec<String>,

    /// Modules that get none all the same: names, ends of names, or one regular expression
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub exclude_modules: Vec<String>,

    /// Numbers of the layers that get one; default: all
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = align_limits::count())]
    pub layers_to_transform: Vec<usize>,

    /// Modules that are trained and saved whole beside the adapter; a reward model's head always is
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub lora_modules_to_save: Vec<String>,

    /// Tokens, by their numbers, whose rows of the embedding are trained and saved beside the adapter (and of the head, where
    /// that is the embedding): those that were added for a chat template
    #[arg(long, value_delimiter = ',', value_name = "ID,…", value_parser = align_limits::token_id())]
    pub trainable_token_indices: Vec<usize>,

    /// Other ranks by module: names, ends of names or regular expressions of them
    #[arg(long, value_delimiter = ',', value_name = "NAME=N,…")]
    pub rank_pattern: Vec<String>,

    /// Other α by module
    #[arg(long, value_delimiter = ',', value_name = "NAME=X,…")]
    pub alpha_pattern: Vec<String>,

    /// rsLoRA: multiply by α / √r
    #[arg(long)]
    pub use_rslora: bool,

    /// DoRA: train the lengths of a weight's rows apart from their directions
    #[arg(long)]
    pub use_dora: bool,

    /// Give B a bias
    #[arg(long)]
    pub lora_bias: bool,

    /// What A and B start from; with each the model starts as it is
    #[arg(long, value_enum, default_value_t = InitLoraWeights::True)]
    pub init_lora_weights: InitLoraWeights,

    /// LoRA+: how many times as high the learning rate of B is as that of A (Hayou et al. 2024, arXiv:2402.12354); default: 1
    #[arg(long, value_name = "X", value_parser = align_limits::number(0.0..=1e6))]
    pub loraplus_lr_ratio: Option<f64>,

    /// How the frozen base is held.
    #[command(flatten)]
    #[serde(flatten)]
    pub base: QuantOptions,

    /// What the adapter is for, CAUSAL_LM or SEQ_CLS: must be what is trained
    #[arg(long, value_name = "TYPE")]
    pub lora_task_type: Option<String>,
}

/// Options of a new adapter.
const OF_A_NEW_ONE: &[&str] = &[
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "lora_target_modules",
    "exclude_modules",
    "layers_to_transform",
    "lora_modules_to_save",
    "trainable_token_indices",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
    "use_dora",
    "lora_bias",
    "init_lora_weights",
    "lora_task_type",
];

impl LoraOptions {
    /// The model that is trained: with a new adapter, if that is asked for. `task` is PEFT's word for what the stage trains.
    ///
    /// # Errors
    /// Options without effect, or that do not fit the model.
    pub(crate) fn applied(
        &self,
        dir: ModelDir,
        model: &ModelOptions,
        task: &str,
        given: &Given,
    ) -> Result<ModelDir> {
        let dir = self.base.quantisation()?.map_or(dir.clone(), |how| dir.quantised(how));
        if !self.use_peft {
            given.refuse(OF_A_NEW_ONE, "without `--use-peft`")?;
            if !dir.is_adapter() {
                given.refuse(&["loraplus_lr_ratio"], "without an adapter (`--use-peft`)")?;
                let because =
                    "all weights are trained, which weights of few bits cannot be; give `--use-peft`";
                given.refuse(&["load_in_4bit", "load_in_8bit"], because)?;
            }
            return Ok(dir);
        }
        if self.lora_task_type.as_ref().is_some_and(|asked| asked != task) {
            return Err(Error::option(
                "lora_task_type",
                format!("what is trained here is {task}; leave it out"),
            ));
        }
        if model.resize_token_embeddings {
            let problem = "gives the model rows that its directory lacks, so that nobody could load the adapter; train all \
                           weights, or resize the model first";
            return Err(Error::option("resize_token_embeddings", problem));
        }
        // Where the base is, for whoever opens the adapter from elsewhere.
        let name = &model.model_name_or_path;
        let place = Path::new(name).canonicalize().ok().filter(|_| Path::new(name).exists());
        let (name, revision) = match place {
            Some(place) => (place.display().to_string(), None),
            None => {
                (name.clone(), Some(model.model_revision.as_str()).filter(|revision| *revision != "main"))
            }
        };
        Ok(dir.with_new_adapter(&self.config()?, &name, revision)?)
    }

    /// What is drawn anew for every micro-batch, so that an update which is cut otherwise is another one.
    pub fn drawn_by_micro_batch(&self) -> Option<String> {
        (self.lora_dropout > 0.0).then(|| "`lora_dropout` draws what is dropped by micro-batch".to_owned())
    }

    pub(crate) fn config(&self) -> Result<LoraConfig> {
        let whole = |text: &str| text.parse::<usize>().ok();
        let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
        Ok(LoraConfig {
            r: self.lora_r,
            lora_alpha: self.lora_alpha,
            lora_dropout: self.lora_dropout,
            use_rslora: self.use_rslora,
            use_dora: self.use_dora,
            lora_bias: self.lora_bias,
            target_modules: modules(&self.lora_target_modules).unwrap_or(Modules::AllLinear),
            exclude_modules: modules(&self.exclude_modules),
            layers_to_transform: self.layers_to_transform.clone(),
            layers_pattern: Vec::new(),
            rank_pattern: pattern("rank_pattern", &self.rank_pattern, whole)?,
            alpha_pattern: pattern("alpha_pattern", &self.alpha_pattern, number)?,
            modules_to_save: self.lora_modules_to_save.clone(),
            // What is no token's number is above every vocabulary.
            trainable_token_indices: self
                .trainable_token_indices
                .iter()
                .map(|&token| u32::try_from(token).unwrap_or(u32::MAX))
                .collect(),
            init_lora_weights: match self.init_lora_weights {
                InitLoraWeights::True => LoraStart::Uniform,
                InitLoraWeights::Gaussian => LoraStart::Gaussian,
                InitLoraWeights::Pissa => LoraStart::Pissa,
            },
        })
    }
}

/// Names, or what is no name: a regular expression.
fn modules(names: &[String]) -> Option<Modules> {
    let is_name = |name: &String| name.chars().all(|it| it.is_alphanumeric() || "_.-".contains(it));
    match names {
        [] => None,
        [all] if all.to_lowercase() == "all-linear" => Some(Modules::AllLinear),
        [pattern] if !is_name(pattern) => Some(Modules::Pattern(pattern.clone())),
        names => Some(Modules::Names(names.to_vec())),
    }
}

fn pattern<T>(
    option: &'static str,
    pairs: &[String],
    value: impl Fn(&str) -> Option<T>,
) -> Result<Vec<(String, T)>> {
    let pair = |pair: &String| {
        let found = pair.rsplit_once('=').and_then(|(name, text)| Some((name.to_owned(), value(text)?)));
        let wrong = || {
            Error::option(
                option,
                format!("expected NAME=NUMBER, found `{}`", align_text::shortened(pair, 80)),
            )
        };
        found.ok_or_else(wrong)
    };
    pairs.iter().map(pair).collect()
}
