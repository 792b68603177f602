//! The options of an evaluation: what is evaluated, what it is asked, and where the report goes.

mod judge;
mod sections;

use std::path::PathBuf;

use align_hub::DeviceChoice;
use align_stage::PrecisionOptions;
use serde::Serialize;

pub use judge::{EndpointOptions, JudgeKind, JudgeOptions};
pub use sections::{CritiqueOptions, HackingOptions, PreferenceOptions};

/// What is evaluated, and where.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Models and device")]
pub struct ModelOptions {
    /// A model to evaluate, with its name in the report: a directory in Hugging Face layout, a GGUF file, or a hub id; repeat it for
    /// more. The first one is the baseline
    #[arg(long, visible_alias = "model-name-or-path", value_name = "[NAME=]DIR|ID")]
    pub model: Vec<String>,

    /// Evaluate every finished language model in the folders of this one too, each by its folder's name; nothing if there
    /// are none
    #[arg(long, value_name = "DIR")]
    pub models_in: Option<PathBuf>,

    /// Reward model whose rewards are reported; a program or a server can take its place
    #[arg(long, value_name = "DIR|ID")]
    pub reward_model: Option<String>,

    /// Where to compute: auto, cpu, cuda, cuda:N or metal; auto takes a GPU if this build has one
    #[arg(long, default_value_t = DeviceChoice::Auto, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// What all models round operands of products to.
    #[command(flatten)]
    #[serde(flatten)]
    pub precision: PrecisionOptions,

    /// Seed of answers and intervals
    #[arg(long, default_value_t = 42, value_name = "N", value_parser = align_limits::seed())]
    pub seed: u64,
}

/// What models are asked.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Prompts")]
pub struct PromptOptions {
    /// Held-out prompts to compare models on: a data set with a `prompt` column
    #[arg(long, value_name = "PATH")]
    pub prompts: Option<String>,

    /// Config of data whose card (README.md) has several [default: the one that the card says]
    #[arg(long, value_name = "CONFIG")]
    pub dataset_config: Option<String>,

    /// Split to read, where data is a directory
    #[arg(long, default_value = "test", value_name = "SPLIT")]
    pub split: String,

    /// Use the first prompts only [default: all]
    #[arg(long, value_name = "N", value_parser = align_limits::whole(1..=1_000_000_000))]
    pub num_prompts: Option<usize>,

    /// Answers of each model, and of each checkpoint, to each prompt: the more, the less the luck of sampling decides
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = align_limits::whole(1..=65_536))]
    pub num_return_sequences: usize,

    /// Column with the right answer, for rules that compare, and for `reward_command` and `reward_url`
    #[arg(long, default_value = "answer", value_name = "COLUMN")]
    pub reference_column: String,

    /// Prompts that test safety, with figures of their own [default: those of which --judge world knows it]
    #[arg(long, value_name = "PATH")]
    pub safety_prompts: Option<String>,

    /// Prompts that test helpfulness, with figures of their own [default: those of which --judge world knows it]
    #[arg(long, value_name = "PATH")]
    pub helpfulness_prompts: Option<String>,

    /// Held-out text for the perplexity: `text`, `messages`, or `prompt` and `completion`, of which the completion counts
    #[arg(long, value_name = "PATH")]
    pub text: Option<String>,

    /// Sample this many answers per prompt from the baseline, and see what the best one by the reward is worth
    #[arg(long, value_name = "N", value_parser = align_limits::whole(2..=65_536))]
    pub best_of_n: Option<usize>,
}

/// Where the report goes.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Where report.json, report.md and report.html are written, and what belongs to them
    #[arg(long, default_value = "runs/evaluation", value_name = "DIR")]
    pub output_dir: PathBuf,

    /// Heading of the page
    #[arg(long, default_value = "Evaluation", value_name = "TEXT")]
    pub title: String,
}
