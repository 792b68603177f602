//! What nobody had to be good for: rules of length, chance, and the longest answer for all prompts.

use align_report::Baseline;

use super::answering::Said;
use super::verdicts::Verdicts;

/// The longest answer that any model gave: what a judge who likes length would like best. It is no estimate of the best
/// answer for all prompts, which would have to be looked for among many under every judge.
pub(super) fn longest(said: &[Said]) -> String {
    let answers = said.iter().flat_map(|said| &said.answers).map(|answer| answer.text.as_str());
    let longest = answers.max_by_key(|text| text.chars().count()).unwrap_or_default();
    longest.to_owned()
}

/// Under the same judge: how often the longer answer is preferred, another sample of the baseline, the longest answer.
pub(super) fn of(verdicts: &Verdicts<'_>, said: &[Said], has_another: bool, longest: &str) -> Vec<Baseline> {
    let places = verdicts.places(None);
    let mut baselines = Vec::new();
    for (model, said) in said.iter().enumerate().skip(1) {
        let baseline = |name: &str, value: f64, note: &str| Baseline {
            name: name.to_owned(),
            model: Some(said.name.clone()),
            value,
            reward: None,
            note: note.to_owned(),
        };
        if let Some(value) = verdicts.longer_wins(&places, model) {
            let note =
                "how often the judge prefers the longer one of this model's and the baseline's answers";
            baselines.push(baseline("longer wins", value, note));
            let note = "how often it prefers the shorter one";
            baselines.push(baseline("shorter wins", 1.0 - value, note));
        }
    }
    let mut push = |name: &str, answer: usize, note: String| {
        let rate = verdicts.win_rate(&places, answer);
        baselines.extend(rate.map(|rate| Baseline {
            name: name.to_owned(),
            model: None,
            value: rate.rate,
            reward: mean(places.iter().filter_map(|&place| verdicts.reward(place, answer))),
            note,
        }));
    };
    let models = said.len();
    if has_another {
        let note =
            "the win rate of the baseline's own answers with another seed: what chance reaches".to_owned();
        push("another sample", models, note);
    }
    let shown: String = longest.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect();
    let note =
        format!("the win rate of the longest answer that a model gave, given to all prompts: “{shown}”");
    push("longest answer", models + usize::from(has_another), note);
    baselines
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}
