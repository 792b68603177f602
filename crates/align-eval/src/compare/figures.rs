//! Everything that is measured of one model.

use std::collections::BTreeSet;

use align_report::{ModelFigures, PromptSet, RewardFigures};
use align_stats::{LengthControlled, bootstrap_ci95, distinct_n, duplicate_rate, pearson};

use super::answering::Said;
use super::constant::Constant;
use super::verdicts::Verdicts;
use crate::text::{refuses, words};

/// The figures of model number `model`; `constant` is the answer that could be given to every prompt.
pub(super) fn of_model(
    said: &Said,
    model: usize,
    verdicts: &Verdicts<'_>,
    controlled: &LengthControlled,
    constant: &Constant,
) -> ModelFigures {
    let places = verdicts.places(None);
    let (distinct_1, distinct_2, duplicate_rate) = diversity(said, &places, verdicts.count);
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
        kl_ci95: said.kl.and_then(|kl| kl.ci95),
        kl_per_token: said.kl.map(|kl| kl.per_token),
        perplexity: said.perplexity,
        distinct_1,
        distinct_2,
        duplicate_rate,
        mean_tokens: (!places.is_empty()).then(|| tokens / places.len() as f64),
        truncated_rate: share(&|place| !said.answers[place].finished),
        refusal_rate: share(&|place| refuses(&said.answers[place].text)),
        prompt_sets: sets(verdicts)
            .iter()
            .map(|set| prompt_set(set, said, model, verdicts, constant))
            .collect(),
        train_seconds: None,
        peak_memory_mb: None,
    }
}

/// Distinct-1, distinct-2 and the rate of duplicates, among one answer per prompt: the more texts, the fewer of their words
/// are new, and answers to the same prompt may well be the same. Of several answers the mean.
fn diversity(said: &Said, places: &[usize], count: usize) -> (Option<f64>, Option<f64>, Option<f64>) {
    let of_number = |number: usize| -> Vec<&str> {
        let places = places.iter().filter(|&place| place % count == number);
        places.map(|&place| said.answers[place].text.trim()).collect()
    };
    let rounds: Vec<Vec<&str>> = (0..count).map(of_number).collect();
    let mean = |figure: &dyn Fn(&Vec<&str>) -> Option<f64>| {
        let figures: Option<Vec<f64>> = rounds.iter().map(figure).collect();
        Some(figures?.iter().sum::<f64>() / count as f64)
    };
    let distinct = |texts: &Vec<&str>, n: usize| {
        let words: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
        distinct_n(&words, n)
    };
    let duplicates = |texts: &Vec<&str>| (!texts.is_empty()).then(|| duplicate_rate(texts));
    (mean(&|texts| distinct(texts, 1)), mean(&|texts| distinct(texts, 2)), mean(&duplicates))
}

/// The names of all sets, in order.
fn sets<'a>(verdicts: &Verdicts<'a>) -> BTreeSet<&'a str> {
    verdicts.prompts.iter().flat_map(|row| &row.sets).map(String::as_str).collect()
}

fn prompt_set(
    set: &str,
    said: &Said,
    model: usize,
    verdicts: &Verdicts<'_>,
    constant: &Constant,
) -> PromptSet {
    let places = verdicts.places(Some(set));
    let refusals = places.iter().filter(|&&place| refuses(&said.answers[place].text)).count();
    PromptSet {
        name: set.to_owned(),
        prompts: places.len() / verdicts.count,
        win_rate: verdicts.win_rate(&places, model),
        longer_wins: verdicts.longer_wins(&places, model),
        constant_answer: verdicts
            .win_rate_of(&places, &|place| constant.at(verdicts, place))
            .map(|rate| rate.rate),
        reward: reward(said, model, &places, verdicts),
        refusal_rate: (!places.is_empty()).then(|| refusals as f64 / places.len() as f64),
    }
}

fn reward(said: &Said, model: usize, places: &[usize], verdicts: &Verdicts<'_>) -> Option<RewardFigures> {
    let placed: Vec<(usize, f64)> =
        places.iter().filter_map(|&place| Some((place, verdicts.reward(place, model)?))).collect();
    let rewards: Vec<f64> = placed.iter().map(|(_, reward)| *reward).collect();
    if rewards.is_empty() {
        return None;
    }
    // Prompts are drawn with all their answers.
    let prompts: Vec<(f64, f64)> = verdicts
        .by_prompt(&placed)
        .iter()
        .map(|rewards| (rewards.iter().sum(), rewards.len() as f64))
        .collect();
    let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
    let variance = rewards.iter().map(|reward| (reward - mean).powi(2)).sum::<f64>() / rewards.len() as f64;
    let tokens: Vec<f64> = places.iter().map(|&place| said.answers[place].tokens as f64).collect();
    Some(RewardFigures {
        mean,
        std: variance.sqrt(),
        ci95: bootstrap_ci95(&prompts, verdicts.seed),
        length_correlation: pearson(&rewards, &tokens),
    })
}
