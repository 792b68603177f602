#![doc = include_str!("../README.md")]

mod checks;

pub mod distillation;
pub mod kl;
pub mod likelihood;
pub mod numerics;
pub mod policy;
pub mod preference;
pub mod reward;
pub mod sequence;
pub mod unpaired;

pub use distillation::generalized_jsd;
pub use kl::{AdaptiveKl, FixedKl, KlController, abs_kl, bias_corrected_k3, exact_kl, k1, k2, k3};
pub use likelihood::{dft, entropy, label_log_probs, label_smoothed_nll, log_sum_sq_probs, nll};
pub use numerics::{log_sigmoid, masked_mean, masked_sum, relu, sigmoid};
pub use policy::{
    Cispo, Clip, ClipRatios, Gae, Moments, SapoTemperatures, Surrogate, ValueLoss, Vespo, VespoShape,
    VespoShapes, a2po, batch_scaled_advantages, cispo, clipped_rewards, clipped_surrogate,
    clipped_value_loss, dr_grpo_advantages, dual_clip_surrogate, gae, gmpo, group_centered,
    group_normalized_rewards, grpo_advantages, kept_mean, kl_penalized_rewards, leave_one_out, log_ratios,
    normalized_advantages, off_policy_mask, optimal_value, ppo_clip, reinforce, reinforce_pp_advantages,
    rloo, rloo_advantages, sapo, seq_mean_token_mean, seq_mean_token_sum, seq_mean_token_sum_norm,
    sequence_log_ratios, sequence_token_log_ratios, token_mean, token_moments, token_rewards,
    top_entropy_mask, two_sided_surrogate, vespo, weighted_rewards, whiten, whiten_around_mean,
};
pub use preference::{
    FDivergence, LogRatios, OddsRatio, PairLengths, PairLogProbs, PairRewards, aot, aot_unpaired, apo_down,
    apo_zero, bco_pair, cdpo, cdpo_with_margin, chosen_nll, cpo, cpo_hinge, cpo_ipo, discopop, dpo,
    dpo_length_normalized, dpop, exo_pair, hinge, ipo, ipo_length_normalized, ld_log_probs, nca_pair,
    orpo_odds_ratio, rdpo, robust_dpo, simpo, slic, sppo_hard, tpo_l, wpo_weights,
};
pub use reward::{
    bradley_terry, bradley_terry_with_margin, pairwise_ranking, plackett_luce, reward_centering,
    reward_regression,
};
pub use sequence::{Sequences, masked_sequence_log_probs, sequence_log_probs, shift_mask, shifted_log_probs};
pub use unpaired::{
    RunningMoments, apo_zero_unpaired, bco, density_ratio_weights, desirability_weighted, kto, kto_kl,
};
