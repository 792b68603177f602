//! The options every training binary has, as the user gives them: names and defaults of TRL and
//! transformers. [`TrainOptions::check`] turns them into a [`TrainConfig`](crate::TrainConfig), which
//! holds no nonsense and nothing without effect.
//!
//! Options that only mean something beside another one are `Option`s, so that giving one in vain can be
//! told from its default.

mod check;
mod config;
mod kwargs;
mod optimizer;
mod schedule;

pub use config::{Every, Length, Selection, TrainConfig, Warmup};

use serde::{Deserialize, Serialize};

use crate::{LrSchedulerType, Optim, Shard};

/// When something is done that is not done after every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Never.
    No,
    /// After every so many steps, and after the last.
    Steps,
    /// At the end of every epoch, and of the run.
    Epoch,
}

/// Where metrics go beside `metrics.jsonl` and `trainer_state.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ReportTo {
    /// Nowhere.
    None,
    /// Event files in `runs/` of the output directory.
    Tensorboard,
}

/// Training: length, batches, optimizer, schedule, logging, evaluation, checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Number of updates, in place of `num_train_epochs`; -1: as many as the epochs have
    #[arg(long, value_parser = align_limits::signed(-1..=1_000_000_000), default_value_t = -1, allow_negative_numbers = true, help_heading = "Training")]
    pub max_steps: i64,
    /// Number of passes over the training data; may be a fraction
    #[arg(long, value_parser = align_limits::number(0.0..=1e6), default_value_t = 3.0, help_heading = "Training")]
    pub num_train_epochs: f64,
    /// Examples per micro-batch in training
    #[arg(long, value_parser = align_limits::count(), default_value_t = 8, help_heading = "Training")]
    pub per_device_train_batch_size: usize,
    /// Examples per micro-batch in evaluation
    #[arg(long, value_parser = align_limits::count(), default_value_t = 8, help_heading = "Training")]
    pub per_device_eval_batch_size: usize,
    /// As many examples per micro-batch as have at most so many tokens, instead of
    /// `per_device_train_batch_size`: bounds memory where lengths differ, and keeps products large where they are
    /// small. Updates then differ in their number of examples
    #[arg(long, value_parser = align_limits::tokens(), help_heading = "Training")]
    pub max_tokens_per_micro_batch: Option<usize>,
    /// Micro-batches per update; (batch 1, accumulation 8) gives the update of (8, 1)
    #[arg(long, value_parser = align_limits::count(), default_value_t = 1, help_heading = "Training")]
    pub gradient_accumulation_steps: usize,
    /// Keep only the input of each layer and compute the layer again for its gradient: less memory, a third more
    /// time, the same result
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false,
          action = clap::ArgAction::Set, help_heading = "Training")]
    pub gradient_checkpointing: bool,
    /// The most memory that the run may take, such as 8GiB: chooses micro-batches, accumulation and gradient checkpointing so that it
    /// does, in the least time. Every update stays as it is: of `per_device_train_batch_size` times `gradient_accumulation_steps`
    /// examples
    #[arg(long, value_name = "SIZE", help_heading = "Training")]
    pub max_memory: Option<String>,
    /// What several ranks divide among themselves instead of each having all of it. Updates stay as they are
    #[arg(long, value_enum, default_value_t = Shard::None, help_heading = "Training")]
    pub shard: Shard,

    /// What updates the weights
    #[arg(long, value_enum, default_value_t = Optim::AdamwTorch, help_heading = "Optimizer")]
    pub optim: Optim,
    /// Arguments of the optimizer, `key=value,…` or a JSON object. `sgd`: momentum, dampening, nesterov; `muon`: momentum,
    /// nesterov, ns_steps, eps, adjust_lr_fn
    #[arg(long, value_name = "ARGS", help_heading = "Optimizer")]
    pub optim_args: Option<String>,
    /// Peak learning rate; the default depends on the stage
    #[arg(long, value_parser = align_limits::finite(), help_heading = "Optimizer")]
    pub learning_rate: Option<f64>,
    /// How the learning rate moves over the run
    #[arg(long, value_enum, default_value_t = LrSchedulerType::Linear, help_heading = "Optimizer")]
    pub lr_scheduler_type: LrSchedulerType,
    /// Arguments of that, `key=value,…` or a JSON object: num_cycles, min_lr, min_lr_rate, lr_end, power, timescale, factor,
    /// patience and others, each with the forms that have them
    #[arg(long, value_name = "ARGS", help_heading = "Optimizer")]
    pub lr_scheduler_kwargs: Option<String>,
    /// Updates over which the learning rate first rises from 0; below 1: a fraction of the run
    #[arg(long, value_parser = align_limits::number(0.0..=1e9), help_heading = "Optimizer")]
    pub warmup_steps: Option<f64>,
    /// The same as a fraction of the run
    #[arg(long, value_parser = align_limits::finite(), help_heading = "Optimizer")]
    pub warmup_ratio: Option<f64>,
    /// Updates over which the learning rate falls at the end of `warmup_stable_decay`
    #[arg(long, value_parser = align_limits::steps(), help_heading = "Optimizer")]
    pub num_decay_steps: Option<usize>,
    /// Weight decay, decoupled but for `sgd`; not applied to norms and biases
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.0, help_heading = "Optimizer")]
    pub weight_decay: f64,
    /// AdamW: how slowly the first moment moves
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.9, help_heading = "Optimizer")]
    pub adam_beta1: f64,
    /// AdamW: how slowly the second moment moves
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.999, help_heading = "Optimizer")]
    pub adam_beta2: f64,
    /// AdamW: added to the root of the second moment
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 1e-8, help_heading = "Optimizer")]
    pub adam_epsilon: f64,
    /// Gradients are scaled down to this global norm; 0: no clipping
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 1.0, help_heading = "Optimizer")]
    pub max_grad_norm: f64,

    /// Updates between two log entries
    #[arg(long, value_parser = align_limits::steps(), default_value_t = 10, help_heading = "Logging")]
    pub logging_steps: usize,
    /// Also log the first update
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false,
          action = clap::ArgAction::Set, help_heading = "Logging")]
    pub logging_first_step: bool,
    /// Where metrics go beside metrics.jsonl and trainer_state.json
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [ReportTo::Tensorboard], help_heading = "Logging")]
    pub report_to: Vec<ReportTo>,

    /// When to evaluate
    #[arg(long, value_enum, default_value_t = Strategy::No, help_heading = "Evaluation")]
    pub eval_strategy: Strategy,
    /// Updates between two evaluations; default: as `logging_steps`
    #[arg(long, value_parser = align_limits::steps(), help_heading = "Evaluation")]
    pub eval_steps: Option<usize>,
    /// Also evaluate before the first update
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false,
          action = clap::ArgAction::Set, help_heading = "Evaluation")]
    pub eval_on_start: bool,
    /// End with the weights of the best evaluation instead of the last ones
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false,
          action = clap::ArgAction::Set, help_heading = "Evaluation")]
    pub load_best_model_at_end: bool,
    /// The metric that says which evaluation is best, with or without `eval_`; default: loss
    #[arg(long, help_heading = "Evaluation")]
    pub metric_for_best_model: Option<String>,
    /// Whether more of that metric is better; default: unless its name ends in "loss"
    #[arg(long, num_args = 0..=1, default_missing_value = "true", help_heading = "Evaluation")]
    pub greater_is_better: Option<bool>,
    /// Stop after so many evaluations without improvement of that metric
    #[arg(long, value_parser = align_limits::steps(), help_heading = "Evaluation")]
    pub early_stopping_patience: Option<usize>,
    /// How much better it must get to count as improvement; default: 0
    #[arg(long, value_parser = align_limits::finite(), help_heading = "Evaluation")]
    pub early_stopping_threshold: Option<f64>,

    /// When to save a checkpoint
    #[arg(long, value_enum, default_value_t = Strategy::Steps, help_heading = "Checkpoints")]
    pub save_strategy: Strategy,
    /// Updates between two checkpoints; default: 500
    #[arg(long, value_parser = align_limits::steps(), help_heading = "Checkpoints")]
    pub save_steps: Option<usize>,
    /// Keep only so many checkpoints: the newest, and the best where one is chosen
    #[arg(long, value_parser = align_limits::steps(), help_heading = "Checkpoints")]
    pub save_total_limit: Option<usize>,
    /// Go on from a checkpoint: its path, the run's for the last complete one in it, or `last` (or `true`) for the
    /// last one in the output directory
    #[arg(long, num_args = 0..=1, default_missing_value = "last", help_heading = "Checkpoints")]
    pub resume_from_checkpoint: Option<String>,
}

#[cfg(feature = "clap")]
#[cfg(test)]
mod tests;
