//! Whether σ(margin) is the share of pairs that the model gets right: a model may rank well and be far too sure.
//!
//! The confidence of a pair is max(σ(m), 1 − σ(m)), between one half and 1; it is right where m > 0.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

const BINS: usize = 10;
/// Calibrated models that are drawn: their mean error is then good to a twentieth of their spread.
const SIMULATIONS: usize = 400;

/// Calibration: how sure a model is, beside how often it is right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error: the mean distance of confidence and accuracy over the bins, by their pairs
    /// (Guo et al. 2017, arXiv:1706.04599).
    pub ece: f64,
    /// The mean error of a calibrated model that is as sure of as many pairs: in a bin of few pairs accuracy is not
    /// confidence by chance alone, and the distances do not cancel. It is what [`Calibration::ece`] is to be read against.
    pub ece_if_calibrated: f64,
    /// The probability that the error of such a model is at least as large. From 0.05 on nothing is shown to be wrong.
    pub ece_p_value: f64,
    /// The error after margins are divided by a temperature, which for each half of the pairs is that of the other
    /// half.
    pub ece_after_temperature: f64,
    /// Mean of (1 − σ(m))².
    pub brier: f64,
    /// The temperature by which margins should be divided: above 1 where the model is too sure.
    pub temperature: f64,
    /// Confidence and accuracy by confidence.
    pub reliability: Vec<ReliabilityBin>,
}

/// The pairs of one range of confidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The beginning of the range.
    pub from: f64,
    /// The end of the range.
    pub to: f64,
    /// Pairs in it; empty ranges are left out.
    pub pairs: usize,
    /// The mean confidence of the pairs.
    pub confidence: f64,
    /// The share that the model gets right.
    pub accuracy: f64,
}

impl Calibration {
    /// The calibration of the margins of at least one pair: reward of the better answer minus that of the worse
    /// one. `seed` is of the calibrated models that are drawn.
    pub fn new(margins: &[f64], seed: u64) -> Self {
        let half = |parity: usize| -> Vec<f64> { margins.iter().copied().skip(parity).step_by(2).collect() };
        let (even, odd) = (half(0), half(1));
        let divided = |margins: &[f64], temperature: f64| -> Vec<f64> {
            margins.iter().map(|margin| margin / temperature).collect()
        };
        let (by_odd, by_even) = (temperature(&odd), temperature(&even));
        let crossed = [divided(&even, by_odd), divided(&odd, by_even)].concat();
        let reliability = reliability(margins);
        let found = ece(&reliability, margins.len());
        let calibrated = if_calibrated(margins, seed);
        // Rounding must not decide whether the same error is as large.
        let as_large = calibrated.iter().filter(|&&error| error >= found * (1.0 - 1e-12)).count();
        Self {
            ece: found,
            ece_if_calibrated: calibrated.iter().sum::<f64>() / calibrated.len() as f64,
            ece_p_value: (as_large + 1) as f64 / (calibrated.len() + 1) as f64,
            ece_after_temperature: ece(&self::reliability(&crossed), margins.len()),
            brier: margins.iter().map(|&margin| sigmoid(-margin).powi(2)).sum::<f64>() / margins.len() as f64,
            temperature: temperature(margins),
            reliability,
        }
    }
}

fn reliability(margins: &[f64]) -> Vec<ReliabilityBin> {
    let mut sums = [(0usize, 0.0, 0.0); BINS];
    for &margin in margins {
        let confidence = sigmoid(margin.abs());
        let bin = bin(confidence);
        sums[bin].0 += 1;
        sums[bin].1 += confidence;
        sums[bin].2 += crate::hit(margin);
    }
    let edge = |bin: usize| 0.5 + bin as f64 / (2.0 * BINS as f64);
    let bins = sums.into_iter().enumerate().filter(|(_, (pairs, ..))| *pairs > 0);
    bins.map(|(bin, (pairs, confidence, hits))| ReliabilityBin {
        from: edge(bin),
        to: edge(bin + 1),
        pairs,
        confidence: confidence / pairs as f64,
        accuracy: hits / pairs as f64,
    })
    .collect()
}

fn bin(confidence: f64) -> usize {
    (((confidence - 0.5) * 2.0 * BINS as f64) as usize).min(BINS - 1)
}

