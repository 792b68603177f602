//! How often one model's answer is preferred to a baseline's.

use serde::{Deserialize, Serialize};

use crate::{mean_ci95, sign_test};

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
    /// Its 95 % interval, by bootstrap over comparisons.
    pub ci95: [f64; 2],
    /// The [`sign_test`] of wins against losses.
    pub p_value: f64,
}

impl WinRate {
    /// Of preferences for the model's answers, each from 0 (the baseline's is preferred) to 1; none if there are
    /// none. `seed` is of the interval.
    pub fn of(preferences: &[f64], seed: u64) -> Option<Self> {
        if preferences.is_empty() {
            return None;
        }
        let count = |holds: fn(f64) -> bool| preferences.iter().filter(|&&it| holds(it)).count();
        let (wins, losses) = (count(|it| it > 0.5), count(|it| it < 0.5));
        Some(Self {
            comparisons: preferences.len(),
            wins,
            losses,
            ties: preferences.len() - wins - losses,
            win_rate: preferences.iter().sum::<f64>() / preferences.len() as f64,
            ci95: mean_ci95(preferences, seed),
            p_value: sign_test(wins, losses),
        })
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
    fn a_judge_that_prefers_a_place_gives_ties() {
        // The model shown first wins, whichever it is: one half after both orders.
        assert_eq!(WinRate::of(&[0.5, 0.75, 0.25, 1.0], 1).unwrap().win_rate, 0.625);
        assert_eq!([-2.0, 0.0, 0.1].map(hit), [0.0, 0.5, 1.0]);
    }
}
