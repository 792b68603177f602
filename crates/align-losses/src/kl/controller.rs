//! The coefficient of the KL penalty over a run. Plain numbers, for a checkpoint to save.

use candle_core::{Result, bail};

use crate::checks::positive;

/// The controller of the KL coefficient: what a trainer asks of it.
pub trait KlController {
    /// The coefficient to use now.
    fn value(&self) -> f64;

    /// Takes note of the divergence measured over `n_steps` samples (episodes).
    ///
    /// # Errors
    /// If the divergence is not a number, or the coefficient would not stay positive.
    fn update(&mut self, current_kl: f64, n_steps: usize) -> Result<()>;
}

/// A coefficient that stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixedKl {
    /// The coefficient.
    pub value: f64,
}

/// The largest relative error that counts, either way.
const LARGEST_ERROR: f64 = 0.2;

/// A coefficient that steers the divergence to a target (Ziegler et al. 2019, arXiv:1909.08593, section 2.2):
/// value ← value·(1 + clip(kl/target − 1, ±0.2)·n/horizon).
///
/// With a horizon of 0.2·n or less a divergence far below the target would make the factor 0 or negative: the penalty
/// would end for good, or become a reward for leaving the reference. The paper and TRL have no guard; here an update
/// refuses such a horizon ([`Self::stays_positive`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveKl {
    /// The coefficient now.
    pub value: f64,
    /// The divergence to hold, in nats per completion.
    pub target: f64,
    /// Samples over which an error of ±20 % or more moves the coefficient by 20 %; above a fifth of those of an update.
    pub horizon: f64,
}

impl AdaptiveKl {
    /// The controller at the start of a run.
    ///
    /// # Errors
    /// If a number is not positive.
    pub fn new(value: f64, target: f64, horizon: f64) -> Result<Self> {
        Ok(Self {
            value: positive("the initial coefficient", value)?,
            target: positive("the target divergence", target)?,
            horizon: positive("horizon", horizon)?,
        })
    }

    /// True if no divergence measured over `n_steps` samples can bring the coefficient to 0 or below.
    pub fn stays_positive(&self, n_steps: usize) -> bool {
        self.horizon > LARGEST_ERROR * n_steps as f64
    }
}

impl KlController for FixedKl {
    fn value(&self) -> f64 {
        self.value
    }

    fn update(&mut self, current_kl: f64, _n_steps: usize) -> Result<()> {
        number(current_kl).map(drop)
    }
}

impl KlController for AdaptiveKl {
    fn value(&self) -> f64 {
        self.value
    }

    fn update(&mut self, current_kl: f64, n_steps: usize) -> Result<()> {
        if !self.stays_positive(n_steps) {
            bail!(
                "expected a horizon above {LARGEST_ERROR} of the {n_steps} samples of an update, got {}: the coefficient \
                 would not stay positive",
                self.horizon
            );
        }
        let error = (number(current_kl)? / self.target - 1.0).clamp(-LARGEST_ERROR, LARGEST_ERROR);
        let value = self.value * (1.0 + error * n_steps as f64 / self.horizon);
        // From 0 or infinity no factor leads back.
        self.value = value.clamp(f64::MIN_POSITIVE, f64::MAX);
        Ok(())
    }
}

/// Infinite is far too much, and a number to steer by; NaN would stay in the coefficient for ever.
fn number(current_kl: f64) -> Result<f64> {
    if current_kl.is_nan() {
        bail!("expected the measured divergence to be a number, got NaN");
    }
    Ok(current_kl)
}
