//! Gradients against finite differences.
//!
//! The function under test may return any shape; it is made a scalar by a fixed [`projection`] with weights
//! that all differ, so that errors cannot cancel as they can in a plain sum. The differences are central, with
//! five points and in f64: the error is h⁴ and rounding/h, with h = 2⁻¹³ about 10⁻¹¹ of the function's size.
//! At a kink the result is the mean of both slopes, which is what an exact `min` or `log_sigmoid` should give
//! at a tie too.

use std::fmt;

use candle_core::{DType, Device, Result, Tensor, Var, bail};

use crate::close::{flat, unravel};

/// A power of two, so that x + h − x is h exactly for every x of practical size.
const STEP: f64 = 1.0 / 8192.0;
/// Gradients this much smaller than the function itself are compared absolutely: below is rounding.
const FLOOR: f64 = 1e-5;

/// The worst disagreement found.
#[derive(Debug, Clone, PartialEq)]
pub struct GradReport {
    /// How many derivatives were compared.
    pub checked: usize,
    /// |analytic − numeric| / max(|analytic|, |numeric|, 10⁻⁵·(1 + |f|)) at the worst entry.
    pub relative: f64,
    /// The largest |analytic − numeric|, not necessarily at the same entry.
    pub absolute: f64,
    /// Which input the worst entry is in.
    pub input: usize,
    /// Where in that input, one number per dimension.
    pub index: Vec<usize>,
    /// The gradient under test at the worst entry.
    pub analytic: f64,
    /// The finite difference there.
    pub numeric: f64,
}

impl fmt::Display for GradReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checked, relative, absolute, input, index, analytic, numeric } = self;
        write!(
            f,
            "of {checked} derivatives the worst is input {input} at {index:?}: analytic {analytic:e}, \
             numeric {numeric:e} (relative {relative:.1e}; largest absolute difference {absolute:.1e})"
        )
    }
}

/// Compares candle's backward pass with finite differences, for every entry of every input.
///
/// `inputs` are f64 and of any shape; `f` gets them as tracked variables. An input that the backward pass
/// leaves out counts as having gradient zero: an op without backward is found, not excused.
///
/// # Errors
/// If `f` fails or an input is not f64.
pub fn gradcheck<F>(inputs: &[Tensor], f: F) -> Result<GradReport>
where
    F: Fn(&[Tensor]) -> Result<Tensor>,
{
    let vars = inputs.iter().map(Var::from_tensor).collect::<Result<Vec<_>>>()?;
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let grads = project(&f(&tracked)?)?.backward()?;
    let analytic = tracked
        .iter()
        .map(|input| grads.get(input).cloned().map_or_else(|| input.zeros_like(), Ok))
        .collect::<Result<Vec<_>>>()?;
    gradcheck_against(inputs, &analytic, |inputs| project(&f(inputs)?))
}

/// Compares a gradient that the caller brings with finite differences of the scalar function `f`.
///
/// `analytic[i]` has the shape of `inputs[i]`, in any floating type; `inputs` are f64. For a function that is
/// not a scalar use the [`projection`] in both.
///
/// # Errors
/// If `f` fails or does not return a single number, or shapes or types are not as said.
pub fn gradcheck_against<F>(inputs: &[Tensor], analytic: &[Tensor], f: F) -> Result<GradReport>
where
    F: Fn(&[Tensor]) -> Result<Tensor>,
{
    if inputs.len() != analytic.len() {
        bail!("expected one gradient per input ({}), got {}", inputs.len(), analytic.len());
    }
    let floor = FLOOR * (1.0 + scalar(&f(inputs)?)?.abs());
    let mut report = GradReport {
        checked: 0,
        relative: -1.0,
        absolute: 0.0,
        input: 0,
        index: Vec::new(),
        analytic: 0.0,
        numeric: 0.0,
    };
    for (input, gradient) in analytic.iter().enumerate() {
        let dims = inputs[input].dims();
        if inputs[input].dtype() != DType::F64 {
            bail!("expected input {input} in f64, got {:?}", inputs[input].dtype());
        }
        if gradient.dims() != dims {
            bail!("expected a gradient {dims:?} for input {input}, got {:?}", gradient.dims());
        }
        for (position, analytic) in flat(gradient)?.into_iter().enumerate() {
            let numeric = derivative(inputs, input, position, &f)?;
            let absolute = (analytic - numeric).abs();
            let relative = absolute / analytic.abs().max(numeric.abs()).max(floor);
            // NaN compares false with everything: it must count as the worst there is.
            let relative = if relative.is_nan() { f64::INFINITY } else { relative };
            report.checked += 1;
            report.absolute = report.absolute.max(absolute);
            if relative > report.relative {
                let index = unravel(position, dims);
                report = GradReport { relative, input, index, analytic, numeric, ..report };
            }
        }
    }
    if report.checked == 0 {
        bail!("expected inputs with at least one entry to check");
    }
    Ok(report)
}

/// Asserts that [`gradcheck`] finds no relative error above `tolerance`.
///
/// # Panics
/// If it does, or if `f` fails.
#[track_caller]
pub fn assert_gradients<F>(inputs: &[Tensor], tolerance: f64, f: F)
where
    F: Fn(&[Tensor]) -> Result<Tensor>,
{
    match gradcheck(inputs, f) {
        Ok(report) => assert!(report.relative <= tolerance, "{report}, allowed {tolerance:e}"),
        Err(error) => panic!("{error}"),
    }
}

/// The fixed weights, between 0.5 and 1.5 and all different, that turn a result of this shape into the
/// scalar Σ result · weights.
///
/// # Errors
/// If the device refuses the allocation.
pub fn projection(shape: &[usize], device: &Device) -> Result<Tensor> {
    const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;
    let count = shape.iter().product();
    let weights: Vec<f64> = (1..=count).map(|i| 0.5 + (i as f64 * GOLDEN_RATIO).fract()).collect();
    Tensor::from_vec(weights, shape, device)
}

fn project(result: &Tensor) -> Result<Tensor> {
    result.to_dtype(DType::F64)?.mul(&projection(result.dims(), result.device())?)?.sum_all()
}

/// ∂f/∂input\[position\] by five-point central differences.
fn derivative<F>(inputs: &[Tensor], input: usize, position: usize, f: &F) -> Result<f64>
where
    F: Fn(&[Tensor]) -> Result<Tensor>,
{
    let at = |steps: f64| -> Result<f64> {
        let mut values = flat(&inputs[input])?;
        values[position] += steps * STEP;
        let mut moved = inputs.to_vec();
        moved[input] = Tensor::from_vec(values, inputs[input].shape(), inputs[input].device())?;
        scalar(&f(&moved)?)
    };
    Ok((8.0 * (at(1.0)? - at(-1.0)?) - (at(2.0)? - at(-2.0)?)) / (12.0 * STEP))
}

fn scalar(value: &Tensor) -> Result<f64> {
    match flat(value)?.as_slice() {
        [value] => Ok(*value),
        other => bail!("expected a single number, got {}", other.len()),
    }
}
