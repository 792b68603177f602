//! Whether what was measured on pairs could be chance.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Sign flips that the permutation test draws: its smallest p-value is about one over this.
const PERMUTATIONS: usize = 10_000;

/// Probability of wins and losses at least as uneven as these if both were equally likely: the exact two-sided sign
/// test, which on the pairs that two models answer differently is McNemar's exact test. Ties do not count.
pub fn sign_test(wins: usize, losses: usize) -> f64 {
    let (trials, fewer) = (wins + losses, wins.min(losses));
    let mut log_term = -(trials as f64) * std::f64::consts::LN_2;
    let mut log_tail = log_term;
    for k in 0..fewer {
        log_term += ((trials - k) as f64).ln() - ((k + 1) as f64).ln();
        let (high, low) = (log_tail.max(log_term), log_tail.min(log_term));
        log_tail = high + (low - high).exp().ln_1p();
    }
    (2.0 * log_tail.exp()).min(1.0)
}

/// Probability of a mean at least as far from 0 if the sign of each difference were a coin toss: the two-sided paired
/// permutation test, over drawn sign flips. 1 where there are no differences.
pub fn permutation_test(differences: &[f64], seed: u64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Rounding must not decide whether a flip that changes nothing is as extreme.
    let observed = differences.iter().sum::<f64>().abs() * (1.0 - 1e-12);
    let mut flipped = || {
        let mut signs = 0;
        let sum: f64 = differences
            .iter()
            .enumerate()
            .map(|(i, difference)| {
                if i % 64 == 0 {
                    signs = rng.next_u64();
                }
                if signs >> (i % 64) & 1 == 0 { *difference } else { -difference }
            })
            .sum();
        sum.abs()
    };
    let extreme = (0..PERMUTATIONS).filter(|_| flipped() >= observed).count();
    (extreme + 1) as f64 / (PERMUTATIONS + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_test_is_the_binomial_tail() {
        // 8 of 10: 2 (1 + 10 + 45) / 1024.
        assert!((sign_test(8, 2) - 112.0 / 1024.0).abs() < 1e-12);
        assert_eq!(sign_test(2, 8), sign_test(8, 2));
        assert_eq!((sign_test(0, 0), sign_test(5, 5)), (1.0, 1.0));
        // scipy.stats.binomtest(1100, 2000).pvalue
        assert!(
            (sign_test(1100, 900) / 8.537_466_930_251_55e-6 - 1.0).abs() < 1e-2,
            "{}",
            sign_test(1100, 900)
        );
    }

    #[test]
    fn flips_of_equal_differences_are_the_sign_test() {
        let differences: Vec<f64> = (0..10).map(|i| if i < 8 { 0.7 } else { -0.7 }).collect();
        assert!((permutation_test(&differences, 3) - 112.0 / 1024.0).abs() < 0.01);
        assert_eq!(permutation_test(&[], 3), 1.0);
        assert_eq!(permutation_test(&[0.0, 0.0], 3), 1.0);
        assert!(permutation_test(&[0.3; 40], 3) < 0.001);
    }
}
