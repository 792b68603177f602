//! Advantages and losses on what the policy sampled itself.

use align_losses::{Sequences, gae, group_centered, label_log_probs, reinforce, reinforce_pp_advantages};
use candle_core::{Device, Tensor};

use super::{close, gradient, tensor, values};

/// Three answers with their probabilities instead of samples of them: the loss's expected gradient is that of the
/// expected reward, downhill.
#[test]
fn reinforce_climbs_the_expected_reward() {
    let (logits, rewards) = (tensor(&[0.4, -0.3, 1.1]), tensor(&[1.0, -2.0, 0.5]));
    let answers = Tensor::new(&[0u32, 1, 2], &Device::Cpu).unwrap();
    let each = Sequences::packed(&[0, 1, 2], 3, &Device::Cpu).unwrap();
    let log_probs = |logits: &Tensor| label_log_probs(&logits.broadcast_as((3, 3))?.contiguous()?, &answers);
    let p = log_probs(&logits).unwrap().exp().unwrap();
    for baseline in [0.0, 0.7] {
        let advantages = (&rewards - baseline).unwrap();
        let expected = gradient(&logits, |logits| reinforce(&log_probs(logits)?, &advantages, &each)? * &p);
        close(&expected, &gradient(&logits, |logits| (log_probs(logits)?.exp()? * &rewards)?.neg()));
    }
}

/// A critic that knows what is to come is surprised by nothing, however far it looks.
#[test]
fn a_critic_that_is_right_leaves_no_advantage() {
    let rewards = [0.5, -1.0, 2.0, 0.0, 3.0];
    let episodes = Sequences::packed(&[0, 0, 0, 1, 1], 2, &Device::Cpu).unwrap();
    for gamma in [1.0, 0.9] {
        // The second episode was cut off where 4 more were to come.
        let ends = [0.0, 4.0];
        let mut worth = [0.0; 5];
        for (tokens, end) in [(0..3, ends[0]), (3..5, ends[1])] {
            let mut next = end;
            for t in tokens.rev() {
                next = rewards[t] + gamma * next;
                worth[t] = next;
            }
        }
        for lam in [0.0, 0.5, 1.0] {
            let estimate = gae(&tensor(&rewards), &tensor(&worth), &episodes, &ends, gamma, lam).unwrap();
            close(&values(&estimate.advantages), &[0.0; 5]);
            close(&values(&estimate.returns), &worth);
            // One that expects 1 too little everywhere but at the end is pleasantly surprised.
            let low = tensor(&worth.map(|value| value - 1.0));
            let surprised = gae(&tensor(&rewards), &low, &episodes, &ends, gamma, lam).unwrap();
            assert!(values(&surprised.advantages).iter().all(|advantage| *advantage > -1e-12));
            close(&values(&surprised.advantages)[2..3], &[1.0]);
        }
    }
}

#[test]
fn whitened_rewards_know_neither_their_unit_nor_their_zero() {
    let rewards = [1.0, -2.0, 0.5, 4.0, 4.0, -1.5];
    let whitened = reinforce_pp_advantages(&rewards).unwrap();
    let count = rewards.len() as f64;
    assert!(whitened.iter().sum::<f64>().abs() < 1e-12);
    assert!((whitened.iter().map(|x| x * x).sum::<f64>() / (count - 1.0) - 1.0).abs() < 1e-8);
    let order = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        order
    };
    assert_eq!(order(&whitened), order(&rewards));
    // 10⁻⁸ beside the variance is all that knows the unit.
    for (unit, zero) in [(60.0, 7.0), (0.5, -100.0)] {
        let moved = reinforce_pp_advantages(&rewards.map(|reward| unit * reward + zero)).unwrap();
        for (moved, whitened) in moved.iter().zip(&whitened) {
            assert!((moved - whitened).abs() < 1e-7, "{moved} is not {whitened}");
        }
    }
    // With the group's mean as a baseline a prompt that is easy for all its completions gives none an advantage.
    let easy = [9.0, 9.0, 0.0, 1.0];
    let of_groups = reinforce_pp_advantages(&group_centered(&easy, 2).unwrap()).unwrap();
    assert_eq!(of_groups[..2], [0.0, 0.0]);
    assert!(of_groups[2] < 0.0 && of_groups[3] > 0.0);
}
