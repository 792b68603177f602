//! The comparison of all models, and what the best of many answers is worth.

use std::path::Path;

use align_report::{BestOf, Comparison, Run};
use align_stage::Result;

use super::inputs::{Inputs, Prompts};
use super::models::Model;
use super::{Job, JudgeKind, judging};
use crate::Comparing;

/// All models on all prompts.
pub(super) fn compare(
    job: &Job,
    inputs: &Inputs<'_>,
    prompts: &Prompts<'_>,
) -> Result<(Comparison, Vec<String>)> {
    let judge = judging::judge(job, prompts, inputs.reward.as_ref())?;
    let models = inputs.models.iter().map(Model::dir);
    // A reward model that judges has given its rewards already.
    let reward = inputs.reward.as_ref().filter(|_| prompts.judge != JudgeKind::RewardModel);
    let (mut comparison, notes) = crate::compare(Comparing {
        models: models.collect::<Result<_>>()?,
        prompts: prompts.rows.clone(),
        prompt_source: prompts.source.clone(),
        text: &prompts.text,
        judge: judge.as_ref(),
        reward: reward.map(|source| (source.reward(), source.name.clone())),
        generation: job.generation.clone(),
        answers_per_prompt: job.prompts.num_return_sequences,
        seed: job.models.seed,
        device: &inputs.device,
    })?;
    // What the training cost, of models that lie where they were trained.
    for model in &mut comparison.models {
        if let Ok(run) = Run::read(model.name.as_str(), Path::new(&model.path)) {
            (model.train_seconds, model.peak_memory_mb) = (run.train_seconds, run.peak_memory_mb);
        }
    }
    Ok((comparison, notes))
}

/// The curve of the baseline, where it was asked for; held against the gold reward, or against a rule where one judges.
pub(super) fn best_of(job: &Job, inputs: &Inputs<'_>, prompts: &Prompts<'_>) -> Result<Option<BestOf>> {
    let (Some(most), Some(source)) = (job.prompts.best_of_n, &inputs.reward) else { return Ok(None) };
    let policy = inputs.models[0].load(&inputs.device)?;
    let reward = (source.reward(), source.name.as_str());
    let gold = inputs.gold.as_ref().map(|gold| (gold.reward(), gold.name.as_str()));
    let quality = gold.or_else(|| prompts.rule.map(|rule| (rule, rule.name())));
    let how = (most, &job.generation, job.models.seed);
    Ok(Some(crate::best_of(&policy, &prompts.rows, reward, quality, how)?))
}
