//! How far a figure may be from what another sample would have given.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Samples that the interval is made of: its ends are then good to about a tenth of its width.
const RESAMPLES: usize = 2000;

/// The middle 95 % of Σ sums / Σ counts over samples of rows, drawn with replacement (the percentile bootstrap of Efron).
///
/// Rows are drawn whole, because the pairs of one row are not independent. There must be at least one.
pub fn bootstrap_ci95(rows: &[(f64, f64)], seed: u64) -> [f64; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let (mut sum, mut count) = (0.0, 0.0);
            for _ in 0..rows.len() {
                let (s, c) = rows[(rng.next_u64() % rows.len() as u64) as usize];
                sum += s;
                count += c;
            }
            sum / count
        })
        .collect();
    means.sort_by(f64::total_cmp);
    [means[RESAMPLES * 25 / 1000], means[RESAMPLES * 975 / 1000 - 1]]
}

/// [`bootstrap_ci95`] of the mean of at least one value.
pub fn mean_ci95(values: &[f64], seed: u64) -> [f64; 2] {
    let rows: Vec<(f64, f64)> = values.iter().map(|&value| (value, 1.0)).collect();
    bootstrap_ci95(&rows, seed)
}

/// [`bootstrap_ci95`], none of fewer than two rows: one cannot tell how far another would have been.
pub fn ci95_of_several(rows: &[(f64, f64)], seed: u64) -> Option<[f64; 2]> {
    (rows.len() > 1).then(|| bootstrap_ci95(rows, seed))
}

/// [`bootstrap_ci95`] of Σ sums / Σ counts where each row is a share of what it counts, as of wins or hits.
///
/// Where all rows agree on none or on all, no draw differs and the bootstrap would be certain, of three rows as of three
/// hundred. There it is the exact interval of Clopper and Pearson (1934) instead, which ends at the share of which so
/// one-sided a sample has a probability of 2.5 %.
pub fn share_ci95(rows: &[(f64, f64)], seed: u64) -> [f64; 2] {
    let least = 0.025f64.powf(1.0 / rows.len() as f64);
    if rows.iter().all(|(sum, count)| sum == count) {
        [least, 1.0]
    } else if rows.iter().all(|(sum, _)| *sum == 0.0) {
        [0.0, 1.0 - least]
    } else {
        bootstrap_ci95(rows, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handful_without_a_failure_is_not_certain() {
        // scipy.stats.binomtest(44, 44).proportion_ci(): 0.9195
        let [low, high] = share_ci95(&[(1.0, 1.0); 44], 1);
        assert!((low - 0.9195).abs() < 1e-4 && high == 1.0, "{low} {high}");
        assert_eq!(share_ci95(&[(0.0, 2.0); 44], 1), [0.0, 1.0 - low]);
        assert_eq!(share_ci95(&[(0.5, 1.0); 9], 1), [0.5, 0.5], "a model against itself");
    }

    #[test]
    fn the_interval_is_that_of_the_normal_approximation() {
        let rows: Vec<(f64, f64)> = (0..400).map(|i| (f64::from(u8::from(i % 4 != 0)), 1.0)).collect();
        let [low, high] = bootstrap_ci95(&rows, 7);
        let half = 1.96 * (0.75f64 * 0.25 / 400.0).sqrt();
        assert!((low - (0.75 - half)).abs() < 0.01 && (high - (0.75 + half)).abs() < 0.01, "{low} {high}");
        assert_eq!(bootstrap_ci95(&rows, 7), [low, high]);
    }

    #[test]
    fn one_row_says_nothing_of_another() {
        assert_eq!(ci95_of_several(&[(0.7, 1.0)], 1), None);
        assert_eq!(
            ci95_of_several(&[(0.7, 1.0), (0.1, 1.0)], 1),
            Some(bootstrap_ci95(&[(0.7, 1.0), (0.1, 1.0)], 1))
        );
    }

    #[test]
    fn without_failures_there_is_no_spread() {
        assert_eq!(bootstrap_ci95(&[(1.0, 1.0); 9], 1), [1.0, 1.0]);
    }
}
