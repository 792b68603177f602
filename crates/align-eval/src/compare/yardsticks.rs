//! What nobody had to be good for: rules of length, chance, and one answer for all prompts.

use align_report::Baseline;

use super::answering::Said;
use super::constant::Constant;
use super::verdicts::Verdicts;

/// Under the same judge: how often the longer answer is preferred, another sample of the baseline, one answer for all prompts.
pub(super) fn of(
    verdicts: &Verdicts<'_>,
    said: &[Said],
    has_another: bool,
    (constant, tried): (&Constant, &[String]),
) -> Vec<Baseline> {
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
    let mut push = |name: &str, answer: &dyn Fn(usize) -> usize, note: String| {
        let rate = verdicts.win_rate_of(&places, answer);
        baselines.extend(rate.map(|rate| Baseline {
            name: name.to_owned(),
            model: None,
            value: rate.rate,
            reward: mean(places.iter().filter_map(|&place| verdicts.reward(place, answer(place)))),
            note,
        }));
    };
    let models = said.len();
    if has_another {
        let note =
            "the win rate of the baseline's own answers with another seed: what chance reaches".to_owned();
        push("another sample", &|_| models, note);
    }
    let first = models + usize::from(has_another);
    let shown = |text: &String| -> String {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("“{}”", words.chars().take(160).collect::<String>())
    };
    let at = |place| constant.at(verdicts, place);
    if let [longest] = tried {
        let note = format!(
            "the win rate of the longest answer that a model gave, given to all prompts: {}",
            shown(longest)
        );
        push("longest answer", &at, note);
    } else {
        let chosen: Vec<String> =
            constant.chosen().into_iter().map(|answer| shown(&tried[answer - first])).collect();
        let note = format!(
            "the win rate of one answer to all prompts: the best of {} on one half of the prompts, given to the other half, and \
             the other way round: {}",
            tried.len(),
            chosen.join(", ")
        );
        push("one answer for all", &at, note);
    }
    baselines
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}
