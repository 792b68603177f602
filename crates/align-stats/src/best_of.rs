//! Best-of-n sampling: how much is gained by drawing n answers and keeping the one with the highest reward.

/// Expected `value` of the answer with the highest `reward` among n of the N given ones, over all choices of n: the
/// unbiased estimate from N samples (Nakano et al. 2021, arXiv:2112.09332, appendix I). Equal rewards share.
///
/// # Panics
/// If there are not as many values as rewards, or n is not between 1 and their number.
pub fn best_of(rewards: &[f64], values: &[f64], n: usize) -> f64 {
    let count = rewards.len();
    assert_eq!(count, values.len(), "as many values as rewards");
    assert!((1..=count).contains(&n), "expected n from 1 to {count}, got {n}");
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&i, &j| rewards[j].total_cmp(&rewards[i]));
    // The probability that the i-th best is the best of n: all better ones are left out, and it is not.
    let mut left = 1.0;
    let mut expected = 0.0;
    let mut better = 0;
    for equal in order.chunk_by(|&i, &j| rewards[i] == rewards[j]) {
        let before = left;
        for _ in equal {
            // One more is left out of n drawn from what remains.
            left *= ((count - better) as f64 - n as f64).max(0.0) / (count - better) as f64;
            better += 1;
        }
        let value = equal.iter().map(|&i| values[i]).sum::<f64>() / equal.len() as f64;
        expected += (before - left) * value;
    }
    expected
}

/// KL in nats of the best of n samples from one sample, ln n − (n − 1)/n: exact where no two samples are equal, and
/// else an upper bound (Beirami et al. 2024, arXiv:2401.01879).
pub fn best_of_kl(n: usize) -> f64 {
    let n = n.max(1) as f64;
    n.ln() - (n - 1.0) / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_choices_are_weighed() {
        // Pairs of [1, 2, 4]: the best are 2, 4, 4.
        let rewards = [4.0, 1.0, 2.0];
        assert!((best_of(&rewards, &rewards, 2) - 10.0 / 3.0).abs() < 1e-12);
        assert!((best_of(&rewards, &rewards, 1) - 7.0 / 3.0).abs() < 1e-12);
        assert_eq!(best_of(&rewards, &rewards, 3), 4.0);
        // What the best is worth to another judge.
        assert!((best_of(&rewards, &[0.0, 3.0, 6.0], 2) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn equal_rewards_share_whatever_their_order() {
        assert_eq!(best_of(&[1.0, 1.0], &[0.0, 1.0], 2), 0.5);
        assert_eq!(best_of(&[1.0, 1.0, 0.0], &[0.0, 1.0, 9.0], 3), 0.5);
        assert_eq!(best_of_kl(1), 0.0);
        assert!((best_of_kl(16) - (16f64.ln() - 15.0 / 16.0)).abs() < 1e-12);
    }
}
