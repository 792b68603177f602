//! Models and the reward model as judges of every file of pairs.

use align_data::TokenizeOptions;
use align_report::Preferences;
use align_stage::{Error, Result, ensure};

use super::Job;
use super::inputs::Inputs;
use crate::preferences::as_written;
use crate::{policy_preferences, reward_preferences, without_prompts};

/// An entry per file and judge, with what the answers of the file give away without their prompts.
pub(super) fn preferences(job: &Job, inputs: &Inputs<'_>) -> Result<Vec<Preferences>> {
    let mut found = judged(job, inputs)?;
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
fn judged(job: &Job, inputs: &Inputs<'_>) -> Result<Vec<Preferences>> {
    let (mut found, seed) = (Vec::new(), job.models.seed);
    if inputs.pairs.is_empty() {
        return Ok(found);
    }
    ensure!(
        inputs.reward.is_some() || !inputs.models.is_empty(),
        "`preferences`: nobody to judge the pairs; name `--model` or `--reward-model`"
    );
    if let Some(source) = &inputs.reward {
        let judge = (source.name.as_str(), source.reward());
        for pairs in &inputs.pairs {
            found.push(match (&source.tokens, inputs.models.first()) {
                (Some((tokenizer, options)), _) if source.reads_as_written => {
                    as_written(judge, (tokenizer, options), pairs, seed)?
                }
                (Some((tokenizer, options)), _) => {
                    reward_preferences(judge.0, judge.1, tokenizer, options, pairs, seed)?
                }
                (None, Some(first)) => {
                    let dir = first.dir()?;
                    let whole = TokenizeOptions { max_length: None, ..TokenizeOptions::default() };
                    as_written(judge, (dir.tokenizer(), &whole), pairs, seed)?
                }
                // `Inputs::read` refuses a job without one.
                (None, None) => {
                    return Err(Error::option("preferences", "there is no model to count tokens with"));
                }
            });
        }
    }
    let mut models = inputs.models.iter();
    let Some(baseline) = models.next() else { return Ok(found) };
    let baseline = baseline.load(&inputs.device)?;
    for pairs in &inputs.pairs {
        found.push(policy_preferences(&baseline, None, job.preferences.beta, pairs, seed)?);
    }
    for model in models {
        let policy = model.load(&inputs.device)?;
        for pairs in &inputs.pairs {
            found.push(policy_preferences(&policy, Some(&baseline), job.preferences.beta, pairs, seed)?);
        }
    }
    Ok(found)
}
