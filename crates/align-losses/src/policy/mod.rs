//! Losses on completions that the policy sampled itself, and what they are made of: rewards, advantages,
//! importance ratios.
//!
//! Notation: completion y_i with tokens t, log-prob log π(y_it|·) under the policy being trained, log π_old
//! under the one that sampled it, reward r_i, advantage A_i (or A_it where there is a critic), and
//!
//! - log-ratio ℓ_it = log π(y_it|·) − log π_old(y_it|·): [`ratio`]; importance ratio ρ_it = e^ℓ_it.
//!
//! A training step is a sentence of these modules:
//!
//! 1. rewards and the baseline make advantages: [`rewards`], [`advantages`] (groups of completions of a prompt)
//!    or [`token_rewards`], [`gae`] and [`whiten`] (a critic);
//! 2. a loss per token or per sequence, see the table; plus β times a divergence of [`crate::kl`] where the method
//!    has it;
//! 3. [`selection`]: which of them to leave out;
//! 4. [`reduction`]: one number, by the divisor that the method means.
//!
//! | Method | log-ratios | loss | reduction |
//! |---|---|---|---|
//! | PPO | token | [`ppo_clip`], [`clipped_value_loss`] | [`token_mean`] |
//! | GRPO | token | [`clipped_surrogate`] | [`seq_mean_token_mean`] |
//! | BNPO, DAPO | token | [`clipped_surrogate`] | [`token_mean`] over the batch, over the window |
//! | Dr. GRPO | token | [`clipped_surrogate`] | [`seq_mean_token_sum_norm`] |
//! | GSPO | [`sequence_log_ratios`] | [`clipped_surrogate`], spread to the tokens | [`seq_mean_token_mean`] |
//! | GSPO-token | [`sequence_token_log_ratios`] | [`clipped_surrogate`] | [`seq_mean_token_mean`] |
//! | LUSPO | [`sequence_log_ratios`] | [`clipped_surrogate`], spread to the tokens | [`seq_mean_token_sum`] |
//! | GRPO two-sided | token | [`two_sided_surrogate`] | [`seq_mean_token_mean`] |
//! | SAPO | token | [`sapo`] | [`seq_mean_token_mean`] |
//! | CISPO, VESPO | token | [`cispo`], [`vespo`] | [`token_mean`] over the window |
//! | GMPO, RLOO, REINFORCE, A*PO | in the loss | [`gmpo`], [`rloo`], [`reinforce`], [`a2po`] | mean |
//!
//! What belongs to a completion and has no gradient (rewards, advantages) is `&[f64]`, because it comes from
//! functions on text; what belongs to tokens is a tensor with its [`Sequences`](crate::Sequences), packed or
//! padded. A loss per token that takes no `Sequences` is elementwise and knows no mask; [`reduction`] leaves out what
//! does not count.

pub mod advantages;
mod cispo;
mod gae;
mod gmpo;
mod ppo;
pub mod ratio;
pub mod reduction;
mod reinforce;
pub mod rewards;
mod sapo;
pub mod selection;
pub mod surrogate;
mod vespo;
mod whiten;

use candle_core::{DType, Device, Result, Tensor};

pub use advantages::{
    batch_scaled_advantages, dr_grpo_advantages, group_centered, grpo_advantages, leave_one_out,
    normalized_advantages, reinforce_pp_advantages, rloo_advantages,
};
pub use cispo::{Cispo, cispo};
pub use gae::{Gae, gae, token_rewards};
pub use gmpo::gmpo;
pub use ppo::{ValueLoss, clipped_value_loss, ppo_clip};
pub use ratio::{log_ratios, sequence_log_ratios, sequence_token_log_ratios};
pub use reduction::{
    kept_mean, seq_mean_token_mean, seq_mean_token_sum, seq_mean_token_sum_norm, token_mean,
};
pub use reinforce::{a2po, optimal_value, reinforce, rloo};
pub use rewards::{clipped_rewards, group_normalized_rewards, kl_penalized_rewards, weighted_rewards};
pub use sapo::{SapoTemperatures, sapo};
pub use selection::{off_policy_mask, top_entropy_mask};
pub use surrogate::{
    Clip, ClipRatios, Surrogate, clipped_surrogate, dual_clip_surrogate, two_sided_surrogate,
};
pub use vespo::{Vespo, VespoShape, VespoShapes, vespo};
pub use whiten::{Moments, token_moments, whiten, whiten_around_mean};

/// The numbers of a tensor on the host, in f64, row by row: for what carries no gradient.
fn on_host(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.detach().to_device(&Device::Cpu)?.flatten_all()?.to_dtype(DType::F64)?.to_vec1()
}

/// Numbers of the host in the shape, type and place of `like`.
fn like(values: Vec<f64>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.dims(), &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())
}
