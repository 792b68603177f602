//! Functions that are exact in value *and* in slope, for the losses to be built from.
//!
//! Written naively each of them is wrong somewhere: `ln(σ(x))` is −∞ at x = −120 and its gradient NaN;
//! `min(x, 0) − ln(1 + e^−|x|)` has slope 1 at zero, because candle gives `|x|` the slope 1 there and
//! shares the slope of `min` between equal operands; `ln(1 + u)` loses a small u. The rules here: a
//! stabiliser is held constant; both branches of a `where` choose the same side at the tie; the branch
//! not chosen is fed a harmless input, since `where` passes a NaN backward from either side.
//!
//! It deliberately holds only what a loss in this crate uses.

use candle_core::{DType, Result, Tensor, bail};

use crate::checks::{at_least_f32, condition, same_shape};

/// log σ(x) = −ln(1 + e^−x), elementwise, for any finite x.
///
/// The slope is 1 − σ(x): 0.5 at zero, 0 far right, 1 far left. Any shape; f16 and bf16 give f32.
///
/// # Errors
/// If `x` is not of a floating type.
pub fn log_sigmoid(x: &Tensor) -> Result<Tensor> {
    let x = at_least_f32("x", x)?;
    let right = x.ge(0f64)?;
    // −|x| and min(x, 0), both taken from the right at zero, where their slopes −1 and 0 add up to
    // 0 − ½·(−1) = ½.
    let minus_abs = right.where_cond(&x.neg()?, &x)?;
    let linear = right.where_cond(&x.zeros_like()?, &x)?;
    linear - log_one_plus(&minus_abs.exp()?)?
}

/// σ(x) = 1 / (1 + e^−x), elementwise, for any finite x; never rounds to a slope of NaN.
///
/// For 1 − σ(x) take σ(−x): it keeps its digits where σ(x) is almost 1. Any shape; f16 and bf16 give f32.
///
/// # Errors
/// If `x` is not of a floating type.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    let x = at_least_f32("x", x)?;
    let right = x.ge(0f64)?;
    let small = right.where_cond(&x.neg()?, &x)?.exp()?; // e^−|x|
    let larger = (&small + 1.0)?.recip()?;
    right.where_cond(&larger, &(&small * &larger)?)
}

/// max(x, 0), elementwise, with slope 0 at zero (as PyTorch has it). Any shape; f16 and bf16 give f32.
///
/// # Errors
/// If `x` is not of a floating type.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    let x = at_least_f32("x", x)?;
    x.gt(0f64)?.where_cond(&x, &x.zeros_like()?)
}

/// Σ values · mask, a scalar. `mask` has the shape of `values`; a non-zero entry counts.
///
/// What does not count may be infinite or NaN: it is left out, not multiplied by zero.
///
/// # Errors
/// If the shapes differ or `values` is not of a floating type.
pub fn masked_sum(values: &Tensor, mask: &Tensor) -> Result<Tensor> {
    masked(values, mask)?.sum_all()
}

/// Σ values · mask / Σ mask, a scalar: the mean over what counts. Shapes as in [`masked_sum`].
///
/// Not for a gradient-accumulation window: there the divisor is the window's count, not the micro-batch's.
///
/// # Errors
/// As [`masked_sum`], and if the mask counts nothing: the mean of nothing is not a number to train on.
pub fn masked_mean(values: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let sum = masked_sum(values, mask)?;
    let count = condition(mask)?.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()?;
    if count == 0 {
        bail!("expected a mask {:?} that counts at least one entry, got none", mask.dims());
    }
    sum / f64::from(count)
}

/// `values` where `mask` is non-zero, 0 elsewhere; no gradient reaches what is masked out.
pub(crate) fn masked(values: &Tensor, mask: &Tensor) -> Result<Tensor> {
    same_shape("mask", mask, "the values", values)?;
    let values = at_least_f32("values", values)?;
    condition(mask)?.where_cond(&values, &values.zeros_like()?)
}

