//! The point after which the reward goes on rising and quality falls.

use align_report::{Divergence, HackingPoint};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{FEWEST, mean};

const PERMUTATIONS: usize = 2000;
/// Standard errors on either side of a 95 % interval.
const ERRORS: f64 = 1.96;

/// Where smoothed quality was best, what was lost of it by the end, and the probability of so large a loss if the order
/// of the measurements meant nothing; none without enough of them.
///
/// Of any noisy series the best point lies above the end. The test therefore makes the same search in shuffled series:
/// only a loss that they rarely have is one.
pub(super) fn find(points: &[HackingPoint], seed: u64) -> Option<Divergence> {
    let known: Vec<(&HackingPoint, f64)> =
        points.iter().filter_map(|point| Some((point, point.quality?))).collect();
    if known.len() < FEWEST {
        return None;
    }
    let qualities: Vec<f64> = known.iter().map(|(_, quality)| *quality).collect();
    let (place, loss) = drawdown(&qualities);
    let window = window(known.len());
    let proxies: Vec<f64> = known.iter().map(|(point, _)| point.proxy).collect();
    let at_end = mean(&proxies[proxies.len() - window..])?;
    let at_best = mean(around(&proxies, place, window))?;
    let (gain, half) = (at_end - at_best, ERRORS * noise(&proxies) * (2.0 / window as f64).sqrt());

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut shuffled = qualities;
    let as_large = (0..PERMUTATIONS).filter(|_| {
        shuffle(&mut shuffled, &mut rng);
        drawdown(&shuffled).1 >= loss - 1e-12
    });
    let p_value = (as_large.count() + 1) as f64 / (PERMUTATIONS + 1) as f64;
    Some(Divergence {
        step: known[place].0.step,
        kl: known[place].0.kl,
        proxy_gain: gain,
        proxy_gain_ci95: Some([gain - half, gain + half]),
        quality_loss: loss,
        p_value: Some(p_value),
    })
}

/// The standard deviation of a measurement around where the series stands there: from the differences of neighbours, which
/// a trend hardly moves (von Neumann et al. 1941). At least two values.
fn noise(values: &[f64]) -> f64 {
    let squares: f64 = values.windows(2).map(|two| (two[1] - two[0]).powi(2)).sum();
    (squares / (2.0 * (values.len() - 1) as f64)).sqrt()
}

/// Measurements that are averaged: a tenth of them, three at least.
fn window(count: usize) -> usize {
    (count / 10).max(3)
}

/// The place of the best smoothed value, and by how much the mean of the last ones is below it.
fn drawdown(values: &[f64]) -> (usize, f64) {
    let window = window(values.len());
    let smooth = |place: usize| mean(around(values, place, window)).unwrap_or_default();
    let best = (0..values.len()).map(|place| (place, smooth(place))).max_by(|a, b| a.1.total_cmp(&b.1));
    let (place, best) = best.unwrap_or_default();
    (place, best - mean(&values[values.len() - window..]).unwrap_or_default())
}

/// The values around a place. Whole windows only: at the ends fewer values would be a noisier mean, and noise makes the
/// largest.
fn around(values: &[f64], place: usize, window: usize) -> &[f64] {
    let half = window / 2;
    let start = place.saturating_sub(half).min(values.len().saturating_sub(window));
    &values[start..(start + window).min(values.len())]
}

fn shuffle(values: &mut [f64], rng: &mut ChaCha8Rng) {
    for last in (1..values.len()).rev() {
        values.swap(last, (rng.next_u64() % (last as u64 + 1)) as usize);
    }
}
