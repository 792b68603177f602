//! The comparison of all models, and what the best of many answers is worth.

use std::path::Path;

use align_eval::{Comparing, Policy, PolicyDir};
use align_report::{BestOf, Comparison, Run};
use align_reward::Reward;

use crate::inputs::{Inputs, Prompts};
use crate::judging;
use crate::options::{JudgeKind, Options};

/// All models on all prompts.
pub(crate) fn compare(
    options: &Options,
    inputs: &Inputs,
    prompts: &Prompts,
) -> anyhow::Result<(Comparison, Vec<String>)> {
    let judge = judging::judge(options, prompts.judge, inputs.reward.as_ref())?;
    let models = inputs.models.iter().map(|model| PolicyDir::open(model.name.as_str(), &model.path));
    // A reward model that judges has given its rewards already.
    let reward = inputs.reward.as_ref().filter(|_| prompts.judge != JudgeKind::RewardModel);
    let (mut comparison, notes) = align_eval::compare(Comparing {
        models: models.collect::<align_eval::Result<_>>()?,
        prompts: prompts.rows.clone(),
        prompt_source: prompts.source.clone(),
        text: &prompts.text,
        judge: judge.as_ref(),
        reward: reward.map(|source| (&source.reward as &dyn Reward, source.name.clone())),
        generation: options.generation.clone(),
        answers_per_prompt: options.prompts.num_return_sequences,
        seed: options.models.seed,
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
pub(crate) fn best_of(
    options: &Options,
    inputs: &Inputs,
    prompts: &Prompts,
) -> anyhow::Result<Option<BestOf>> {
    let (Some(most), Some(source)) = (options.prompts.best_of_n, &inputs.reward) else { return Ok(None) };
    let baseline = &inputs.models[0];
    let policy = Policy::open(baseline.name.as_str(), &baseline.path, &inputs.device)?;
    let reward = (&source.reward as &dyn Reward, source.name.as_str());
    let gold = inputs.gold.as_ref().map(|gold| (&gold.reward as &dyn Reward, gold.name.as_str()));
    let quality = gold.or_else(|| judging::rule(prompts.judge).map(|rule| (rule, rule.name())));
    let how = (most, &options.generation, options.models.seed);
    Ok(Some(align_eval::best_of(&policy, &prompts.rows, reward, quality, how)?))
}
