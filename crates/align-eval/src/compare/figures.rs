//! Everything that is measured of one model.

use std::collections::BTreeSet;

use align_report::{ModelFigures, PromptSet, RewardFigures};
use align_stats::{LengthControlled, distinct_n, duplicate_rate, mean_ci95, pearson};

use super::answering::Said;
use super::verdicts::Verdicts;
use crate::text::{refuses, words};

/// The figures of model number `model`.
pub(super) fn of_model(
    said: &Said,
    model: usize,
    verdicts: &Verdicts<'_>,
    controlled: &LengthControlled,
) -> ModelFigures {
    let places = verdicts.places(None);
    let texts: Vec<&str> = places.iter().map(|&place| said.answers[place].text.trim()).collect();
    let words: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
    let share = |holds: &dyn Fn(usize) -> bool| {
        let count = places.iter().filter(|&&place| holds(place)).count();
        (!places.is_empty()).then(|| count as f64 / places.len() as f64)
    };
    let tokens: f64 = places.iter().map(|&place| said.answers[place].tokens as f64).sum();
    let mut win_rate = verdicts.win_rate(&places, model);
    if let (Some(rate), Some(number)) = (&mut win_rate, model.checked_sub(1)) {
        rate.length_controlled = controlled.win_rates.get(number).copied();
        rate.length_controlled_ci95 = controlled.ci95.get(number).copied();
    }
    ModelFigures {
        name: said.name.clone(),
        path: said.path.clone(),
        win_rate,
        reward: reward(said, model, &places, verdicts),
        kl_per_sequence: said.kl.map(|kl| kl.per_sequence),
        kl_per_token: said.kl.map(|kl| kl.per_token),
        perplexity: said.perplexity,
        distinct_1: distinct_n(&words, 1),
        distinct_2: distinct_n(&words, 2),
        duplicate_rate: (!texts.is_empty()).then(|| duplicate_rate(&texts)),
        mean_tokens: (!places.is_empty()).then(|| tokens / places.len() as f64),
        truncated_rate: share(&|place| !said.answers[place].finished),
        refusal_rate: share(&|place| refuses(&said.answers[place].text)),
        prompt_sets: sets(verdicts).iter().map(|set| prompt_set(set, said, model, verdicts)).collect(),
        train_seconds: None,
        peak_memory_mb: None,
    }
}

/// The names of all sets, in order.
fn sets<'a>(verdicts: &Verdicts<'a>) -> BTreeSet<&'a str> {
    verdicts.prompts.iter().flat_map(|row| &row.sets).map(String::as_str).collect()
}

fn prompt_set(set: &str, said: &Said, model: usize, verdicts: &Verdicts<'_>) -> PromptSet {
    let places = verdicts.places(Some(set));
    let refusals = places.iter().filter(|&&place| refuses(&said.answers[place].text)).count();
    PromptSet {
        name: set.to_owned(),
        prompts: places.len(),
        win_rate: verdicts.win_rate(&places, model),
        reward: reward(said, model, &places, verdicts),
        refusal_rate: (!places.is_empty()).then(|| refusals as f64 / places.len() as f64),
    }
}

fn reward(said: &Said, model: usize, places: &[usize], verdicts: &Verdicts<'_>) -> Option<RewardFigures> {
    let rewards: Vec<f64> = places.iter().filter_map(|&place| verdicts.reward(place, model)).collect();
    if rewards.is_empty() {
        return None;
    }
    let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
    let variance = rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / rewards.len() as f64;
    let tokens: Vec<f64> = places.iter().map(|&place| said.answers[place].tokens as f64).collect();
    Some(RewardFigures {
        mean,
        std: variance.sqrt(),
        ci95: mean_ci95(&rewards, verdicts.seed),
        length_correlation: pearson(&rewards, &tokens),
    })
}
