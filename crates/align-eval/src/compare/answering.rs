//! Asking every model the same.

use align_data::{Demonstration, PromptOnly};
use align_models::generation::GenerationOptions;

use crate::policy::{Answer, Kl, Policy, PolicyDir};
use crate::prompts::PromptRow;
use crate::{Error, Result};

/// What a model said, and what was measured of it while it was loaded.
pub(super) struct Said {
    pub(super) name: String,
    pub(super) path: String,
    /// Those to the first prompt first, as many as there are to each.
    pub(super) answers: Vec<Answer>,
    pub(super) kl: Option<Kl>,
    pub(super) perplexity: Option<f64>,
}

/// How models are asked.
pub(super) struct How<'a> {
    /// Answers to each prompt.
    pub(super) count: usize,
    pub(super) generation: &'a GenerationOptions,
    pub(super) seed: u64,
    pub(super) text: &'a [Demonstration],
}

impl Said {
    /// Asks `policy`; its KL is from `reference`, and 0 for the reference itself.
    pub(super) fn of(
        policy: &Policy,
        reference: Option<&Policy>,
        prompts: &[Vec<u32>],
        how: &How<'_>,
    ) -> Result<Self> {
        tracing::info!("{}: {} prompts", policy.dir().name(), prompts.len());
        let kl = match reference {
            None => Some(Kl::default()),
            Some(reference) => policy.kl_from(reference, prompts, how.generation.max_new_tokens, how.seed)?,
        };
        Ok(Self {
            name: policy.dir().name().to_owned(),
            path: policy.dir().path().display().to_string(),
            answers: how.ask(policy, prompts, how.seed)?,
            kl,
            perplexity: policy.perplexity(how.text)?,
        })
    }
}

impl How<'_> {
    /// The answers to all prompts, those to the first one first.
    pub(super) fn ask(&self, policy: &Policy, prompts: &[Vec<u32>], seed: u64) -> Result<Vec<Answer>> {
        Ok(policy.answer_groups(prompts, self.count, self.generation, seed)?.concat())
    }
}

/// The prompts that every model has room for, their token ids for each model, and a note on the others.
#[expect(clippy::type_complexity, reason = "three things that belong to each other once")]
pub(super) fn fitting(
    models: &[PolicyDir],
    prompts: Vec<PromptRow>,
    max_new_tokens: usize,
) -> Result<(Vec<PromptRow>, Vec<Vec<Vec<u32>>>, Vec<String>)> {
    let asked: Vec<PromptOnly> = prompts.iter().map(|row| row.task.prompt.clone()).collect();
    let tokens = models.iter().map(|model| model.prompt_tokens(&asked, max_new_tokens));
    let tokens: Vec<Vec<Option<Vec<u32>>>> = tokens.collect::<Result<_>>()?;
    let fits: Vec<bool> =
        (0..prompts.len()).map(|place| tokens.iter().all(|model| model[place].is_some())).collect();
    let (all, kept) = (prompts.len(), fits.iter().filter(|fits| **fits).count());
    if kept == 0 {
        return Err(Error::Config(format!(
            "none of the {all} prompts leaves room for {max_new_tokens} new tokens in all models; lower max_new_tokens"
        )));
    }
    let note = (kept < all).then(|| {
        format!(
            "{} of {all} prompts were left out: they leave no room for {max_new_tokens} new tokens in a model.",
            all - kept
        )
    });
    let mut keep = fits.iter();
    let mut rows = prompts;
    rows.retain(|_| keep.next().is_some_and(|fits| *fits));
    // What does not fit in one model is left out of all.
    let of_model = |model: Vec<Option<Vec<u32>>>| {
        model.into_iter().zip(&fits).filter(|(_, fits)| **fits).filter_map(|(tokens, _)| tokens).collect()
    };
    Ok((rows, tokens.into_iter().map(of_model).collect(), note.into_iter().collect()))
}
