//! How often one model's answer is preferred to a baseline's.

use serde::{Deserialize, Serialize};

use crate::{permutation_test, share_ci95, sign_test};

/// Comparisons of one model with a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WinRate {
    /// Comparisons.
    pub comparisons: usize,
    /// Comparisons in which the model's answer is preferred.
    pub wins: usize,
    /// Comparisons in which the baseline's is.
    pub losses: usize,
    /// Comparisons in which neither is.
    pub ties: usize,
    /// Mean preference: a win is 1, a tie one half. One half for a model against itself.
    pub win_rate: f64,
    /// Its 95 % interval, by bootstrap over comparisons, or over prompts where they have several.
    pub ci95: [f64; 2],
    /// The [`sign_test`] of wins against losses; with several comparisons per prompt the [`permutation_test`] of prompts.
    pub p_value: f64,
}

impl WinRate {
    /// The win rate of preferences for the model's answers, each from 0 (the baseline's is preferred) to 1; none if
    /// there are none. `seed` is of the interval.
    pub fn of(preferences: &[f64], seed: u64) -> Option<Self> {
        if preferences.is_empty() {
            return None;
        }
        let counted = Self::counted(preferences);
        let p_value = sign_test(counted.wins, counted.losses);
        let rows: Vec<(f64, f64)> = preferences.iter().map(|&preference| (preference, 1.0)).collect();
        Some(Self { ci95: share_ci95(&rows, seed), p_value, ..counted })
    }

    /// The win rate of several comparisons on each prompt, a list per prompt; none if there are none.
    ///
    /// Answers to the same prompt fare alike, so that they are no new evidence each: prompts are drawn whole, and it is
    /// the sign of a whole prompt that could have been the other. What is left of the interval with many answers is the
    /// choice of prompts.
    pub fn of_prompts(prompts: &[Vec<f64>], seed: u64) -> Option<Self> {
        let all = prompts.concat();
        if prompts.iter().all(|answers| answers.len() <= 1) || all.is_empty() {
            return Self::of(&all, seed);
        }
        let some = prompts.iter().filter(|answers| !answers.is_empty());
        let sums: Vec<(f64, f64)> =
            some.map(|answers| (answers.iter().sum(), answers.len() as f64)).collect();
        let leads: Vec<f64> = sums.iter().map(|(sum, count)| sum - count / 2.0).collect();
        let p_value = permutation_test(&leads, seed);
        Some(Self { ci95: share_ci95(&sums, seed), p_value, ..Self::counted(&all) })
    }

    /// Without knowing yet how sure it is.
    fn counted(preferences: &[f64]) -> Self {
        let count = |holds: fn(f64) -> bool| preferences.iter().filter(|&&it| holds(it)).count();
        let (wins, losses) = (count(|it| it > 0.5), count(|it| it < 0.5));
        Self {
            comparisons: preferences.len(),
            wins,
            losses,
            ties: preferences.len() - wins - losses,
            win_rate: preferences.iter().sum::<f64>() / preferences.len() as f64,
            ci95: [0.0, 1.0],
            p_value: 1.0,
        }
    }
}

/// The preference for the better answer that a difference of rewards shows: 1 where it is positive, one half at a tie.
pub fn hit(margin: f64) -> f64 {
    if margin == 0.0 { 0.5 } else { f64::from(u8::from(margin > 0.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_against_itself_wins_half() {
        let itself = WinRate::of(&[0.5; 40], 1).unwrap();
        assert_eq!((itself.win_rate, itself.ci95, itself.p_value, itself.ties), (0.5, [0.5, 0.5], 1.0, 40));
        assert_eq!(WinRate::of(&[], 1), None);
    }

    #[test]
    fn the_same_answer_again_is_no_new_evidence() {
        let once: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i % 10 < 6))).collect();
        let thrice: Vec<Vec<f64>> = once.iter().map(|&preference| vec![preference; 3]).collect();
        let (few, many) = (WinRate::of(&once, 1).unwrap(), WinRate::of_prompts(&thrice, 1).unwrap());
        assert_eq!((many.win_rate, many.ci95, many.comparisons), (few.win_rate, few.ci95, 300));
        assert!((many.p_value - few.p_value).abs() < 0.02, "{} {}", many.p_value, few.p_value);
        let single: Vec<Vec<f64>> = once.iter().map(|&preference| vec![preference]).collect();
        assert_eq!(WinRate::of_prompts(&single, 1), Some(few));
        assert_eq!(WinRate::of_prompts(&[vec![], vec![]], 1), None);
    }

    #[test]
    fn a_judge_that_prefers_a_place_gives_ties() {
        // The model shown first wins, whichever it is: one half after both orders.
        assert_eq!(WinRate::of(&[0.5, 0.75, 0.25, 1.0], 1).unwrap().win_rate, 0.625);
        assert_eq!([-2.0, 0.0, 0.1].map(hit), [0.0, 0.5, 1.0]);
    }
}