/// eˣ, elementwise, continued as its tangent from shortly before the type overflows: from 75 on in f32, from 690 on
/// in f64. Up to there it is eˣ itself; `x` is f32 or f64.
///
/// Beyond, the value is e⁷⁵·(1 + x − 75) and the slope e⁷⁵ for every x: increasing, and finite for x up to 10⁵ (f64:
/// 10⁸). A loss that is multiplied by 0, or whose gradient is, because its position does not count, then gives 0, where
/// eˣ would give 0·∞ = NaN. −∞ gives 0 with slope 0.
pub(crate) fn exp(x: &Tensor) -> Result<Tensor> {
    let limit: f64 = if x.dtype() == DType::F64 { 690.0 } else { 75.0 };
    let beyond = x.gt(limit)?;
    let exponent = beyond.where_cond(&(x.ones_like()? * limit)?, x)?;
    let excess = beyond.where_cond(&(x - limit)?, &x.zeros_like()?)?;
    exponent.exp()? + (excess * limit.exp())?
}

/// eˣ − 1, elementwise, exact for small x; for large x as [`exp`].
pub(crate) fn exp_minus_one(x: &Tensor) -> Result<Tensor> {
    let (near, small, large) = split_around_zero(x)?;
    near.where_cond(&(&small + series_above_tangent(&small)?)?, &(exp(&large)? - 1.0)?)
}

/// eˣ − 1 − x, elementwise: how far eˣ lies above its tangent at zero. Never negative; for large x as [`exp`].
///
/// Around zero the two terms cancel (in f32 nothing is left of the value at x = 10⁻⁴), so there it is
/// the series x²/2 · (1 + x/3 · (1 + x/4 · (…))), which keeps full precision in value and slope.
pub(crate) fn exp_above_tangent(x: &Tensor) -> Result<Tensor> {
    let (near, small, large) = split_around_zero(x)?;
    near.where_cond(&series_above_tangent(&small)?, &(exp(&large)? - 1.0)?.sub(&large)?)
}

/// ln(1 − eˣ), elementwise, for x ≤ 0: exact in value and slope from x → −∞ to x → 0⁻ (Mächler 2012, "Accurately
/// computing log(1 − exp(−|a|))").
///
/// From −10⁻³⁰ on, and so at zero where the limit is −∞, it is the constant ln(10⁻³⁰) with slope 0.
pub(crate) fn log_one_minus_exp(x: &Tensor) -> Result<Tensor> {
    const NEAREST: f64 = -1e-30;
    let x = x.lt(NEAREST)?.where_cond(x, &(x.ones_like()? * NEAREST)?)?;
    let near = x.gt(-std::f64::consts::LN_2)?;
    let unused = (x.ones_like()? * -std::f64::consts::LN_2)?;
    let close = exp_minus_one(&near.where_cond(&x, &unused)?)?.neg()?.log()?;
    let far = log_one_plus(&near.where_cond(&unused, &x)?.exp()?.neg()?)?;
    near.where_cond(&close, &far)
}

/// Where |x| is small; x there and 0 elsewhere; x elsewhere and 0 there.
fn split_around_zero(x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
    const RADIUS: f64 = 0.25;
    let near = x.abs()?.lt(RADIUS)?;
    let zeros = x.zeros_like()?;
    let (small, large) = (near.where_cond(x, &zeros)?, near.where_cond(&zeros, x)?);
    Ok((near, small, large))
}

/// The series of eˣ − 1 − x, for x within the radius of [`split_around_zero`].
fn series_above_tangent(x: &Tensor) -> Result<Tensor> {
    // At the radius the first term left out is 2·0.25¹²/14! ≈ 10⁻¹⁸ of the value, in f32 2·0.25⁶/8! ≈ 10⁻⁸.
    let terms: u32 = if x.dtype() == DType::F64 { 13 } else { 7 };
    let mut series = x.ones_like()?;
    for term in (3..=terms).rev() {
        series = ((x / f64::from(term))? * series)?.affine(1.0, 1.0)?;
    }
    (x.sqr()? * 0.5)?.mul(&series)
}

/// ln(1 + u) for u in [−½, 1], exact for small u.
///
/// Value: with w = 1 + u as rounded, ln(w) · u / (w − 1), where rounding errors of w cancel (Goldberg
/// 1991, theorem 4). Slope: that of ln(w), which is 1 / (1 + u); the correction is held constant.
fn log_one_plus(u: &Tensor) -> Result<Tensor> {
    let w = (u + 1.0)?;
    let log = w.log()?;
    let kept = (w.detach() - 1.0)?;
    let lost_all = kept.eq(0f64)?;
    let divisor = lost_all.where_cond(&kept.ones_like()?, &kept)?;
    let corrected = (log.detach() * u.detach())?.div(&divisor)?;
    let exact = lost_all.where_cond(&u.detach(), &corrected)?;
    &log + (exact - log.detach())?
}
