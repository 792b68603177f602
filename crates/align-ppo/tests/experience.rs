//! From what was sampled to advantages: against the sums written out by hand.

use std::sync::Arc;

use align_ppo::{Estimation, ExperienceBuffer, KlEstimator, Prompt, Rollout, Rollouts, ScorePosition};

const KL_COEF: f64 = 0.1;
const GAMMA: f64 = 0.9;
const LAM: f64 = 0.8;

fn estimation(score_position: ScorePosition) -> Estimation {
    Estimation {
        kl_estimator: KlEstimator::K1,
        score_position,
        score_clip: None,
        whiten_rewards: false,
        whiten_advantages: false,
        gamma: GAMMA,
        lam: LAM,
    }
}

/// Completions of three tokens and of two, of at most three.
fn rollouts() -> Rollouts {
    // Sampled by a policy that was sure of everything, and not the one that learns.
    let rollout = |log_probs: &[f32], finished| Rollout {
        tokens: vec![5; log_probs.len()],
        behaviour_log_probs: vec![0.0; log_probs.len()],
        finished,
        text: String::new(),
    };
    Rollouts {
        prompts: (0..2).map(|row| Prompt { row, tokens: Arc::from([1, 2]) }).collect(),
        num_generations: 1,
        completions: vec![rollout(&old()[0], false), rollout(&old()[1], true)],
    }
}

fn old() -> Vec<Vec<f32>> {
    vec![vec![-1.0, -2.0, -0.5], vec![-0.25, -1.5]]
}

fn reference() -> Vec<Vec<f32>> {
    vec![vec![-1.5, -1.0, -0.5], vec![-0.75, -1.0]]
}

/// Generalized advantages of one episode, from its last step backwards.
fn advantages(rewards: &[f64], values: &[f64]) -> Vec<f64> {
    let mut found = vec![0.0; rewards.len()];
    let (mut next_value, mut next) = (0.0, 0.0);
    for t in (0..rewards.len()).rev() {
        next = rewards[t] + GAMMA * next_value - values[t] + GAMMA * LAM * next;
        next_value = values[t];
        found[t] = next;
    }
    found
}

fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} for {expected}");
    }
}

#[test]
fn the_score_is_the_reward_of_the_last_token_or_of_the_place_after_it() {
    for position in [ScorePosition::LastToken, ScorePosition::AfterLastToken] {
        let mut buffer =
            ExperienceBuffer::new(estimation(position), &rollouts(), &[2.0, -1.0], &old(), &reference(), 3)
                .unwrap();
        let after = position == ScorePosition::AfterLastToken;
        // The first completion fills the limit: there is no place after it.
        assert_eq!(buffer.places(), [3, if after { 3 } else { 2 }]);
        let values = [vec![0.5, 0.25, -0.5], if after { vec![0.1, 0.2, 0.3] } else { vec![0.1, 0.2] }];
        buffer.set_values(values.to_vec()).unwrap();
        let figures = buffer.compute_advantages(KL_COEF).unwrap();

        let first = advantages(&[-0.05, 0.1, 2.0], &[0.5, 0.25, -0.5]);
        let second = match after {
            false => advantages(&[-0.05, 0.05 - 1.0], &[0.1, 0.2]),
            true => advantages(&[-0.05, 0.05, -1.0], &[0.1, 0.2, 0.3]),
        };
        assert_close(&buffer.advantages()[0], &first);
        assert_close(&buffer.advantages()[1], &second[..2]);
        let returns: Vec<f64> = second.iter().zip(&values[1]).map(|(a, v)| a + f64::from(*v)).collect();
        assert_close(&buffer.returns()[1], &returns);

        // Divergences 0.5 − 1 + 0 and 0.5 − 0.5 nats.
        assert!((figures.kl - -0.25).abs() < 1e-6, "{figures:?}");
        assert!((figures.entropy - (3.5 + 1.75) / 2.0).abs() < 1e-6, "{figures:?}");
        assert!((figures.non_score_reward - 0.025).abs() < 1e-6, "{figures:?}");
        assert!((figures.rlhf_reward - 0.525).abs() < 1e-6, "{figures:?}");
    }
}

#[test]
fn a_completion_that_was_cut_ends_as_one_that_ended_by_itself() {
    let advantages = |finished: bool| {
        let mut rollouts = rollouts();
        rollouts.completions[0].finished = finished;
        let estimation = estimation(ScorePosition::LastToken);
        let mut buffer =
            ExperienceBuffer::new(estimation, &rollouts, &[2.0, -1.0], &old(), &reference(), 3).unwrap();
        buffer.set_values(vec![vec![0.5, 0.25, -0.5], vec![0.1, 0.2]]).unwrap();
        buffer.compute_advantages(KL_COEF).unwrap();
        buffer.advantages()[0].clone()
    };
    assert_eq!(advantages(false), advantages(true));
}

#[test]
fn whitened_advantages_have_mean_zero_and_deviation_one() {
    let estimation = Estimation {
        kl_estimator: KlEstimator::K3,
        score_clip: Some(0.5),
        whiten_rewards: true,
        whiten_advantages: true,
        ..estimation(ScorePosition::LastToken)
    };
    let mut buffer =
        ExperienceBuffer::new(estimation, &rollouts(), &[2.0, -1.0], &old(), &reference(), 3).unwrap();
    buffer.set_values(vec![vec![0.0; 3], vec![0.0; 2]]).unwrap();
    let figures = buffer.compute_advantages(KL_COEF).unwrap();
    let all = buffer.advantages().concat();
    let mean = all.iter().sum::<f32>() / 5.0;
    let variance = all.iter().map(|a| (a - mean).powi(2)).sum::<f32>() / 4.0;
    assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
    // Scores of 0.5 and −0.5 after the clip.
    assert!((figures.rlhf_reward - figures.non_score_reward).abs() < 1e-9);
    assert!(figures.non_score_reward < 0.0, "k3 is never negative");
}

#[test]
fn a_critic_that_knows_all_explains_all_and_one_that_says_the_same_nothing() {
    let estimation = Estimation { gamma: 1.0, lam: 1.0, ..estimation(ScorePosition::LastToken) };
    let explained = |values: [Vec<f32>; 2]| {
        let mut buffer =
            ExperienceBuffer::new(estimation, &rollouts(), &[2.0, -1.0], &old(), &reference(), 3).unwrap();
        buffer.set_values(values.to_vec()).unwrap();
        assert_eq!(buffer.explained_variance(), 0.0, "nothing is known before");
        buffer.compute_advantages(0.0).unwrap();
        buffer.explained_variance()
    };
    assert!((explained([vec![2.0; 3], vec![-1.0; 2]]) - 1.0).abs() < 1e-6);
    assert!(explained([vec![0.3; 3], vec![0.3; 2]]).abs() < 1e-6);
    // Backwards: errors of twice the returns.
    assert!((explained([vec![-2.0; 3], vec![1.0; 2]]) - -3.0).abs() < 1e-6);
}

#[test]
fn a_score_that_is_no_number_is_refused() {
    let made = |scores: &[f64]| {
        let estimation = estimation(ScorePosition::LastToken);
        ExperienceBuffer::new(estimation, &rollouts(), scores, &old(), &reference(), 3).map(drop)
    };
    assert!(made(&[1.0, f64::NAN]).unwrap_err().to_string().contains("expected finite scores, found NaN"));
    assert!(made(&[1.0]).unwrap_err().to_string().contains("found 1, 2 and 2"));
}
