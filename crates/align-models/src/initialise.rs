//! Weights from nothing, for models that are trained from scratch.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::plan::Init;
use crate::{DecoderConfig, Result, weights};

/// Normal weights of deviation `initializer_range`, zero biases and norms that multiply with 1, as transformers
/// initialises them. The same seed gives the same weights.
///
/// # Errors
/// If there is not enough memory for them.
pub fn random_weights(
    config: &DecoderConfig,
    seed: u64,
    device: &Device,
) -> Result<BTreeMap<String, Tensor>> {
    weights::check_memory("the model of config.json", &config.weight_shapes())?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let params = config.tensors().into_iter().flat_map(|tensor| tensor.params);
    let tensors = params.map(|param| {
        let count: usize = param.shape.iter().product();
        let data: Vec<f32> = match param.init {
            Init::Ones => vec![1.0; count],
            Init::Zeros => vec![0.0; count],
            Init::Normal => {
                (0..count).map(|_| (normal(&mut rng) * config.initializer_range) as f32).collect()
            }
        };
        Ok((param.name, Tensor::from_vec(data, param.shape, device)?))
    });
    tensors.collect()
}

/// A standard normal number by Box and Muller's transform.
pub(crate) fn normal(rng: &mut impl Rng) -> f64 {
    let unit = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64; // in (0, 1), never 0
    let (radius, angle) = (unit(rng.next_u64()), unit(rng.next_u64()));
    (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()
}
