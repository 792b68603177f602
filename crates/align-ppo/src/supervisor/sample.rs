//! What a phase's completions say as texts, whoever scored them.

use std::collections::{BTreeMap, BTreeSet};

use crate::Sample;

/// Fewest completions whose correlation says something.
const FOR_CORRELATION: usize = 8;
/// Fewest different prompts whose answers can be compared.
const FOR_DUPLICATES: usize = 4;
/// Words (or letters, in a text without spaces) in a row that make a phrase.
const PHRASE: usize = 3;
/// Phrases that a text must have before it can repeat itself.
const FEWEST_PHRASES: usize = 8;
/// Share of different phrases below which a text repeats itself.
const FEWEST_DIFFERENT: f64 = 0.4;

/// Mean of the scores and their standard deviation; none where nothing was scored.
pub(super) fn scores(samples: &[Sample]) -> Option<(f64, f64)> {
    let scores: Vec<f64> = samples.iter().filter_map(|sample| sample.score).collect();
    let mean = mean(&scores)?;
    Some((mean, mean_product(scores.iter().map(|score| (score - mean, score - mean))).sqrt()))
}

/// Mean length in tokens.
pub(super) fn length(samples: &[Sample]) -> Option<f64> {
    mean(&samples.iter().map(|sample| sample.tokens as f64).collect::<Vec<_>>())
}

/// Pearson's correlation of score and length. None of fewer than eight, or where one of the two is always the same.
pub(super) fn reward_length_correlation(samples: &[Sample]) -> Option<f64> {
    let scored: Vec<(f64, f64)> =
        samples.iter().filter_map(|sample| Some((sample.score?, sample.tokens as f64))).collect();
    if scored.len() < FOR_CORRELATION {
        return None;
    }
    let (scores, lengths): (Vec<f64>, Vec<f64>) = scored.iter().copied().unzip();
    let (score, length) = (mean(&scores)?, mean(&lengths)?);
    let both = mean_product(scored.iter().map(|(s, l)| (s - score, l - length)));
    let variance = |values: &[f64], mean: f64| mean_product(values.iter().map(|v| (v - mean, v - mean)));
    let scale = (variance(&scores, score) * variance(&lengths, length)).sqrt();
    (scale > 1e-12).then_some(both / scale)
}

/// The share of different prompts that the most frequent completion answers. None of fewer than four prompts.
pub(super) fn duplicates(samples: &[Sample]) -> Option<f64> {
    let mut prompts_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for sample in samples {
        prompts_of.entry(sample.completion.trim()).or_default().insert(&sample.prompt);
    }
    let prompts: BTreeSet<&str> = samples.iter().map(|sample| sample.prompt.as_str()).collect();
    let most = prompts_of.values().map(BTreeSet::len).max()?;
    (prompts.len() >= FOR_DUPLICATES).then(|| most as f64 / prompts.len() as f64)
}

/// The share of completions that are empty or repeat themselves.
pub(super) fn degenerate(samples: &[Sample]) -> Option<f64> {
    let degenerate = samples.iter().filter(|sample| is_degenerate(&sample.completion)).count();
    (!samples.is_empty()).then(|| degenerate as f64 / samples.len() as f64)
}

/// Empty, or of the same few phrases over and over.
fn is_degenerate(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() >= FEWEST_PHRASES + PHRASE {
        return repeats(words.windows(PHRASE));
    }
    let letters: Vec<char> = text.trim().chars().collect();
    // A few long words are one that goes on and on.
    letters.is_empty() || (letters.len() > 12 * words.len() && repeats(letters.windows(PHRASE)))
}

fn repeats<T: Ord>(phrases: impl ExactSizeIterator<Item = T>) -> bool {
    let count = phrases.len();
    let different: BTreeSet<T> = phrases.collect();
    count >= FEWEST_PHRASES && (different.len() as f64) < FEWEST_DIFFERENT * count as f64
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn mean_product(pairs: impl ExactSizeIterator<Item = (f64, f64)>) -> f64 {
    let count = pairs.len().max(1) as f64;
    pairs.map(|(a, b)| a * b).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(prompt: &str, completion: &str, score: f64) -> Sample {
        Sample {
            phase: 0,
            step: 0,
            origin: String::new(),
            prompt: prompt.to_owned(),
            completion: completion.to_owned(),
            score: Some(score),
            tokens: completion.len(),
            finished: true,
        }
    }

    #[test]
    fn what_repeats_itself_is_degenerate_and_a_short_answer_is_not() {
        for text in
            ["", "  \n", "the the the the the the the the the the the the", "aaaaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            assert!(is_degenerate(text), "{text}");
        }
        let advice =
            "Wash the rice in cold water, put it in a pot with some salt, and let it cook on a low heat.";
        for text in
            ["Twelve.", "No.", advice, "It is twelve, because four plus eight is twelve.", "pneumonia"]
        {
            assert!(!is_degenerate(text), "{text}");
        }
    }

    #[test]
    fn duplicates_are_counted_over_prompts_not_within_a_group() {
        let group: Vec<Sample> = (0..8).map(|_| sample("a", "Twelve.", 1.0)).collect();
        assert_eq!(duplicates(&group), None);
        let prompts = ["a", "b", "c", "d"];
        let same: Vec<Sample> = prompts
            .iter()
            .flat_map(|prompt| [sample(prompt, "No.", 0.0), sample(prompt, prompt, 0.0)])
            .collect();
        assert_eq!(duplicates(&same), Some(1.0));
        let own: Vec<Sample> = prompts.iter().map(|prompt| sample(prompt, prompt, 0.0)).collect();
        assert_eq!(duplicates(&own), Some(0.25));
    }

    #[test]
    fn a_reward_of_length_correlates_with_it_and_a_constant_one_with_nothing() {
        let texts: Vec<String> = (1..10).map(|length| "x".repeat(length)).collect();
        let rated = |score: fn(&str) -> f64| -> Vec<Sample> {
            texts.iter().map(|text| sample("a", text, score(text))).collect()
        };
        let of_length = reward_length_correlation(&rated(|text| text.len() as f64 * 0.1)).unwrap();
        assert!((of_length - 1.0).abs() < 1e-9, "{of_length}");
        assert_eq!(reward_length_correlation(&rated(|_| 1.0)), None);
        assert_eq!(reward_length_correlation(&rated(|text| text.len() as f64)[..5]), None);
    }
}
