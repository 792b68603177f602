//! The options of who decides.

use std::path::PathBuf;

use serde::Serialize;

/// Who decides.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Judge")]
pub struct JudgeOptions {
    /// Who decides which answer is better [default: the endpoint if there is one, else the reward model]
    #[arg(long, value_enum, value_name = "JUDGE")]
    pub judge: Option<JudgeKind>,
}

/// The judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum JudgeKind {
    /// The higher reward of --reward-model, --reward-command or --reward-url
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
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Endpoint")]
pub struct EndpointOptions {
    /// Address with its version, such as http://localhost:8000/v1
    #[arg(long, value_name = "URL")]
    pub judge_url: Option<String>,

    /// The model's name there
    #[arg(long, value_name = "NAME")]
    pub judge_model: Option<String>,

    /// Environment variable that holds the key, where the endpoint wants one
    #[arg(long, value_name = "VARIABLE")]
    pub judge_api_key_env: Option<String>,

    /// What makes an answer better, in words for the judge [default: right, on the question, honest, kind, harmless]
    #[arg(long, value_name = "TEXT")]
    pub judge_criteria: Option<String>,

    /// Replies that are kept, so that no question is asked twice [default: judge-replies.jsonl in the output directory]
    #[arg(long, value_name = "FILE.jsonl")]
    pub judge_replies: Option<PathBuf>,

    /// Longest wait for a reply, in seconds
    #[arg(long, value_parser = align_limits::number(1e-3..=1e6), default_value_t = 60.0, value_name = "SECONDS")]
    pub judge_timeout: f64,

    /// How often a question is sent before it is given up
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = align_limits::whole(1..=20))]
    pub judge_attempts: usize,

    /// Seconds to wait after the first failed attempt; twice as long after each further one, or as long as the server says
    #[arg(long, value_parser = align_limits::number(1e-3..=1e6), default_value_t = 1.0, value_name = "SECONDS")]
    pub judge_wait: f64,

    /// Questions underway at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = align_limits::whole(1..=256))]
    pub judge_concurrency: usize,

    /// Most tokens of a reply
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = align_limits::whole(1..=1 << 24))]
    pub judge_max_tokens: usize,
}
