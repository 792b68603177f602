//! Models and the reward model as judges of every file of pairs.

use align_eval::{Policy, policy_preferences, reward_preferences, without_prompts};
use align_report::Preferences;

use crate::inputs::Inputs;
use crate::options::Options;

/// An entry per file and judge, with what the answers of the file give away without their prompts.
pub(crate) fn preferences(options: &Options, inputs: &Inputs) -> anyhow::Result<Vec<Preferences>> {
    let mut found = judged(options, inputs)?;
    if let Some(training) = &inputs.train_pairs {
        let baselines: Vec<_> = inputs.pairs.iter().map(|pairs| without_prompts(training, pairs)).collect();
        // The files are in the same order for every judge.
        for (place, judge) in found.iter_mut().enumerate() {
            judge.baselines.extend(baselines[place % baselines.len()].iter().cloned());
        }
    }
    Ok(found)
}

/// The reward model first, then the models. The baseline, which has no reference, is measured by its log-probs.
fn judged(options: &Options, inputs: &Inputs) -> anyhow::Result<Vec<Preferences>> {
    let (mut found, seed) = (Vec::new(), options.models.seed);
    if inputs.pairs.is_empty() {
        return Ok(found);
    }
    anyhow::ensure!(
        inputs.reward.is_some() || !inputs.models.is_empty(),
        "`preferences`: nobody to judge the pairs; name `--model` or `--reward-model`"
    );
    if let Some(source) = &inputs.reward {
        for pairs in &inputs.pairs {
            let (tokenizer, options) = (&source.tokenizer, &source.options);
            found.push(reward_preferences(&source.name, &source.reward, tokenizer, options, pairs, seed)?);
        }
    }
    let mut models = inputs.models.iter();
    let open = |model: &crate::models::Model| Policy::open(model.name.as_str(), &model.path, &inputs.device);
    let Some(baseline) = models.next() else { return Ok(found) };
    let baseline = open(baseline)?;
    for pairs in &inputs.pairs {
        found.push(policy_preferences(&baseline, None, options.preferences.beta, pairs, seed)?);
    }
    for model in models {
        let policy = open(model)?;
        for pairs in &inputs.pairs {
            found.push(policy_preferences(&policy, Some(&baseline), options.preferences.beta, pairs, seed)?);
        }
    }
    Ok(found)
}
