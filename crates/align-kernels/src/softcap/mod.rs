//! Soft caps: numbers that come to approach a bound instead of crossing it (Gemma 2, arXiv:2408.00118, section 2).

mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::slice;
use crate::tape::wide;
use crate::{Tape, Value};
pub(crate) use cpu::{cap, scale_by_slope};

/// `y = outer · tanh(x / inner)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftCap {
    inner: f64,
    outer: f64,
}

impl SoftCap {
    /// `cap · tanh(x / cap)`.
    pub fn new(cap: f64) -> Self {
        Self { inner: cap, outer: cap }
    }

    /// The capped numbers divided by a temperature.
    #[must_use]
    pub fn at_temperature(self, temperature: f64) -> Self {
        Self { outer: self.outer / temperature, ..self }
    }

    /// The capped numbers, in the dtype of `x`.
    pub(crate) fn of(self, x: &Tensor) -> Result<Tensor> {
        (x / self.inner)?.tanh()? * self.outer
    }

    /// The slope at a number that has become `y`.
    pub(crate) fn slope(self, y: &Tensor) -> Result<Tensor> {
        (1.0 - (y / self.outer)?.sqr()?)? * (self.outer / self.inner)
    }
}

impl Tape {
    /// Each number of `x`, capped.
    ///
    /// # Errors
    /// If the numbers cannot be computed on their device.
    pub fn softcap(&mut self, x: &Value, by: SoftCap) -> Result<Value> {
        let input = x.tensor();
        if Self::on_cpu(&[input]) {
            let capped = cpu::of(input, by)?;
            let y = capped.clone();
            let value = self.push("softcap", [x], [], capped, move |grad: &Tensor| {
                let grad = grad.contiguous()?.copy()?;
                let y = slice(&y)?;
                crate::cpu::update(&grad, |grad| scale_by_slope(grad, &y, by))?;
                Ok([Some(grad)])
            });
            value.keep();
            return Ok(value);
        }
        // The slope is that of the number before it is rounded to half precision.
        let (dtype, capped) = (input.dtype(), by.of(&wide(input)?)?);
        let slope = by.slope(&capped)?;
        Ok(self.push("softcap", [x], [], capped.to_dtype(dtype)?, move |grad: &Tensor| {
            Ok([Some((wide(grad)? * &slope)?.to_dtype(dtype)?)])
        }))
    }
}
