//! Every option of the program: what all training binaries have, and its components' own.

use align_cli::{CommonOptions, OutputOptions};
use align_data::DataOptions;
use align_dpo::{DpoOptions, Measuring};
use align_recipe::Opening;
use align_train::TrainOptions;
use align_world_judge::JudgeOptions;
use serde::Serialize;

/// The command line, flattened from the components.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: CommonOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(flatten, next_help_heading = "Data")]
    pub(crate) data: DataOptions,
    #[command(flatten)]
    pub(crate) dpo: DpoOptions,
    #[command(flatten, next_help_heading = "Held-out answers")]
    pub(crate) judge: JudgeOptions,
    #[command(flatten)]
    pub(crate) train: TrainOptions,
}

impl Options {
    /// How held-out rows are measured.
    pub(crate) fn measuring<'a>(&self, opening: &'a Opening<'_>) -> anyhow::Result<Measuring<'a>> {
        Ok(Measuring {
            tokenizer: &opening.tokenizer,
            eos: opening.eos_token_ids()?,
            batch_size: opening.config.per_device_eval_batch_size,
            num_kl_prompts: self.dpo.num_kl_prompts,
            max_new_tokens: self.dpo.max_new_tokens,
            seed: opening.session.seed,
            ends_with_last: !opening.config.selection.as_ref().is_some_and(|s| s.load_best_model_at_end),
        })
    }
}

/// Options that only matter with held-out rows.
pub(crate) const FOR_EVALUATION: &[&str] =
    &["num_kl_prompts", "max_new_tokens", "per_device_eval_batch_size", "judge"];

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
