//! Losses of reward models, on scores of whole answers.
//!
//! A score model is known up to a constant per prompt from comparisons alone; [`reward_centering`] pins it.

use candle_core::{D, Result, Tensor};

use crate::checks::{at_least_f32, condition, constant_like, same_shape};
use crate::numerics::{log_sigmoid, masked};

/// Bradley–Terry: the chosen answer wins with probability σ(r_w − r_l) (Ouyang et al. 2022, arXiv:2203.02155, eq. 1).
///
/// ℓ = −log σ(r_w − r_l)
///
/// Scores `[pairs]` → `[pairs]`.
///
/// # Errors
/// If the shapes differ or the scores are not of a floating type.
pub fn bradley_terry(chosen: &Tensor, rejected: &Tensor) -> Result<Tensor> {
    log_sigmoid(&difference(chosen, rejected)?)?.neg()
}

/// [`bradley_terry`] with a margin per pair, larger where the preference is clearer (Touvron et al. 2023, Llama 2,
/// arXiv:2307.09288, eq. 2).
///
/// ℓ = −log σ(r_w − r_l − m)
///
/// Scores and margins `[pairs]` → `[pairs]`; the margins are held constant.
///
/// # Errors
/// If the shapes differ or a tensor is not of a floating type.
pub fn bradley_terry_with_margin(chosen: &Tensor, rejected: &Tensor, margin: &Tensor) -> Result<Tensor> {
    let difference = difference(chosen, rejected)?;
    same_shape("margin", margin, "the scores", &difference)?;
    let margin = constant_like("margin", margin, &difference)?;
    log_sigmoid(&(difference - margin)?)?.neg()
}

/// The term that keeps scores around zero (Eisenstein et al. 2023, arXiv:2312.09244, eq. 2): (r_w + r_l)², to be added
/// with a coefficient (TRL's `center_rewards_coefficient`).
///
/// Scores `[pairs]` → `[pairs]`.
///
/// # Errors
/// As [`bradley_terry`].
pub fn reward_centering(chosen: &Tensor, rejected: &Tensor) -> Result<Tensor> {
    let (chosen, rejected) = matching(chosen, rejected)?;
    (chosen + rejected)?.sqr()
}

/// Plackett–Luce: the probability of a whole ranking (Rafailov et al. 2023, arXiv:2305.18290, eq. 18).
///
/// ℓ = −Σ_i (r_i − log Σ_{j ≥ i} e^{r_j})
///
/// Scores `[groups, k]`, best first, and a mask of the answers there are → `[groups]`. With two answers it is
/// [`bradley_terry`].
///
/// # Errors
/// If the shapes are not both `[groups, k]`, or the scores not of a floating type.
pub fn plackett_luce(scores: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let (groups, k) = scores.dims2()?;
    let scores = masked(scores, mask)?;
    // Entry (i, j): whether answer j is there to lose against answer i.
    let left = behind(k, true, &scores)?
        .broadcast_mul(&condition(mask)?.unsqueeze(1)?)?
        .broadcast_mul(&condition(mask)?.unsqueeze(2)?)?;
    let rivals = scores.unsqueeze(1)?.broadcast_sub(&scores.unsqueeze(2)?)?; // r_j − r_i
    let rivals = left.where_cond(&rivals, &rivals.zeros_like()?)?;
    // −log of the probability that i is chosen among those left: log Σ_j e^{r_j − r_i}, with j = i among them.
    let largest = rivals.detach().max_keepdim(D::Minus1)?;
    let shares = rivals.broadcast_sub(&largest)?.exp()?;
    let sums = left.where_cond(&shares, &shares.zeros_like()?)?.sum_keepdim(D::Minus1)?;
    let there = sums.gt(0f64)?;
    let logs = there.where_cond(&sums, &sums.ones_like()?)?.log()?;
    (logs + largest)?.reshape((groups, k))?.sum(D::Minus1)
}

/// All pairs of a ranking by [`bradley_terry`], averaged over the pairs (Ouyang et al. 2022, arXiv:2203.02155, eq. 1
/// with its 1/(K choose 2)).
///
/// ℓ = mean over i < j of −log σ(r_i − r_j)
///
/// Scores `[groups, k]`, best first, and a mask of the answers there are → `[groups]`. A group of one has 0.
///
/// # Errors
/// As [`plackett_luce`].
pub fn pairwise_ranking(scores: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let (_groups, k) = scores.dims2()?;
    let scores = masked(scores, mask)?;
    let pairs = behind(k, false, &scores)?
        .broadcast_mul(&condition(mask)?.unsqueeze(1)?)?
        .broadcast_mul(&condition(mask)?.unsqueeze(2)?)?;
    let margins = scores.unsqueeze(2)?.broadcast_sub(&scores.unsqueeze(1)?)?; // r_i − r_j
    let losses = masked(&log_sigmoid(&margins)?.neg()?, &pairs)?;
    let counts = pairs.to_dtype(scores.dtype())?.sum((1, 2))?.maximum(1f64)?;
    losses.sum((1, 2))? / counts
}

/// Regression on given scores: (r − target)².
///
/// Scores and targets of one shape, any; so is the result. The targets are held constant.
///
/// # Errors
/// If the shapes differ or a tensor is not of a floating type.
pub fn reward_regression(scores: &Tensor, targets: &Tensor) -> Result<Tensor> {
    same_shape("targets", targets, "the scores", scores)?;
    let scores = at_least_f32("scores", scores)?;
    let targets = constant_like("targets", targets, &scores)?;
    (scores - targets)?.sqr()
}

fn difference(chosen: &Tensor, rejected: &Tensor) -> Result<Tensor> {
    let (chosen, rejected) = matching(chosen, rejected)?;
    chosen - rejected
}

fn matching(chosen: &Tensor, rejected: &Tensor) -> Result<(Tensor, Tensor)> {
    chosen.dims1()?;
    same_shape("rejected scores", rejected, "the chosen ones", chosen)?;
    let chosen = at_least_f32("chosen scores", chosen)?;
    let rejected = at_least_f32("rejected scores", rejected)?.to_dtype(chosen.dtype())?;
    Ok((chosen, rejected))
}

/// u8 `[groups, k, k]`: whether j stands behind i, or also at i itself.
fn behind(k: usize, or_equal: bool, scores: &Tensor) -> Result<Tensor> {
    let places = Tensor::arange(0u32, k as u32, scores.device())?;
    let (rows, columns) = (places.unsqueeze(1)?, places.unsqueeze(0)?);
    let pairs = if or_equal { rows.broadcast_le(&columns)? } else { rows.broadcast_lt(&columns)? };
    pairs.broadcast_as((scores.dim(0)?, k, k))
}
