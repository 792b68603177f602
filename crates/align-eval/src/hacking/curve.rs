//! Quality over the distance from the reference: gained at first, lost when the reward is over-optimised.

use align_report::HackingPoint;

use super::FEWEST;

/// Quality as d(α − β log d) over d = √KL: what Gao et al. (2022, arXiv:2210.10760) find for reinforcement learning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overoptimization {
    /// Gain per distance at the start.
    pub alpha: f64,
    /// How fast it is used up.
    pub beta: f64,
    /// The KL at which the fitted curve is highest, if it has such a point.
    pub peak_kl: Option<f64>,
    /// The share of the variance of quality that the curve explains.
    pub r_squared: f64,
}

impl Overoptimization {
    /// Least squares over the points that have both quality and KL; quality counts from the first of them, which stands
    /// for the start. None without enough points or distance.
    pub fn fit(points: &[HackingPoint]) -> Option<Self> {
        let known: Vec<(f64, f64)> =
            points.iter().filter_map(|point| Some((point.kl?.max(0.0).sqrt(), point.quality?))).collect();
        let start = known.first()?.1;
        let known: Vec<(f64, f64)> =
            known.into_iter().filter(|(distance, _)| *distance > 1e-3).map(|(d, q)| (d, q - start)).collect();
        if known.len() < FEWEST {
            return None;
        }
        // gain = α d + β (−d log d): two unknowns.
        let (mut aa, mut ab, mut bb, mut ya, mut yb) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(d, gain) in &known {
            let (a, b) = (d, -d * d.ln());
            aa += a * a;
            ab += a * b;
            bb += b * b;
            ya += gain * a;
            yb += gain * b;
        }
        let determinant = aa * bb - ab * ab;
        if determinant <= 1e-9 * aa * bb {
            return None;
        }
        let (alpha, beta) = ((ya * bb - yb * ab) / determinant, (yb * aa - ya * ab) / determinant);
        let mean = known.iter().map(|(_, gain)| gain).sum::<f64>() / known.len() as f64;
        let residual: f64 = known.iter().map(|&(d, gain)| (gain - d * (alpha - beta * d.ln())).powi(2)).sum();
        let total: f64 = known.iter().map(|&(_, gain)| (gain - mean).powi(2)).sum();
        // α − β log d − β = 0.
        let peak = (beta > 0.0).then(|| ((alpha / beta - 1.0).exp()).powi(2)).filter(|kl| kl.is_finite());
        (total > 0.0).then(|| Self { alpha, beta, peak_kl: peak, r_squared: 1.0 - residual / total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_that_points_were_made_of_is_found_again() {
        let point = |step: usize| {
            let kl = step as f64 * 0.5;
            let d = kl.sqrt();
            let quality = if step == 0 { 0.2 } else { 0.2 + d * (0.5 - 0.3 * d.ln()) };
            HackingPoint {
                step: step as f64,
                quality: Some(quality),
                kl: Some(kl),
                ..HackingPoint::default()
            }
        };
        let points: Vec<_> = (0..30).map(point).collect();
        let found = Overoptimization::fit(&points).unwrap();
        assert!((found.alpha - 0.5).abs() < 1e-9 && (found.beta - 0.3).abs() < 1e-9, "{found:?}");
        assert!((found.peak_kl.unwrap() - (0.5f64 / 0.3 - 1.0).exp().powi(2)).abs() < 1e-6);
        assert!(found.r_squared > 0.999_999);
        assert_eq!(Overoptimization::fit(&points[..4]), None);
    }
}
