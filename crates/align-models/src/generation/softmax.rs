//! The distribution that logits stand for, in one pass over them that stores no probability.
//!
//! What is kept are the sums of blocks of tokens: a draw walks the blocks and then one block's tokens.

/// Tokens per sum: short enough for sums in f32, long enough that their walk is a small part of a draw.
const BLOCK: usize = 512;
/// Partial sums of a block, so that the compiler can vectorise.
const LANES: usize = 16;

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

/// The largest number; −∞ if there is none.
fn largest(logits: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (blocks, rest) = logits.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], block[lane]);
        }
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, larger)
}

fn sum_of_exp(logits: &[f32], largest: f32, inverse_temperature: f32) -> f64 {
    let term = |logit: f32| exp((logit - largest) * inverse_temperature);
    let (blocks, rest) = logits.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] += term(block[lane]);
        }
    }
    let rest: f64 = rest.iter().map(|&logit| f64::from(term(logit))).sum();
    lanes.into_iter().map(f64::from).sum::<f64>() + rest
}

/// eˣ for x ≤ 0 in a form that the compiler vectorises (the library's does not), with a relative error
/// below 3e-7; 0 below −87. Cephes' `expf`.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it rounds to a whole number, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4; // 11 bits: its products with whole numbers up to 126 are exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_65;
    p = p * r + 0.5;
    let value = (p * r * r + r) + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1f32.to_bits())); // 2ⁿ
    if x < -87.0 { 0.0 } else { value * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_f64() {
        for i in 0..=87_000 {
            let x = -(i as f32) / 1000.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) - exact).abs() <= 3e-7 * exact, "exp({x}) is not {}", exp(x));
        }
        assert_eq!([exp(0.0), exp(-87.1), exp(f32::NEG_INFINITY)], [1.0, 0.0, 0.0]);
        assert!(exp(f32::NAN).is_nan());
    }

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
    fn logits_that_are_no_numbers_give_a_token_all_the_same() {
        let nothing = [f32::NEG_INFINITY; 3];
        assert_eq!(Softmax::new(&nothing, 1.0).draw(0.5), 0);
        let softmax = Softmax::new(&[f32::NAN, 1.0], 1.0);
        assert!(softmax.draw(0.5) < 2 && softmax.log_prob(1).is_nan());
    }
}
