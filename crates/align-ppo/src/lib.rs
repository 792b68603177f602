//! Rollouts, experience, and the on-policy loop: PPO with a critic, and the critic-free family.
