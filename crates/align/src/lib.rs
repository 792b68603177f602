#![doc = include_str!("../README.md")]

#[cfg(feature = "dpo")]
pub mod dpo;
#[cfg(feature = "ppo")]
pub mod ppo;
#[cfg(feature = "reward")]
pub mod reward;
#[cfg(feature = "sft")]
pub mod sft;

/// Evaluation: models compared by judges, accuracy on pairs, reward hacking, critique by principles; its report.
#[cfg(feature = "evaluate")]
pub mod evaluation {
    pub use align_eval::*;
    pub use align_report as report;
}

/// Generation: completions of prompts.
#[cfg(feature = "export")]
pub use align_export as export;
#[cfg(feature = "generate")]
pub use align_generate as generation;

pub use align_hub::{DeviceChoice, Dtype, Hub, policy};
pub use align_stage::{
    Error, ErrorKind, Event, Given, Heard, Host, Judge, Look, ModelOptions, OutputOptions, Result, Trained,
    Verdict,
};
pub use align_train::{Stop, StopReason, TrainOptions};
pub use candle_core as candle;

pub use {align_data as data, align_kernels as kernels, align_losses as losses, align_models as models};

/// The training engine: parameter updates that can be resumed exactly, for a loop or a model of one's own.
pub use align_train as engine;

/// What came of a job whose host does not only look.
#[cfg(any(feature = "dpo", feature = "ppo", feature = "reward", feature = "sft"))]
fn trained<R>(trained: Result<Option<Trained<R>>>) -> Result<Trained<R>> {
    Ok(trained?.expect("`Host::default` trains"))
}
