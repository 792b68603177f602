//! Every option of the program, by the section of the report that it belongs to.

use std::path::PathBuf;

use align_hub::DeviceChoice;
use align_models::generation::GenerationOptions;
use serde::Serialize;

/// The command line, flattened from its parts.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) models: ModelOptions,
    #[command(flatten)]
    pub(crate) prompts: PromptOptions,
    #[command(flatten, next_help_heading = "Generation")]
    pub(crate) generation: GenerationOptions,
    #[command(flatten)]
    pub(crate) judge: JudgeOptions,
    #[command(flatten)]
    pub(crate) endpoint: EndpointOptions,
    #[command(flatten)]
    pub(crate) preferences: PreferenceOptions,
    #[command(flatten)]
    pub(crate) hacking: HackingOptions,
    #[command(flatten)]
    pub(crate) critique: CritiqueOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// What is evaluated, and where.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Models and device")]
pub(crate) struct ModelOptions {
    /// TOML file with options; flags override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// A model to evaluate, with its name in the report: a directory in Hugging Face layout, or a hub id; repeat it for
    /// more. The first one is the baseline
    #[arg(long, visible_alias = "model-name-or-path", value_name = "[NAME=]DIR|ID")]
    pub(crate) model: Vec<String>,

    /// Evaluate every finished language model in the folders of this one too, each by its folder's name; nothing if there
    /// are none
    #[arg(long, value_name = "DIR")]
    pub(crate) models_in: Option<PathBuf>,

    /// Reward model whose rewards are reported
    #[arg(long, value_name = "DIR|ID")]
    pub(crate) reward_model: Option<String>,

    /// Where to compute: auto, cpu, cuda, cuda:N or metal; auto takes a GPU if this build has one
    #[arg(long, default_value_t = DeviceChoice::Auto, value_name = "DEVICE")]
    pub(crate) device: DeviceChoice,

    /// Seed of answers and intervals
    #[arg(long, default_value_t = 42, value_name = "N", value_parser = align_limits::seed())]
    pub(crate) seed: u64,
}

/// What models are asked.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Prompts")]
pub(crate) struct PromptOptions {
    /// Held-out prompts to compare models on: a data set with a `prompt` column
    #[arg(long, value_name = "PATH")]
    pub(crate) prompts: Option<String>,

    /// Split to read, where data is a directory
    #[arg(long, default_value = "test", value_name = "SPLIT")]
    pub(crate) split: String,

    /// Use the first prompts only [default: all]
    #[arg(long, value_name = "N", value_parser = align_limits::whole(1..=1_000_000_000))]
    pub(crate) num_prompts: Option<usize>,

    /// Answers of each model, and of each checkpoint, to each prompt: the more, the less the luck of sampling decides
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = align_limits::whole(1..=65_536))]
    pub(crate) num_return_sequences: usize,

    /// Column with the right answer, for rules that compare
    #[arg(long, default_value = "answer", value_name = "COLUMN")]
    pub(crate) reference_column: String,

    /// Prompts that test safety, with figures of their own [default: those of which --judge world knows it]
    #[arg(long, value_name = "PATH")]
    pub(crate) safety_prompts: Option<String>,

    /// Prompts that test helpfulness, with figures of their own [default: those of which --judge world knows it]
    #[arg(long, value_name = "PATH")]
    pub(crate) helpfulness_prompts: Option<String>,

    /// Held-out text for the perplexity: `text`, `messages`, or `prompt` and `completion`, of which the completion counts
    #[arg(long, value_name = "PATH")]
    pub(crate) text: Option<String>,

    /// Sample this many answers per prompt from the baseline, and see what the best one by the reward is worth
    #[arg(long, value_name = "N", value_parser = align_limits::whole(2..=65_536))]
    pub(crate) best_of_n: Option<usize>,
}

/// Who decides.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Judge")]
pub(crate) struct JudgeOptions {
    /// Who decides which answer is better [default: the endpoint if there is one, else the reward model]
    #[arg(long, value_enum, value_name = "JUDGE")]
    pub(crate) judge: Option<JudgeKind>,
}

/// The judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum JudgeKind {
    /// The higher reward of --reward-model
    RewardModel,
    /// The rule of the fixtures' world, which knows the truth about its own prompts
    World,
    /// The answer that is the right one
    ExactMatch,
    /// The answer that states the right number
    NumericAnswer,
    /// A language model behind --judge-url
    Endpoint,
}

/// An OpenAI-compatible chat endpoint.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Endpoint")]
pub(crate) struct EndpointOptions {
    /// Address with its version, such as http://localhost:8000/v1
    #[arg(long, value_name = "URL")]
    pub(crate) judge_url: Option<String>,

