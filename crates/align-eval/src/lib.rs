#![doc = include_str!("../README.md")]

// Who is asked what.
mod policy;
mod prompts;

// Who decides.
mod endpoint;
mod judge;

// What is measured.
mod benchmarks;
mod best_of;
mod compare;
mod critique;
mod hacking;
mod preferences;
mod without_prompts;

// All of it.
mod job;

// What it takes.
mod error;
mod text;

pub use best_of::best_of;
pub use compare::{Comparing, compare};
pub use critique::{
    Chat, ConstitutionalCritic, Criticised, EndpointChat, Finding, PolicyChat, Principle, RevisedPair,
};
pub use endpoint::{
    ChatClient, ChatOptions, Criteria, EndpointError, EndpointJudge, Preferred, ReplyStore, Turn,
};
pub use error::{Error, Result};
pub use hacking::{
    Measuring, Overoptimization, Series, analyze_reward_hacking, attach_file, degenerate, logged, measured,
};
pub use job::{
    CritiqueOptions, EndpointOptions, HackingOptions, Job, JudgeKind, JudgeOptions, ModelOptions,
    OutputOptions, PreferenceOptions, PromptClass, PromptOptions, World, evaluate,
};
pub use judge::{Judge, Opinion, Opinions, RewardJudge, Slate};
pub use policy::{Answer, Kl, Policy, PolicyDir};
pub use preferences::{PairSet, policy_preferences, reward_preferences};
pub use prompts::{PromptRow, load_text, named, with_sets};
pub use text::{refuses, reply, words};
pub use without_prompts::without_prompts;
