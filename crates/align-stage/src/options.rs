//! The options that every job has: which model, where to compute, where to write.

use std::path::{Path, PathBuf};

use align_data::Tokenizer;
use align_hub::{DeviceChoice, Hub};
use align_models::{ModelDir, SavedDtype};
use serde::Serialize;

use crate::{PrecisionOptions, Result};

/// What to load and where to compute.
#[derive(Debug, Clone, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Model and device")]
pub struct ModelOptions {
    /// Model: a directory in Hugging Face layout, a GGUF file, or a hub id such as `org/model`
    #[arg(long, visible_alias = "model", value_name = "DIR|ID")]
    pub model_name_or_path: String,

    /// Branch, tag or commit of a model that comes from the hub
    #[arg(long, default_value = "main", value_name = "REV")]
    pub model_revision: String,

    /// Give the model rows for the tokens of its tokenizer that it has none for; each starts as the mean of the others
    #[arg(long)]
    pub resize_token_embeddings: bool,

    /// Where to compute: auto, cpu, cuda, cuda:N or metal; auto takes a GPU if this build has one
    #[arg(long, default_value_t = DeviceChoice::Auto, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// What operands of products are rounded to.
    #[command(flatten)]
    #[serde(flatten)]
    pub precision: PrecisionOptions,

    /// Seed of every random choice
    #[arg(long, default_value_t = 42, value_name = "N", value_parser = align_limits::seed())]
    pub seed: u64,
}

impl ModelOptions {
    /// The model's directory, with rows for the tokens of its tokenizer if that was asked for, and the tokenizer.
    ///
    /// # Errors
    /// A model that is not there, or that has all rows already; a tokenizer that cannot be read.
    pub fn find(&self, hub: &Hub) -> Result<(ModelDir, Tokenizer)> {
        let dir = open_model(hub, &self.model_name_or_path, &self.model_revision)?;
        let tokenizer = Tokenizer::load(dir.tokenizer_path())?;
        let dir = dir.with_vocabulary_if(self.resize_token_embeddings, tokenizer.vocab_size())?;
        Ok((dir.in_precision(self.precision.precision()?), tokenizer))
    }
}

/// The model of that name: a directory, or what the hub has; an adapter with its base.
///
/// # Errors
/// A model that is not there, or that cannot be read.
pub fn open_model(hub: &Hub, name: &str, revision: &str) -> Result<ModelDir> {
    open_model_dir(&hub.model(name, revision)?, hub)
}

/// The model in a directory; of an adapter with its base, from the hub if it is from there.
///
/// # Errors
/// A model that cannot be read, a base that is not there.
pub fn open_model_dir(path: &Path, hub: &Hub) -> Result<ModelDir> {
    Ok(ModelDir::open_with(path, find_base(hub))?)
}

/// Where bases of adapters come from that are not on disk: the hub.
pub fn find_base(
    hub: &Hub,
) -> impl FnOnce(&str, Option<&str>) -> Option<std::result::Result<PathBuf, String>> {
    |base, revision| Some(hub.model(base, revision.unwrap_or("main")).map_err(|error| error.to_string()))
}

/// Where a run writes.
#[derive(Debug, Clone, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Directory of the run; without it a new one is made, such as runs/dpo-1
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,

    /// Replace the run that the output directory holds
    #[arg(long)]
    pub overwrite_output_dir: bool,

    /// Precision of the weights of the trained model; checkpoints keep float32; default: that of the model's files
    #[arg(long, value_enum, value_name = "DTYPE")]
    pub save_dtype: Option<SavedDtype>,
}
