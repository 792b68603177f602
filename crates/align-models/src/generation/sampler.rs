//! From logits to a token.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::GenerationOptions;
use super::softmax::{Softmax, most_likely, pick};

/// The sampler of one sequence. Its random stream is a value that can be saved and restored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sampler {
    options: GenerationOptions,
    rng: ChaCha8Rng,
}

/// A sampled token and what the model thought of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampled {
    /// The token.
    pub token: u32,
    /// Its log-prob under the distribution at this temperature, before top-k and top-p cut it (at
    /// temperature 0: under the model's own distribution).
    pub log_prob: f32,
}

impl Sampler {
    /// The sampler of sequence number `sequence` of a run with `seed`.
    pub fn new(options: &GenerationOptions, seed: u64, sequence: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(sequence);
        Self { options: options.clone(), rng }
    }

    /// Picks the next token. `seen` are the tokens so far, prompt included; `forbidden` may not be picked
    /// (the end of the text, while the completion is too short). The order of the steps is transformers':
    /// repetition penalty, forbidden tokens, temperature, top-k, top-p. The first two change `logits`. None where logits are
    /// NaN or +∞, or no token is left.
    pub fn sample(&mut self, logits: &mut [f32], seen: &[u32], forbidden: &[u32]) -> Option<Sampled> {
        penalise(logits, seen, self.options.repetition_penalty as f32);
        for &token in forbidden {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        if self.options.temperature == 0.0 {
            let token = most_likely(logits);
            let softmax = Softmax::new(logits, 1.0);
            return softmax.is_finite().then(|| Sampled { token, log_prob: softmax.log_prob(token) });
        }
        let softmax = Softmax::new(logits, self.options.temperature as f32);
        if !softmax.is_finite() {
            return None;
        }
        let unit = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64; // in [0, 1)
        let token = if self.options.top_k == 0 && self.options.top_p == 1.0 {
            softmax.draw(unit)
        } else {
            let candidates = self.candidates(logits, &softmax);
            let total: f64 = candidates.iter().map(|&token| softmax.weight(token)).sum();
            let picked = pick(candidates, unit * total, |token| softmax.weight(token));
            picked.unwrap_or_else(|| most_likely(logits))
        };
        Some(Sampled { token, log_prob: softmax.log_prob(token) })
    }

    /// What top-k and top-p leave, the most likely first. Ties are kept in the order of their ids, so that
    /// the cut is reproducible.
    fn candidates(&self, logits: &[f32], softmax: &Softmax<'_>) -> Vec<u32> {
        let GenerationOptions { top_k, top_p, .. } = self.options;
        let by_logit = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        let mut tokens: Vec<u32> = (0..logits.len() as u32).collect();
        let mut total = softmax.total();
        if top_k > 0 && top_k < tokens.len() {
            tokens.select_nth_unstable_by(top_k - 1, by_logit);
            tokens.truncate(top_k);
            total = tokens.iter().map(|&token| softmax.weight(token)).sum();
        }
        // Tokens below this are outside the nucleus: even all together they weigh less than it leaves out.
        let least = 0.5 * (1.0 - top_p) * total / logits.len() as f64;
        tokens.retain(|&token| softmax.weight(token) >= least);
        tokens.sort_unstable_by(by_logit);
        let mut sum = 0.0;
        let nucleus = tokens.iter().position(|&token| {
            sum += softmax.weight(token);
            sum >= top_p * total
        });
        tokens.truncate(nucleus.map_or(tokens.len(), |last| last + 1));
        tokens
    }
}

/// Keskar et al. 2019 (arXiv:1909.05858), as transformers applies it: once per distinct token.
fn penalise(logits: &mut [f32], seen: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let distinct: std::collections::BTreeSet<u32> = seen.iter().copied().collect();
    for token in distinct {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(options: &GenerationOptions, logits: &[f32], draws: usize) -> Vec<f64> {
        let mut sampler = Sampler::new(options, 7, 0);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..draws {
            counts[sampler.sample(&mut logits.to_vec(), &[], &[]).unwrap().token as usize] +=
                1.0 / draws as f64;
        }
        counts
    }

    #[test]
    fn frequencies_follow_the_softmax_at_the_temperature() {
        let logits = [0.0, 1.0, 2.0];
        for temperature in [0.5f64, 1.0, 2.0] {
            let options = GenerationOptions { temperature, ..GenerationOptions::sampled(1) };
            let weights: Vec<f64> = logits.iter().map(|&l| (f64::from(l) / temperature).exp()).collect();
            for (share, weight) in shares(&options, &logits, 20_000).iter().zip(&weights) {
                let expected = weight / weights.iter().sum::<f64>();
                assert!((share - expected).abs() < 0.015, "at {temperature}: {share} is not {expected}");
            }
        }
    }

    #[test]
    fn top_k_and_top_p_cut_the_tail() {
        let logits = [0.0, 3.0, 1.0, 2.0];
        let top_k = GenerationOptions { top_k: 2, ..GenerationOptions::sampled(1) };
        let cut = shares(&top_k, &logits, 2000);
        assert_eq!([cut[0], cut[2]], [0.0, 0.0]);
        assert!(cut[3] > 0.2);
        // The probabilities are 0.64, 0.24, 0.09, 0.03: 0.65 needs two tokens, 0.6 one.
        let top_p = |top_p| GenerationOptions { top_p, ..GenerationOptions::sampled(1) };
        assert!(shares(&top_p(0.65), &logits, 2000)[3] > 0.2);
        assert_eq!(shares(&top_p(0.65), &logits, 2000)[2], 0.0);
        assert_eq!(
            shares(&top_p(0.6), &logits, 100)[1],
            shares(&GenerationOptions::greedy(1), &logits, 100)[1]
        );
    }

    #[test]
    fn greedy_takes_the_first_of_the_best_and_spares_the_forbidden() {
        let mut sampler = Sampler::new(&GenerationOptions::greedy(1), 0, 0);
        assert_eq!(sampler.sample(&mut [1.0, 5.0, 5.0], &[], &[]).unwrap().token, 1);
        assert_eq!(sampler.sample(&mut [1.0, 5.0, 5.0], &[], &[1, 2, 99]).unwrap().token, 0);
    }

    #[test]
    fn nothing_is_picked_where_logits_are_no_numbers() {
        for options in [GenerationOptions::greedy(1), GenerationOptions::sampled(1)] {
            let mut sampler = Sampler::new(&options, 0, 0);
            assert_eq!(sampler.sample(&mut [1.0, f32::NAN], &[], &[]), None);
            assert_eq!(sampler.sample(&mut [1.0, f32::INFINITY], &[], &[]), None);
            assert_eq!(sampler.sample(&mut [1.0, 2.0], &[], &[0, 1]), None, "all tokens are forbidden");
            assert!(sampler.sample(&mut [f32::NEG_INFINITY, 2.0], &[], &[]).is_some());
        }
    }

    #[test]
    fn the_repetition_penalty_pushes_both_signs_down_once() {
        let mut logits = [2.0, -2.0, 2.0];
        penalise(&mut logits, &[0, 1, 0, 50], 2.0);
        assert_eq!(logits, [1.0, -4.0, 2.0]);
    }

    #[test]
    fn a_saved_sampler_goes_on_as_if_never_saved() {
        let mut sampler = Sampler::new(&GenerationOptions::sampled(1), 3, 5);
        let logits = [0.1f32, 0.2, 0.3, 0.4];
        let next = |sampler: &mut Sampler| sampler.sample(&mut logits.to_vec(), &[], &[]).unwrap().token;
        (0..5).for_each(|_| {
            next(&mut sampler);
        });
        let mut restored: Sampler = serde_json::from_str(&serde_json::to_string(&sampler).unwrap()).unwrap();
        assert_eq!(
            (0..20).map(|_| next(&mut sampler)).collect::<Vec<_>>(),
            (0..20).map(|_| next(&mut restored)).collect::<Vec<_>>()
        );
    }
}