    /// The model's name there
    #[arg(long, value_name = "NAME")]
    pub(crate) judge_model: Option<String>,

    /// Environment variable that holds the key, where the endpoint wants one
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) judge_api_key_env: Option<String>,

    /// What makes an answer better, in words for the judge [default: right, on the question, honest, kind, harmless]
    #[arg(long, value_name = "TEXT")]
    pub(crate) judge_criteria: Option<String>,

    /// Replies that are kept, so that no question is asked twice [default: judge-replies.jsonl in the output directory]
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) judge_replies: Option<PathBuf>,

    /// Longest wait for a reply, in seconds
    #[arg(long, value_parser = align_limits::number(1e-3..=1e6), default_value_t = 60.0, value_name = "SECONDS")]
    pub(crate) judge_timeout: f64,

    /// How often a question is sent before it is given up
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = align_limits::whole(1..=20))]
    pub(crate) judge_attempts: usize,

    /// Seconds to wait after the first failed attempt; twice as long after each further one, or as long as the server says
    #[arg(long, value_parser = align_limits::number(1e-3..=1e6), default_value_t = 1.0, value_name = "SECONDS")]
    pub(crate) judge_wait: f64,

    /// Questions underway at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = align_limits::whole(1..=256))]
    pub(crate) judge_concurrency: usize,

    /// Most tokens of a reply
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = align_limits::whole(1..=1 << 24))]
    pub(crate) judge_max_tokens: usize,
}

/// Accuracy on preference pairs.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Preferences")]
pub(crate) struct PreferenceOptions {
    /// Pairs on which models and the reward model are judges: preference pairs, or two answers with votes; repeat it for more
    #[arg(long, value_name = "PATH")]
    pub(crate) preferences: Vec<String>,

    /// Pairs that models were trained on, of the split `train` of a directory: what their answers give away without the prompt
    /// stands beside accuracies
    #[arg(long, value_name = "PATH")]
    pub(crate) train_preferences: Option<String>,

    /// Use the first pairs of each file only [default: all]
    #[arg(long, value_name = "N", value_parser = align_limits::whole(1..=1_000_000_000))]
    pub(crate) num_pairs: Option<usize>,

    /// Column that says which part of the set a row belongs to
    #[arg(long, default_value = "subset", value_name = "COLUMN")]
    pub(crate) subset_column: String,

    /// Scale of a policy's implicit reward: what it was trained with
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.1, value_name = "NUMBER")]
    pub(crate) beta: f64,
}

/// Reward hacking.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Runs and reward hacking")]
pub(crate) struct HackingOptions {
    /// A training run whose curves are drawn; repeat it for more
    #[arg(long, value_name = "[NAME=]DIR")]
    pub(crate) run: Vec<String>,

    /// A training run whose reward is held against true quality; repeat it for more
    #[arg(long, value_name = "[NAME=]DIR")]
    pub(crate) hacking: Vec<String>,

    /// Metric of the run that was optimised [default: objective/scores, else reward]
    #[arg(long, value_name = "METRIC")]
    pub(crate) proxy_metric: Option<String>,

    /// Metric of the run that stands for true quality, such as a gold reward
    #[arg(long, value_name = "METRIC")]
    pub(crate) quality_metric: Option<String>,

    /// Reward model that stands for true quality, because nothing was trained to please it: of a run's checkpoints, in the
    /// place of --judge, and of the best of N
    #[arg(long, value_name = "DIR|ID")]
    pub(crate) gold_reward_model: Option<String>,

    /// True quality in a file, such as people's scores: JSON lines with `step` and `quality`. Without this and a metric it
    /// is measured on the run's checkpoints, by --gold-reward-model or --judge
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) quality: Option<PathBuf>,
}

/// Constitutional critique.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Critique")]
pub(crate) struct CritiqueOptions {
    /// Principles by which the last model's answers are criticised and revised: one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) principles: Option<PathBuf>,

    /// Who criticises: a model of this report by its name, or `endpoint` [default: the model that answered]
    #[arg(long, value_name = "NAME")]
    pub(crate) critic: Option<String>,

    /// Leave out pairs whose revision has no higher reward
    #[arg(long)]
    pub(crate) critique_keep_better: bool,
}

/// Where the report goes.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// Where report.json, report.md and report.html are written, and what belongs to them
    #[arg(long, default_value = "runs/evaluation", value_name = "DIR")]
    pub(crate) output_dir: PathBuf,

    /// Heading of the page
    #[arg(long, default_value = "Evaluation", value_name = "TEXT")]
    pub(crate) title: String,
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
