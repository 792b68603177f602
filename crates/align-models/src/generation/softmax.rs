//! The distribution that logits stand for, in one pass over them that stores no probability.
//!
//! What is kept are the sums of blocks of tokens: a draw walks the blocks and then one block's tokens.

use align_kernels::softmax::{exp, largest, sum_of_exp};

/// Tokens per sum: short enough for sums in f32, long enough that their walk is a small part of a draw.
const BLOCK: usize = 512;

/// softmax(logits / temperature).
#[derive(Debug)]
pub(super) struct Softmax<'a> {
    logits: &'a [f32],
    largest: f32,
    inverse_temperature: f32,
    sums: Vec<f64>,
    total: f64,
}

impl<'a> Softmax<'a> {
    pub(super) fn new(logits: &'a [f32], temperature: f32) -> Self {
        let (largest, inverse_temperature) = (largest(logits), 1.0 / temperature);
        let sum = |block| sum_of_exp(block, largest, inverse_temperature);
        let sums: Vec<f64> = logits.chunks(BLOCK).map(sum).collect();
        Self { logits, largest, inverse_temperature, total: sums.iter().sum(), sums }
    }

    /// The unnormalised probability of a token; 1 for the most likely one.
    pub(super) fn weight(&self, token: u32) -> f64 {
        f64::from(exp((self.logits[token as usize] - self.largest) * self.inverse_temperature))
    }

    /// Whether the logits were numbers: NaN, +∞ and nothing but −∞ make the sum none.
    pub(super) fn is_finite(&self) -> bool {
        self.total.is_finite()
    }

    /// The sum of all weights.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// The logarithm of a token's probability.
    pub(super) fn log_prob(&self, token: u32) -> f32 {
        let logit = (self.logits[token as usize] - self.largest) * self.inverse_temperature;
        (f64::from(logit) - self.total.ln()) as f32
    }

    /// The token at which the sum of the weights in front of it and its own exceeds the share `unit`, in
    /// [0, 1), of the total.
    pub(super) fn draw(&self, unit: f64) -> u32 {
        let mut left = unit * self.total;
        for (block, &sum) in self.sums.iter().enumerate() {
            if left < sum {
                let tokens = block * BLOCK..self.logits.len().min((block + 1) * BLOCK);
                if let Some(token) = pick(tokens.map(|token| token as u32), left, |t| self.weight(t)) {
                    return token;
                }
            }
            left -= sum;
        }
        most_likely(self.logits)
    }
}

/// The token at which the sum of weights exceeds `left`. Where rounding leaves a crumb, the last token
/// with a weight.
pub(super) fn pick(
    tokens: impl IntoIterator<Item = u32>,
    mut left: f64,
    weight: impl Fn(u32) -> f64,
) -> Option<u32> {
    let mut last = None;
    for token in tokens {
        let weight = weight(token);
        if weight > 0.0 {
            last = Some(token);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
    }
    last
}

/// The first of the largest logits.
pub(super) fn most_likely(logits: &[f32]) -> u32 {
    let largest = largest(logits);
    logits.iter().position(|&logit| logit == largest).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probs_are_those_of_f64_at_any_length() {
        for len in [1, 2, 15, 16, 511, 512, 513, 1200] {
            let logits: Vec<f32> = (0..len).map(|i| ((i * 7919) % 101) as f32 / 5.0 - 30.0).collect();
            for temperature in [0.5, 1.0, 3.0] {
                let scaled = |token: usize| f64::from(logits[token]) / temperature;
                let total = (0..len).map(|token| scaled(token).exp()).sum::<f64>().ln();
                let softmax = Softmax::new(&logits, temperature as f32);
                for token in 0..len {
                    let (found, exact) = (softmax.log_prob(token as u32), scaled(token) - total);
                    assert!((f64::from(found) - exact).abs() < 2e-5, "{len} {token}: {found}, not {exact}");
                }
            }
        }
    }

    #[test]
    fn a_draw_walks_to_its_share() {
        // Weight 1 for every hundredth token, none for the others.
        let logits: Vec<f32> =
            (0..1200).map(|i| if i % 100 == 0 { 3.0 } else { f32::NEG_INFINITY }).collect();
        let softmax = Softmax::new(&logits, 1.0);
        for token in 0..12 {
            let shares = [0.001, 0.5, 0.999].map(|within| (f64::from(token) + within) / 12.0);
            assert_eq!(shares.map(|share| softmax.draw(share)), [token * 100; 3]);
        }
    }

    #[test]
    fn logits_that_are_no_numbers_are_told_wherever_they_stand() {
        for len in [3, 16, 700] {
            for (value, finite) in [(f32::NAN, false), (f32::INFINITY, false), (f32::NEG_INFINITY, true)] {
                for place in [0, len / 2, len - 1] {
                    let mut logits = vec![1.0; len];
                    logits[place] = value;
                    let softmax = Softmax::new(&logits, 0.7);
                    assert_eq!(softmax.is_finite(), finite, "{value} at {place} of {len}");
                    assert!((softmax.draw(0.5) as usize) < len);
                }
            }
            assert!(!Softmax::new(&vec![f32::NEG_INFINITY; len], 1.0).is_finite());
        }
    }
}
