//! Prompts with their answers side by side, and what the page filters them by.

use std::collections::BTreeMap;

use serde::Serialize;

use super::charts;
use crate::format::{count, number};
use crate::{Answer, Comparison, Verdict};

/// Bytes of texts and their markup that the page may hold: with everything else it stays below 2 MB.
const BUDGET: usize = 1_200_000;

/// Bytes of markup around an answer, roughly.
const MARKUP: usize = 300;

/// Characters of a text that are shown.
const LONGEST: usize = 6000;

#[derive(Serialize)]
pub(super) struct Samples {
    baseline: String,
    /// Models that have verdicts.
    models: Vec<String>,
    tags: Vec<Tag>,
    shown: usize,
    total: usize,
    /// Answers that each model gave to each prompt; the first ones are shown.
    per_prompt: usize,
    samples: Vec<Sample>,
}

#[derive(Serialize)]
struct Tag {
    name: String,
    count: usize,
}

#[derive(Serialize)]
struct Sample {
    prompt: String,
    tags: Vec<String>,
    verdicts: Vec<Judged>,
    answers: Vec<Shown>,
}

/// What the script filters and orders by.
#[derive(Serialize)]
struct Judged {
    model: String,
    verdict: &'static str,
    /// Reward above the baseline's.
    gain: Option<f64>,
}

#[derive(Serialize)]
struct Shown {
    /// The model's place, which gives its colour and sign.
    series: usize,
    model: String,
    verdict: Option<&'static str>,
    words: &'static str,
    facts: String,
    text: String,
    reason: Option<String>,
}

impl Samples {
    /// As many as fit; none if there are none.
    pub(super) fn new(comparison: &Comparison) -> Option<Self> {
        let (mut samples, mut bytes) = (Vec::new(), 0);
        let mut tags = BTreeMap::new();
        let first = || comparison.samples.iter().filter(|sample| sample.number == 0);
        for sample in first() {
            let shown = shown(comparison, sample);
            bytes += size(&shown);
            if bytes > BUDGET {
                break;
            }
            for tag in &shown.tags {
                *tags.entry(tag.clone()).or_insert(0) += 1;
            }
            samples.push(shown);
        }
        let has_verdicts = |name: &&String| {
            let mut answers = comparison.samples.iter().flat_map(|sample| &sample.answers);
            answers.any(|answer| answer.model == **name && answer.verdict.is_some())
        };
        let models = comparison.models.iter().map(|model| &model.name);
        (!samples.is_empty()).then(|| Self {
            baseline: comparison.baseline.clone(),
            models: models.filter(has_verdicts).cloned().collect(),
            tags: tags.into_iter().map(|(name, count)| Tag { name, count }).collect(),
            shown: samples.len(),
            total: first().count(),
            per_prompt: comparison.answers_per_prompt,
            samples,
        })
    }
}

fn shown(comparison: &Comparison, sample: &crate::Sample) -> Sample {
    let baseline = sample.answers.iter().find(|answer| answer.model == comparison.baseline);
    let before = baseline.and_then(|answer| answer.reward);
    let judged = |answer: &Answer| {
        Some(Judged {
            model: answer.model.clone(),
            verdict: answer.verdict?.name(),
            gain: answer.reward.zip(before).map(|(after, before)| ((after - before) * 1e4).round() / 1e4),
        })
    };
    Sample {
        prompt: cut(&sample.prompt),
        tags: sample.tags.clone(),
        verdicts: sample.answers.iter().filter_map(judged).collect(),
        answers: sample.answers.iter().map(|answer| shown_answer(comparison, answer)).collect(),
    }
}

fn shown_answer(comparison: &Comparison, answer: &Answer) -> Shown {
    let series = comparison.models.iter().position(|model| model.name == answer.model).unwrap_or_default();
    let reward = answer.reward.map(|reward| format!("reward {} · ", number(reward))).unwrap_or_default();
    Shown {
        series: series % charts::STYLES,
        model: answer.model.clone(),
        verdict: answer.verdict.map(Verdict::name),
        words: match answer.verdict {
            Some(Verdict::Win) => "▲ better",
            Some(Verdict::Tie) => "= as good",
            Some(Verdict::Loss) => "▼ worse",
            None => "",
        },
        facts: format!("{reward}{}", count(answer.tokens, "token")),
        text: cut(&answer.text),
        reason: answer.reason.as_deref().map(cut),
    }
}

/// A text of any length, as long as a person reads it here.
fn cut(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} … (cut)", &text[..end]),
    }
}

fn size(sample: &Sample) -> usize {
    // An escaped character takes up to six bytes.
    let escaped = |text: &str| {
        text.len()
            + 5 * text.bytes().filter(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'' | b'/')).count()
    };
    let answer = |answer: &Shown| {
        escaped(&answer.text) + answer.reason.as_deref().map_or(0, escaped) + 2 * answer.model.len() + MARKUP
    };
    let tags: usize = sample.tags.iter().map(|tag| 2 * escaped(tag) + 40).sum();
    escaped(&sample.prompt) + tags + sample.answers.iter().map(answer).sum::<usize>() + MARKUP
}
