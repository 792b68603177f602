//! GMPO: the geometric mean of the clipped token ratios is the sequence's ratio, so that one token that went
//! astray cannot carry the whole sequence with it.

use candle_core::{Result, Tensor};

use super::surrogate::{Clip, Surrogate};
use crate::checks::{constant_like, same_shape};
use crate::numerics::exp;
use crate::sequence::Sequences;

/// −A_i·exp((1/|y_i|)·Σ_t c_it) per sequence, with the log-ratio clipped on the side of the advantage's sign:
/// c = min(ℓ, high) for A > 0, max(ℓ, −low) otherwise (Geometric-Mean Policy Optimization, arXiv:2507.20673,
/// eq. 4).
///
/// The [`Clip`] is of the *logarithm* here: ratios within [e^−low, e^high], 0.4 each in the paper. Log-ratios
/// are of [`Sequences::dims`], advantages `[sequences]` and held constant. The losses are `[sequences]`, what was
/// clipped is reported by token. The batch's loss is their plain mean.
///
/// # Errors
/// If the shapes do not fit the sequences, a tensor is not of a floating type, or the range is negative.
pub fn gmpo(
    log_ratios: &Tensor,
    advantages: &Tensor,
    sequences: &Sequences,
    clip: Clip,
) -> Result<Surrogate> {
    let Clip { low, high } = clip.checked()?;
    let log_ratios = sequences.counted(log_ratios)?;
    let means = sequences.means(&log_ratios.detach())?;
    same_shape("advantages", advantages, "the sequences", &means)?;
    let advantages = constant_like("advantages", advantages, &means)?;
    let of_tokens = sequences.spread(&advantages)?;

    let (good, rest) = (of_tokens.gt(0f64)?, of_tokens.le(0f64)?);
    let (below, above) = (log_ratios.lt(-low)?, log_ratios.gt(high)?);
    let ones = log_ratios.ones_like()?;
    let clipped = (&above * &good)?.where_cond(&(&ones * high)?, &log_ratios)?;
    let clipped = (&below * &rest)?.where_cond(&(&ones * -low)?, &clipped)?;
    // Without an advantage there is no slope, however large the ratio.
    let clipped = of_tokens.eq(0f64)?.where_cond(&log_ratios.zeros_like()?, &clipped)?;

    let bad = of_tokens.lt(0f64)?;
    Ok(Surrogate {
        losses: (exp(&sequences.means(&clipped)?)? * advantages)?.neg()?,
        clipped_low: (below * bad)?.to_dtype(log_ratios.dtype())?,
        clipped_high: (above * good)?.to_dtype(log_ratios.dtype())?,
    })
}
