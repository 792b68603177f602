//! Closeness of tensors, with a message that names the worst entry.
//!
//! An entry is close if |actual − expected| ≤ absolute + relative · |expected|. Infinities are close to
//! themselves, NaN to NaN: a golden file may well expect them.

use std::fmt;

use candle_core::{DType, Result, Tensor, bail};

/// How far an entry may be from what is expected: absolute + relative · |expected|.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// The share of the expected value.
    pub relative: f64,
    /// What is allowed even where zero is expected.
    pub absolute: f64,
}

/// The entry that is furthest from what was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Where, one number per dimension.
    pub index: Vec<usize>,
    /// What was found there.
    pub actual: f64,
    /// What should have been.
    pub expected: f64,
    /// |actual − expected| / |expected|, 0 where both are equal, infinite if only one is finite.
    pub relative: f64,
    /// |actual − expected|.
    pub absolute: f64,
    /// The error in units of the tolerance: above 1 is a failure.
    pub severity: f64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, actual, expected, relative, absolute, .. } = self;
        write!(
            f,
            "at {index:?}: got {actual:e}, expected {expected:e} (relative {relative:.1e}, absolute {absolute:.1e})"
        )
    }
}

/// The worst entry of two tensors of one shape, by `tolerance`; `None` for tensors without entries.
///
/// # Errors
/// If the shapes differ.
pub fn worst_mismatch(actual: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<Option<Mismatch>> {
    if actual.dims() != expected.dims() {
        bail!("expected a tensor {:?}, got {:?}", expected.dims(), actual.dims());
    }
    let (found, wanted) = (flat(actual)?, flat(expected)?);
    let mut worst: Option<Mismatch> = None;
    for (position, (&actual_value, &expected_value)) in found.iter().zip(&wanted).enumerate() {
        let entry = compare(actual_value, expected_value, tolerance);
        if worst.as_ref().is_none_or(|worst| entry.severity > worst.severity) {
            worst = Some(Mismatch { index: unravel(position, actual.dims()), ..entry });
        }
    }
    Ok(worst)
}

/// Asserts that two tensors are close, entry by entry. `what` opens the message.
///
/// # Panics
/// If they are not, or the shapes differ.
#[track_caller]
pub fn assert_close(what: &str, actual: &Tensor, expected: &Tensor, tolerance: Tolerance) {
    match worst_mismatch(actual, expected, tolerance) {
        Ok(Some(worst)) if worst.severity > 1.0 => panic!("{what}: {worst}, allowed {tolerance:?}"),
        Ok(_) => {}
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Asserts that two numbers are close. `what` opens the message.
///
/// # Panics
/// If they are not.
#[track_caller]
pub fn assert_scalar_close(what: &str, actual: f64, expected: f64, tolerance: Tolerance) {
    let entry = compare(actual, expected, tolerance);
    assert!(entry.severity <= 1.0, "{what}: {entry}, allowed {tolerance:?}");
}

fn compare(actual: f64, expected: f64, tolerance: Tolerance) -> Mismatch {
    let same = actual == expected || (actual.is_nan() && expected.is_nan());
    let absolute = if same { 0.0 } else { (actual - expected).abs() };
    let (relative, severity) = if same {
        (0.0, 0.0)
    } else if !(actual.is_finite() && expected.is_finite()) {
        (f64::INFINITY, f64::INFINITY)
    } else {
        (absolute / expected.abs(), absolute / (tolerance.absolute + tolerance.relative * expected.abs()))
    };
    Mismatch { index: Vec::new(), actual, expected, relative, absolute, severity }
}

pub(crate) fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

pub(crate) fn unravel(mut position: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (slot, &dim) in index.iter_mut().zip(dims).rev() {
        *slot = position % dim;
        position /= dim;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    const TIGHT: Tolerance = Tolerance { relative: 1e-6, absolute: 1e-9 };

    #[test]
    fn the_worst_entry_is_named() {
        let expected = Tensor::new(&[[1.0f64, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let actual = Tensor::new(&[[1.0f64, 2.0], [3.3, 4.1]], &Device::Cpu).unwrap();
        let worst = worst_mismatch(&actual, &expected, TIGHT).unwrap().unwrap();
        assert_eq!((worst.index.as_slice(), worst.actual), (&[1, 0][..], 3.3));
        assert!(worst.severity > 1.0);
    }

    #[test]
    fn non_finite_values_are_close_to_themselves_only() {
        assert_eq!(compare(f64::INFINITY, f64::INFINITY, TIGHT).severity, 0.0);
        assert_eq!(compare(f64::NAN, f64::NAN, TIGHT).severity, 0.0);
        assert!(compare(f64::NAN, 1.0, TIGHT).severity > 1.0);
        assert!(compare(1.0, f64::INFINITY, TIGHT).severity > 1.0);
        assert!(compare(f64::NEG_INFINITY, f64::INFINITY, TIGHT).severity > 1.0);
    }

    #[test]
    fn zero_against_zero_is_close_without_an_absolute_tolerance() {
        assert_eq!(compare(-0.0, 0.0, Tolerance { relative: 1e-9, absolute: 0.0 }).severity, 0.0);
        assert!(compare(1e-300, 0.0, Tolerance { relative: 1e-9, absolute: 0.0 }).severity > 1.0);
    }
}
