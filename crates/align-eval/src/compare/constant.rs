//! One answer for all prompts, as good as a few tries make it: a judge whom it pleases as much as a model does has not read the
//! prompts.

use std::collections::BTreeMap;

use super::answering::Said;
use super::verdicts::Verdicts;

/// Answers that are tried where trying costs no question: the longest one, and those that models gave most often.
const TRIED: usize = 4;

/// What could be said to every prompt: the longest answer that any model gave, which a judge of length likes best, then, if more
/// than one is to be tried, those that stand under the most prompts.
pub(super) fn candidates(said: &[Said], is_cheap: bool) -> Vec<String> {
    let texts = || said.iter().flat_map(|said| &said.answers).map(|answer| answer.text.as_str());
    let longest = texts().max_by_key(|text| text.chars().count()).unwrap_or_default();
    let mut found = vec![longest.to_owned()];
    if is_cheap {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        texts().filter(|text| *text != longest).for_each(|text| *counts.entry(text).or_default() += 1);
        let mut frequent: Vec<(&str, usize)> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
        // Stable: equally frequent ones in the order of the alphabet.
        frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        found.extend(frequent.into_iter().take(TRIED - 1).map(|(text, _)| text.to_owned()));
    }
    found
}

/// For each half of the prompts the answer that wins most on the other half: what is chosen where it is measured flatters.
pub(super) struct Constant {
    /// Numbers of the answers in the slates.
    by_half: [usize; 2],
}

impl Constant {
    /// The candidates are the answers from number `first` on, `count` of them.
    pub(super) fn choose(verdicts: &Verdicts<'_>, first: usize, count: usize) -> Self {
        let places = verdicts.places(None);
        let best = |half: usize| {
            let other: Vec<usize> =
                places.iter().copied().filter(|place| verdicts.half(*place) != half).collect();
            let rate = |answer: usize| verdicts.win_rate(&other, answer).map_or(0.0, |rate| rate.rate);
            // The first of equals.
            (first..first + count).rev().max_by(|a, b| rate(*a).total_cmp(&rate(*b))).unwrap_or(first)
        };
        Self { by_half: [best(0), best(1)] }
    }

    /// The number of the answer at a place.
    pub(super) fn at(&self, verdicts: &Verdicts<'_>, place: usize) -> usize {
        self.by_half[verdicts.half(place)]
    }

    /// The answers that were chosen, each once.
    pub(super) fn chosen(&self) -> Vec<usize> {
        let [even, odd] = self.by_half;
        if even == odd { vec![even] } else { vec![even, odd] }
    }
}

#[cfg(test)]
mod tests {
    use align_data::{Origin, PromptOnly, PromptTask, TemplateArguments};

    use super::*;
    use crate::judge::{Opinion, Opinions};
    use crate::policy::Answer;
    use crate::prompts::PromptRow;

    fn said(texts: &[&str]) -> Said {
        let answer = |text: &&str| Answer { text: (*text).to_owned(), tokens: 1, finished: true };
        Said {
            name: String::new(),
            path: String::new(),
            answers: texts.iter().map(answer).collect(),
            kl: None,
            perplexity: None,
        }
    }

    #[test]
    fn the_longest_and_the_most_frequent_answers_are_tried() {
        let said = [said(&["b", "a", "a", "much longer"]), said(&["b", "a", "once", "much longer"])];
        assert_eq!(candidates(&said, true), ["much longer", "a", "b"]);
        assert_eq!(candidates(&said, false), ["much longer"]);
    }

    #[test]
    fn what_wins_on_one_half_is_measured_on_the_other() {
        let prompt = PromptOnly {
            prompt: "p".into(),
            template: TemplateArguments::default(),
            origin: Origin::in_code(0),
        };
        let task = PromptTask { prompt, reference: None };
        let row = PromptRow { task, sets: Vec::new(), kind: None, is_main: true };
        let prompts = vec![row; 4];
        // The first candidate wins on even prompts, the second on odd ones.
        let opinion = |preference: f64| Some(Opinion { preference, ..Opinion::default() });
        let even = Opinions { scores: None, opinions: vec![opinion(1.0), opinion(0.0)] };
        let odd = Opinions { scores: None, opinions: vec![opinion(0.0), opinion(1.0)] };
        let opinions = [even.clone(), odd.clone(), even, odd];
        let verdicts = Verdicts {
            prompts: &prompts,
            count: 1,
            slates: &[],
            opinions: &opinions,
            rewards: None,
            seed: 1,
        };
        let constant = Constant::choose(&verdicts, 1, 2);
        assert_eq!([0, 1, 2, 3].map(|place| constant.at(&verdicts, place)), [2, 1, 2, 1]);
        let rate = verdicts.win_rate_of(&[0, 1, 2, 3], &|place| constant.at(&verdicts, place));
        assert_eq!(rate.unwrap().rate, 0.0, "either of them alone wins half");
    }
}
