//! What the judge said of every answer, and what it comes to.

use align_report::{Verdict, WinRate};
use align_stats::{LengthControlled, Lengths, length_controlled};

use crate::judge::{Opinion, Opinions, Slate};
use crate::prompts::PromptRow;

/// Prompts, answers and opinions, place by place. Answers are numbered as in the slates: the baseline is 0. Where models
/// answered a prompt `count` times, it has so many places, side by side.
pub(super) struct Verdicts<'a> {
    pub(super) prompts: &'a [PromptRow],
    pub(super) count: usize,
    pub(super) slates: &'a [Slate],
    pub(super) opinions: &'a [Opinions],
    pub(super) rewards: Option<Vec<Vec<f64>>>,
    pub(super) seed: u64,
}

/// The verdict that a preference is; none for half a win, which is a tie, as is a contradiction.
pub(super) fn word(preference: f64) -> Verdict {
    match preference {
        win if win > 0.5 => Verdict::Win,
        loss if loss < 0.5 => Verdict::Loss,
        _ => Verdict::Tie,
    }
}

impl Verdicts<'_> {
    /// Places of the prompts that count in the figures over all, or of those of a set.
    pub(super) fn places(&self, set: Option<&str>) -> Vec<usize> {
        let belongs = |row: &PromptRow| match set {
            None => row.is_main,
            Some(set) => row.sets.iter().any(|other| other == set),
        };
        (0..self.prompts.len()).filter(|&place| belongs(&self.prompts[place])).collect()
    }

    /// Which half of the prompts a place is of: every second prompt.
    pub(super) fn half(&self, place: usize) -> usize {
        place / self.count % 2
    }

    /// The opinion on an answer; none on the baseline's.
    pub(super) fn opinion(&self, place: usize, answer: usize) -> Option<&Opinion> {
        self.opinions[place].opinions.get(answer.checked_sub(1)?)?.as_ref()
    }

    pub(super) fn reward(&self, place: usize, answer: usize) -> Option<f64> {
        self.rewards.as_ref().map(|rewards| rewards[place][answer])
    }

    /// By how many characters an answer is longer than the baseline's.
    pub(super) fn longer(&self, place: usize, answer: usize) -> f64 {
        let length = |answer: usize| self.slates[place].answers[answer].chars().count() as f64;
        length(answer) - length(0)
    }

    /// Places with an opinion on the answer, and the preferences.
    pub(super) fn preferences(&self, places: &[usize], answer: usize) -> Vec<(usize, f64)> {
        let preference = |&place: &usize| Some((place, self.opinion(place, answer)?.preference));
        places.iter().filter_map(preference).collect()
    }

    /// What there is at these places, a list per prompt.
    pub(super) fn by_prompt<T: Clone>(&self, found: &[(usize, T)]) -> Vec<Vec<T>> {
        let prompts = found.chunk_by(|(a, _), (b, _)| a / self.count == b / self.count);
        prompts.map(|prompt| prompt.iter().map(|(_, it)| it.clone()).collect()).collect()
    }

    /// How often the longer one of an answer and the baseline's is preferred at these places; none without an opinion.
    pub(super) fn longer_wins(&self, places: &[usize], answer: usize) -> Option<f64> {
        let preferences = self.preferences(places, answer);
        let of_longer = preferences.iter().map(|&(place, preference)| match self.longer(place, answer) {
            0.0 => 0.5,
            longer if longer > 0.0 => preference,
            _ => 1.0 - preference,
        });
        (!preferences.is_empty()).then(|| of_longer.sum::<f64>() / preferences.len() as f64)
    }

    /// The win rate of an answer at these places; the baseline's is all ties.
    pub(super) fn win_rate(&self, places: &[usize], answer: usize) -> Option<WinRate> {
        if answer == 0 {
            return (!places.is_empty()).then(|| tied(places.len()));
        }
        self.win_rate_of(places, &|_| answer)
    }

    /// The win rate of an answer that is another one from place to place, never the baseline's.
    pub(super) fn win_rate_of(&self, places: &[usize], answer: &dyn Fn(usize) -> usize) -> Option<WinRate> {
        let preference = |&place: &usize| Some((place, self.opinion(place, answer(place))?.preference));
        let preferences: Vec<_> = places.iter().filter_map(preference).collect();
        let preferences = self.by_prompt(&preferences);
        let found = align_stats::WinRate::of_prompts(&preferences, self.seed)?;
        let consistent: Vec<bool> =
            places.iter().filter_map(|&place| self.opinion(place, answer(place))?.is_consistent).collect();
        let share = consistent.iter().filter(|it| **it).count() as f64 / consistent.len().max(1) as f64;
        Some(WinRate {
            wins: found.wins,
            ties: found.ties,
            losses: found.losses,
            rate: found.win_rate,
            ci95: found.ci95,
            p_value: Some(found.p_value),
            length_controlled: None,
            length_controlled_ci95: None,
            order_consistency: (!consistent.is_empty()).then_some(share),
        })
    }

    /// Win rates at equal length of the models after the baseline, with the baseline's other sample as control.
    pub(super) fn length_controlled(&self, models: usize, has_control: bool) -> LengthControlled {
        let places = self.places(None);
        let figures = |answer: usize| -> Compared {
            let preferences = self.preferences(&places, answer);
            let row = |(place, it)| (it, (self.longer(place, answer), place / self.count));
            let (preferences, (differences, prompts)) = preferences.into_iter().map(row).unzip();
            Compared { preferences, differences, prompts }
        };
        let all: Vec<Compared> = (1..models).map(figures).collect();
        let control = has_control.then(|| figures(models));
        fn lengths(Compared { preferences, differences, prompts }: &Compared) -> Lengths<'_> {
            Lengths { preferences, differences, prompts }
        }
        let models: Vec<Lengths<'_>> = all.iter().map(lengths).collect();
        length_controlled(&models, control.as_ref().map(lengths), self.seed)
    }
}

/// What [`Lengths`] borrows.
struct Compared {
    preferences: Vec<f64>,
    differences: Vec<f64>,
    prompts: Vec<usize>,
}

fn tied(comparisons: usize) -> WinRate {
    WinRate {
        wins: 0,
        ties: comparisons,
        losses: 0,
        rate: 0.5,
        ci95: [0.5, 0.5],
        p_value: None,
        length_controlled: Some(0.5),
        length_controlled_ci95: Some([0.5, 0.5]),
        order_consistency: None,
    }
}
