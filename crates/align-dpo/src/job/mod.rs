//! Preference training as a whole: a model and preference data in, an aligned model on disk out.

mod judged;
mod memory;
mod pairs;
mod parts;
mod reference;
mod unpaired;

use align_data::{DataOptions, Prepared, StoredRow};
use align_stage::{
    Answers, AnswersOnly, Ended, Host, LoraOptions, ModelOptions, Opening, OutputOptions, Result, Trained,
    publish,
};
use align_train::TrainOptions;
use serde::Serialize;

use crate::{DpoOptions, HeldOutLook, Measuring, Method, Report};
use judged::JudgedTexts;

pub use parts::{Parts, Preferences};

/// A preference training job: all its options.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Job {
    /// The model, the device and the seed.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The adapter that is trained, if it is one.
    #[command(flatten)]
    pub lora: LoraOptions,
    /// Where it writes.
    #[command(flatten)]
    pub output: OutputOptions,
    /// The preference data, and how it is read.
    #[command(flatten, next_help_heading = "Data")]
    pub data: DataOptions,
    /// The objective, its reference, and how it is measured.
    #[command(flatten)]
    pub dpo: DpoOptions,
    /// How it is trained.
    #[command(flatten)]
    pub train: TrainOptions,
}

align_stage::job!(Job, "dpo");

/// Options that only matter with held-out rows.
const FOR_EVALUATION: &[&str] = &["num_kl_prompts", "max_new_tokens", "per_device_eval_batch_size"];

/// Trains, and saves the model with its report, in which a judge, if there is one, says which answers became better. None if
/// `host` only looks.
///
/// # Errors
/// Options, data or models that are wrong, before anything is written; a loss that is not finite; files that cannot be
/// written; somebody who asked to stop.
pub fn train(job: &Job, host: &Host<'_>, parts: Parts<'_>) -> Result<Option<Trained<Report>>> {
    let mut opening = Opening::new(host, job, job.dpo.default_learning_rate())?;
    let Parts { preferences, loss, judge } = parts;
    let method = job.dpo.method(job.train.least_examples(), opening.data.tokenize.max_length)?;
    let method = match loss {
        None => method,
        Some(loss) => parts::with_loss(method, loss, &job.dpo, &opening.given)?,
    };
    opening.defaults(job.dpo.defaulted());
    if let Some(notice) = job.dpo.notice_of_cut(opening.config.micro_batches_per_update()) {
        tracing::warn!("{notice}");
    }
    match &method {
        Method::Pairs(method) => pairs::train(&mut opening, job, parts::pairs(preferences)?, judge, method),
        Method::Unpaired(method) => {
            unpaired::train(&mut opening, job, preferences.map(parts::unpaired).transpose()?, judge, method)
        }
    }
}

/// Writes the report of a run that has ended: what changed by the judge, if there is one, and what answers give away alone.
fn reported<T: Answers + StoredRow>(
    opening: &Opening<'_>,
    data: &Prepared<T>,
    twins: &[bool],
    judged: &JudgedTexts<'_>,
    ended: Ended<HeldOutLook>,
) -> Result<Trained<Report>> {
    let changes = judged.changes(ended.looks.as_ref())?;
    let answers_only = AnswersOnly::of(&data.train, data.held_out.iter(), &opening.tokenizer)?;
    let without_prompts = (answers_only, data.findings.known_answers());
    let report = Report::new(ended.figures, ended.looks, twins, without_prompts, changes);
    publish(opening.host, ended.output_dir, report)
}

impl Job {
    /// How held-out rows are measured.
    fn measuring<'a>(&self, opening: &'a Opening<'_>) -> Result<Measuring<'a>> {
        Ok(Measuring {
            tokenizer: &opening.tokenizer,
            eos: opening.eos_token_ids()?,
            batch_size: opening.config.per_device_eval_batch_size,
            num_kl_prompts: self.dpo.num_kl_prompts,
            max_new_tokens: self.dpo.max_new_tokens,
            seed: opening.place.seed,
            ranks: opening.host.ranks.clone(),
            ends_with_last: !opening.config.selection.as_ref().is_some_and(|s| s.load_best_model_at_end),
        })
    }
}
