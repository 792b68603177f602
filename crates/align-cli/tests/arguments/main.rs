//! What a user may write on the command line and in a config file, and what comes of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod layers;
mod mistakes;
mod recipes;
mod words;
mod yaml;

use std::path::{Path, PathBuf};

use align_cli::{ArgumentError, Parsed, Program, parse};
use align_hub::DeviceChoice;
use align_stage::{ModelOptions, OutputOptions};

#[derive(Debug, Clone, clap::Args)]
struct Demo {
    /// TOML or YAML file with options; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Model and device")]
    config: Option<PathBuf>,
    #[command(flatten)]
    common: ModelOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    look: LookOptions,
    #[command(flatten)]
    train: TrainOptions,
    /// Prompts
    prompts: Vec<String>,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
struct LookOptions {
    #[arg(long)]
    dry_run: bool,
    #[arg(long)]
    inspect: bool,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Training")]
struct TrainOptions {
    /// Data set
    #[arg(long, alias = "dataset")]
    dataset_name: String,
    /// Step size
    #[arg(long, default_value_t = 1e-6)]
    learning_rate: f64,
    /// Strength of the KL constraint
    #[arg(long, default_value_t = 0.1)]
    beta: f64,
    #[arg(long, default_value_t = -1)]
    max_steps: i64,
    #[arg(long, default_value_t = 3.0)]
    num_train_epochs: f64,
    #[arg(long)]
    max_length: Option<usize>,
    #[arg(long)]
    load_best_model_at_end: bool,
    #[arg(long)]
    use_peft: bool,
    #[arg(long, default_value_t = true)]
    completion_only_loss: bool,
    #[arg(long)]
    add_bos_token: Option<bool>,
    #[arg(long, value_delimiter = ',', default_value = "tensorboard")]
    report_to: Vec<String>,
    #[arg(long, default_value = "no")]
    eval_strategy: Strategy,
    #[arg(long)]
    optim: Option<String>,
    #[arg(long, value_name = "ARGS")]
    lr_scheduler_kwargs: Option<String>,
    #[arg(long, value_delimiter = ',', value_name = "NAME=N,…")]
    rank_pattern: Vec<String>,
    #[arg(long, value_name = "JSON")]
    mixture: Option<String>,
    #[arg(long, value_delimiter = ',', value_name = "PATH=SHARE")]
    dataset_mixer: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, clap::ValueEnum)]
enum Strategy {
    No,
    Steps,
    Epoch,
}

const RECIPE: &str = "model_name_or_path = \"fixtures/models/tiny-chat\"\n\
                      dataset_name = \"fixtures/preferences\"\n\
                      learning-rate = 3e-4\n\
                      report_to = [\"tensorboard\", \"none\"]\n";
const PROGRAM: Program = Program::new("train-demo", "A demonstration.").with_recipe(RECIPE);

fn run(words: &str) -> Result<Parsed<Demo>, ArgumentError> {
    parse(&PROGRAM, std::iter::once("train-demo").chain(words.split_whitespace()))
}

fn ok(words: &str) -> TrainOptions {
    run(words).unwrap_or_else(|error| panic!("{words}: {error}")).options.train
}

fn error(words: &str) -> String {
    match run(words) {
        Err(ArgumentError::Invalid(message)) => {
            assert!(!message.contains('\n'), "more than one line: {message}");
            message
        }
        other => panic!("{words}: expected an error, got {other:?}"),
    }
}

/// A config file with this text, in a directory of its own.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    file_called("config.toml", text)
}

fn file_called(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

/// The error for a config file of this text, from the file's name on.
fn file_error(text: &str) -> String {
    error_in("config.toml", text)
}

fn error_in(name: &str, text: &str) -> String {
    let (_dir, path) = file_called(name, text);
    let message = error(&format!("--config {}", path.display()));
    let prefix = format!("{}/", path.parent().unwrap().display());
    message.strip_prefix(&prefix).unwrap_or(&message).to_owned()
}