/// The errors of models that are as sure as this one and right as often as they say; of a tie they know no more either.
fn if_calibrated(margins: &[f64], seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let pairs: Vec<(usize, f64)> = margins
        .iter()
        .map(|margin| sigmoid(margin.abs()))
        .map(|confidence| (bin(confidence), confidence))
        .collect();
    let mut drawn = || {
        let mut gaps = [0.0; BINS];
        for &(bin, confidence) in &pairs {
            // Uniform in [0, 1).
            let unit = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            let hit = if confidence == 0.5 { 0.5 } else { f64::from(u8::from(unit < confidence)) };
            gaps[bin] += confidence - hit;
        }
        gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / pairs.len() as f64
    };
    (0..SIMULATIONS).map(|_| drawn()).collect()
}

fn ece(bins: &[ReliabilityBin], pairs: usize) -> f64 {
    bins.iter().map(|bin| bin.pairs as f64 * (bin.confidence - bin.accuracy).abs()).sum::<f64>()
        / pairs as f64
}

/// The temperature with the smallest −Σ log σ(m / T), between a hundredth and a hundred: it has no smallest where the
/// model is always right. 1 where there are no pairs.
fn temperature(margins: &[f64]) -> f64 {
    if margins.is_empty() {
        return 1.0;
    }
    let nll = |log_t: f64| {
        let t = log_t.exp();
        margins.iter().map(|margin| softplus(-margin / t)).sum::<f64>()
    };
    // Golden-section search: the loss is convex in 1/T, so it falls and then rises in log T.
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.01f64.ln(), 100f64.ln());
    for _ in 0..60 {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if nll(left) <= nll(right) { high = right } else { low = left }
    }
    ((low + high) / 2.0).exp()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// log(1 + eˣ) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs whose model is right with the probability σ(m), for margins of many sizes; margins times `scale`.
    fn calibrated(scale: f64) -> Vec<f64> {
        let mut margins = Vec::new();
        for step in 1..=20 {
            let margin = f64::from(step) * 0.15;
            let right = (sigmoid(margin) * 200.0).round() as usize;
            margins.extend((0..200).map(|i| scale * if i < right { margin } else { -margin }));
        }
        margins
    }

    #[test]
    fn a_calibrated_model_has_no_error_and_temperature_one() {
        let calibration = Calibration::new(&calibrated(1.0), 1);
        assert!(calibration.ece < 0.01, "{calibration:?}");
        assert!((calibration.temperature - 1.0).abs() < 0.02, "{}", calibration.temperature);
    }

    #[test]
    fn a_model_that_is_too_sure_is_found_out_and_cooled() {
        let calibration = Calibration::new(&calibrated(4.0), 1);
        assert!((calibration.temperature - 4.0).abs() < 0.05, "{}", calibration.temperature);
        assert!(calibration.ece > 0.1 && calibration.ece_after_temperature < 0.02, "{calibration:?}");
    }

    #[test]
    fn the_figures_of_three_pairs_by_hand() {
        // Confidences: 0.5 (a tie), σ(2) = 0.8808 right, σ(1) = 0.7311 wrong.
        let calibration = Calibration::new(&[0.0, 2.0, -1.0], 1);
        let bins: Vec<_> = calibration.reliability.iter().map(|bin| (bin.pairs, bin.accuracy)).collect();
        assert_eq!(bins, [(1, 0.5), (1, 0.0), (1, 1.0)]);
        let expected = (0.0 + (1.0 - sigmoid(2.0)) + sigmoid(1.0)) / 3.0;
        assert!((calibration.ece - expected).abs() < 1e-12);
        let brier = (0.25 + sigmoid(-2.0).powi(2) + sigmoid(1.0).powi(2)) / 3.0;
        assert!((calibration.brier - brier).abs() < 1e-12);
    }

    #[test]
    fn a_model_that_is_always_right_has_a_finite_temperature() {
        let calibration = Calibration::new(&[3.0, 5.0, 900.0], 1);
        assert!(calibration.temperature >= 0.01 && calibration.temperature < 0.02);
        assert!(calibration.ece_after_temperature < 1e-6);
    }
}
