//! What every training job is made of.

use align_data::DataOptions;
use align_train::TrainOptions;
use serde::Serialize;

use crate::{LoraOptions, ModelOptions, OutputOptions};

/// A training job: all its options, in groups, each with a default.
pub trait Job: Serialize + Default {
    /// The stage's name, as directories and reports have it: `dpo`.
    const STAGE: &'static str;

    /// PEFT's word for what is trained: `CAUSAL_LM`, or `SEQ_CLS` for a reward model.
    const TASK: &'static str = "CAUSAL_LM";

    /// The model, the device and the seed.
    fn model(&self) -> &ModelOptions;

    /// The adapter's options.
    fn lora(&self) -> &LoraOptions;

    /// The output options: where it writes.
    fn output(&self) -> &OutputOptions;

    /// The data, and how it is read.
    fn data(&self) -> DataOptions;

    /// The training options.
    fn train(&self) -> &TrainOptions;
}

/// Makes a struct with the groups `model`, `lora`, `output`, `data` and `train` a [`Job`] of a stage, and gives it a `new`.
#[macro_export]
macro_rules! job {
    ($job:ty, $stage:literal) => {
        $crate::job!($job, $stage, "CAUSAL_LM", |job| job.data.clone());
    };
    ($job:ty, $stage:literal, $task:literal) => {
        $crate::job!($job, $stage, $task, |job| job.data.clone());
    };
    ($job:ty, $stage:literal, $task:literal, |$this:ident| $data:expr) => {
        impl $job {
            /// The job over a model and a data set by name (an empty one where records are the caller's own), into a directory;
            /// everything else is as by default.
            pub fn new(
                model: impl Into<String>,
                dataset: impl Into<String>,
                output_dir: impl Into<std::path::PathBuf>,
            ) -> Self {
                let mut job = Self::default();
                job.model.model_name_or_path = model.into();
                job.data.dataset_name = Some(dataset.into()).filter(|name: &String| !name.is_empty());
                job.output.output_dir = Some(output_dir.into());
                job
            }
        }

        impl $crate::Job for $job {
            const STAGE: &'static str = $stage;
            const TASK: &'static str = $task;

            fn model(&self) -> &$crate::ModelOptions {
                &self.model
            }

            fn lora(&self) -> &$crate::LoraOptions {
                &self.lora
            }

            fn output(&self) -> &$crate::OutputOptions {
                &self.output
            }

            fn data(&self) -> align_data::DataOptions {
                let $this = self;
                $data
            }

            fn train(&self) -> &align_train::TrainOptions {
                &self.train
            }
        }
    };
}
