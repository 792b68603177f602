//! Pairs of embeddings, in the place of those of a text encoder: the better answer is further along a hidden direction.

use align::candle::{Device, Result, Tensor};

/// Entries of an embedding.
pub(crate) const WIDTH: usize = 16;

/// Embeddings of the chosen and of the rejected answers of `count` pairs, `[count, WIDTH]` each; other for another `seed`.
pub(crate) fn pairs(count: usize, seed: u64) -> Result<(Tensor, Tensor)> {
    let mut state = seed;
    // A linear congruential generator (Knuth's constants): the same numbers everywhere.
    let mut number = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    let quality =
        |embedding: &[f32]| embedding.iter().enumerate().map(|(i, x)| x * (i as f32 - 7.5)).sum::<f32>();
    let (mut chosen, mut rejected) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut answer = || (0..WIDTH).map(|_| number()).collect::<Vec<f32>>();
        let (one, other) = (answer(), answer());
        let (better, worse) = if quality(&one) > quality(&other) { (one, other) } else { (other, one) };
        chosen.extend(better);
        rejected.extend(worse);
    }
    let tensor = |values| Tensor::from_vec(values, (count, WIDTH), &Device::Cpu);
    Ok((tensor(chosen)?, tensor(rejected)?))
}
