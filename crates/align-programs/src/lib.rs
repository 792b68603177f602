#![doc = include_str!("../README.md")]

#[cfg(feature = "dpo")]
mod dpo;
#[cfg(feature = "evaluate")]
mod evaluate;
#[cfg(feature = "export")]
mod export;
#[cfg(feature = "generate")]
mod generate;
#[cfg(feature = "ppo")]
mod ppo;
#[cfg(feature = "report")]
mod report;
#[cfg(feature = "reward")]
mod reward;
#[cfg(feature = "score")]
mod score;
#[cfg(feature = "sft")]
mod sft;

#[cfg(feature = "dpo")]
pub use dpo::DPO;
#[cfg(feature = "evaluate")]
pub use evaluate::EVALUATE;
#[cfg(feature = "export")]
pub use export::EXPORT;
#[cfg(feature = "generate")]
pub use generate::GENERATE;
#[cfg(feature = "ppo")]
pub use ppo::{GRPO, PPO};
#[cfg(feature = "report")]
pub use report::REPORT;
#[cfg(feature = "reward")]
pub use reward::REWARD;
#[cfg(feature = "score")]
pub use score::SCORE;
#[cfg(feature = "sft")]
pub use sft::SFT;

/// The options of the short help that all training has.
#[cfg(any(feature = "dpo", feature = "ppo", feature = "reward", feature = "sft"))]
const TRAINING: &[&str] = &[
    "config",
    "model-name-or-path",
    "dataset-name",
    "eval-dataset",
    "output-dir",
    "overwrite-output-dir",
    "resume-from-checkpoint",
    "dry-run",
    "inspect",
    "quiet",
    "json",
    "device",
    "seed",
    "learning-rate",
    "num-train-epochs",
    "max-steps",
    "per-device-train-batch-size",
    "gradient-accumulation-steps",
];
