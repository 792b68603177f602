//! The options of the report's other sections, each by its own.

use std::path::PathBuf;

use serde::Serialize;

/// Accuracy on preference pairs.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Preferences")]
pub struct PreferenceOptions {
    /// Pairs on which models and the reward model are judges: preference pairs, or two answers with votes; repeat it for more
    #[arg(long, value_name = "PATH")]
    pub preferences: Vec<String>,

    /// Pairs that models were trained on, of the split `train` of a directory: what their answers give away without the prompt
    /// stands beside accuracies
    #[arg(long, value_name = "PATH")]
    pub train_preferences: Option<String>,

    /// Use the first pairs of each file only [default: all]
    #[arg(long, value_name = "N", value_parser = align_limits::whole(1..=1_000_000_000))]
    pub num_pairs: Option<usize>,

    /// Column that says which part of the set a row belongs to
    #[arg(long, default_value = "subset", value_name = "COLUMN")]
    pub subset_column: String,

    /// Scale of a policy's implicit reward: what it was trained with
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.1, value_name = "NUMBER")]
    pub beta: f64,
}

/// Reward hacking.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Runs and reward hacking")]
pub struct HackingOptions {
    /// A training run whose curves are drawn; repeat it for more
    #[arg(long, value_name = "[NAME=]DIR")]
    pub run: Vec<String>,

    /// A training run whose reward is held against true quality; repeat it for more
    #[arg(long, value_name = "[NAME=]DIR")]
    pub hacking: Vec<String>,

    /// Metric of the run that was optimised [default: objective/scores, else reward]
    #[arg(long, value_name = "METRIC")]
    pub proxy_metric: Option<String>,

    /// Metric of the run that stands for true quality, such as a gold reward
    #[arg(long, value_name = "METRIC")]
    pub quality_metric: Option<String>,

    /// Reward model that stands for true quality, because nothing was trained to please it: of a run's checkpoints, in the
    /// place of --judge, and of the best of N
    #[arg(long, value_name = "DIR|ID")]
    pub gold_reward_model: Option<String>,

    /// True quality in a file, such as people's scores: JSON lines with `step` and `quality`. Without this and a metric it
    /// is measured on the run's checkpoints, by --gold-reward-model or --judge
    #[arg(long, value_name = "FILE.jsonl")]
    pub quality: Option<PathBuf>,
}

/// Constitutional critique.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Critique")]
pub struct CritiqueOptions {
    /// Principles by which the last model's answers are criticised and revised: one a line
    #[arg(long, value_name = "FILE")]
    pub principles: Option<PathBuf>,

    /// Who criticises: a model of this report by its name, or `endpoint` [default: the model that answered]
    #[arg(long, value_name = "NAME")]
    pub critic: Option<String>,

    /// Leave out pairs whose revision has no higher reward
    #[arg(long)]
    pub critique_keep_better: bool,
}
