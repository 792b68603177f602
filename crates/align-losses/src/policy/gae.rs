//! Rewards per token, and generalized advantage estimation over them (Schulman et al. 2016, arXiv:1506.02438).
//!
//! An episode is a sequence: it ends with its last token, and nothing flows from the next one into it. A stream
//! of steps with `done` flags is packed ids that count the flags seen.

use candle_core::{Result, Tensor, bail};

use super::{like, on_host};
use crate::checks::at_least_f32;
use crate::sequence::Sequences;

/// Advantages and returns of each token, [`Sequences::dims`], 0 where nothing counts; detached.
#[derive(Debug, Clone)]
pub struct Gae {
    /// A_t.
    pub advantages: Tensor,
    /// A_t + V_t: what the critic is trained towards.
    pub returns: Tensor,
}

/// The reward of each token in RLHF: −`kl_coef`·kl_t, and the completion's score at its sequence's last token
/// (Ouyang et al. 2022, arXiv:2203.02155, eq. 2; with [`k1`](crate::kl::k1) or [`k3`](crate::kl::k3) of policy
/// and reference as kl).
///
/// `kl` is of [`Sequences::dims`], `scores` one per sequence. Detached, 0 where nothing counts. A sequence
/// without tokens has no place for its score.
///
/// TRL's PPO gives the score to the position *after* the completion's last token (where its rows have one) and
/// runs the estimate over that position too: count it in `sequences`, with a kl of 0, for the same numbers.
///
/// # Errors
/// If the shapes do not fit the sequences, or a score is not a finite number.
#[doc(alias = "kl_penalty_reward")]
pub fn token_rewards(kl: &Tensor, scores: &[f64], sequences: &Sequences, kl_coef: f64) -> Result<Tensor> {
    of_each(scores, "one score", sequences)?;
    let kl = sequences.counted(&kl.detach())?;
    let mut rewards: Vec<f64> = on_host(&kl)?.into_iter().map(|kl| -kl_coef * kl).collect();
    for (tokens, score) in sequences.positions()?.iter().zip(scores) {
        if let Some(&last) = tokens.last() {
            rewards[last] += score;
        }
    }
    like(rewards, &kl)
}

/// Advantages A_t = Σ_k (γλ)^k·δ_{t+k} with δ_t = r_t + γ·V_{t+1} − V_t, within each sequence (arXiv:1506.02438,
/// eq. 16), in f64.
///
/// Rewards and values are of [`Sequences::dims`]. `bootstrap` holds, per sequence, V after its last token: 0
/// where the episode ended there, the critic's value where it was only cut off. λ = 1 gives the discounted
/// return minus V, λ = 0 the one-step error δ.
///
/// # Errors
/// If the shapes do not fit the sequences, γ or λ are outside [0, 1], or a bootstrap value is not finite.
#[doc(alias = "compute_advantages")]
pub fn gae(
    rewards: &Tensor,
    values: &Tensor,
    sequences: &Sequences,
    bootstrap: &[f64],
    gamma: f64,
    lam: f64,
) -> Result<Gae> {
    for (name, value) in [("gamma", gamma), ("lam", lam)] {
        if !(0.0..=1.0).contains(&value) {
            bail!("expected {name} in [0, 1], got {value}");
        }
    }
    of_each(bootstrap, "one bootstrap value", sequences)?;
    let rewards = on_host(&sequences.counted(rewards)?)?;
    let shape = sequences.counted(&at_least_f32("values", values)?)?;
    let values = on_host(&shape)?;
    let mut advantages = vec![0.0; values.len()];
    let mut returns = vec![0.0; values.len()];
    for (tokens, &bootstrap) in sequences.positions()?.iter().zip(bootstrap) {
        let (mut next_value, mut next_advantage) = (bootstrap, 0.0);
        for &t in tokens.iter().rev() {
            let error = rewards[t] + gamma * next_value - values[t];
            next_advantage = error + gamma * lam * next_advantage;
            next_value = values[t];
            (advantages[t], returns[t]) = (next_advantage, next_advantage + values[t]);
        }
    }
    Ok(Gae { advantages: like(advantages, &shape)?, returns: like(returns, &shape)? })
}

fn of_each(numbers: &[f64], what: &str, sequences: &Sequences) -> Result<()> {
    if numbers.len() != sequences.len() {
        bail!("expected {what} per sequence ({}), got {}", sequences.len(), numbers.len());
    }
    match numbers.iter().find(|number| !number.is_finite()) {
        Some(number) => bail!("expected {what} per sequence that is a finite number, got {number}"),
        None => Ok(()),
    }
}
