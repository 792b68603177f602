//! What a new adapter starts from.

use std::collections::BTreeMap;

use align_kernels::{Adapter, Param, Params, Weight, magnitudes, record};
use candle_core::{Device, Tensor};
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::tensors::{is_of_embedding, trained_tokens};
use super::{LoraConfig, LoraStart, magnitude, pissa};
use crate::initialise::normal;
use crate::layer::adapter_of;
use crate::plan::{Init, StoredTensor, weight};
use crate::{DecoderConfig, Result, weights};

/// What draws an adapter, beside the run's seed.
const STREAM: u64 = 0x10fa;

/// The tensors of a new adapter of the `config` over the parameters of its `base`: the same seed gives the same ones.
///
/// # Errors
/// If there is not enough memory; if a weight is missing.
pub(super) fn start(
    decoder: &DecoderConfig,
    config: &LoraConfig,
    table: &[StoredTensor],
    base: &Params,
    (seed, device): (u64, &Device),
) -> Result<BTreeMap<String, Tensor>> {
    let shapes: Vec<_> = table.iter().map(|tensor| (tensor.name.clone(), tensor.shape())).collect();
    weights::check_memory("the adapter", &shapes)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ STREAM);
    let mut tensors = BTreeMap::new();
    for param in table.iter().flat_map(|tensor| &tensor.params) {
        let count = param.shape.iter().product();
        let data: Vec<f32> = match param.init {
            Init::Ones => vec![1.0; count],
            Init::Zeros => vec![0.0; count],
            Init::Normal if is_of_embedding(&param.name) => {
                (0..count).map(|_| normal(&mut rng) as f32).collect()
            }
            Init::Normal => drawn(config.init_lora_weights, &param.shape, count, &mut rng),
        };
        tensors.insert(param.name.clone(), Tensor::from_vec(data, param.shape.as_slice(), device)?);
    }
    if !decoder.trained_tokens.is_empty() {
        let rows = rows(&base.weight(&weight(&decoder.embedding))?, &decoder.trained_tokens)?;
        tensors.insert(trained_tokens(&decoder.embedding), rows.to_device(device)?);
    }
    if config.init_lora_weights == LoraStart::Pissa {
        pissa::add(decoder, base, &mut rng, device, &mut tensors)?;
    }
    if config.use_dora {
        add_magnitudes(decoder, base, &mut tensors)?;
    }
    Ok(tensors)
}

/// A: `[rank, inputs]`.
fn drawn(start: LoraStart, shape: &[usize], count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let bound = 1.0 / (shape[1] as f64).sqrt();
    let unit = |rng: &mut ChaCha8Rng| (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let value = |rng: &mut ChaCha8Rng| match start {
        // PiSSA puts its own in the place of these.
        LoraStart::Uniform | LoraStart::Pissa => bound * (2.0 * unit(rng) - 1.0),
        LoraStart::Gaussian => normal(rng) / shape[0] as f64,
    };
    (0..count).map(|_| value(rng) as f32).collect()
}

/// Rows of an embedding as they are.
fn rows(table: &Weight, tokens: &[u32]) -> Result<Tensor> {
    let ids = Tensor::new(tokens, table.param().map_or(&Device::Cpu, Param::device))?;
    Ok(record("rows", [], |tape, []| tape.embedding(&ids, table))?)
}

/// DoRA's magnitudes: the lengths of the rows as they are.
fn add_magnitudes(
    decoder: &DecoderConfig,
    base: &Params,
    tensors: &mut BTreeMap<String, Tensor>,
) -> Result<()> {
    let mut params = base.clone();
    for (name, tensor) in tensors.iter() {
        params.insert(name, Param::frozen(tensor))?;
    }
    for linear in decoder.linears() {
        let Some(plan) = &linear.adapter else { continue };
        let adapter: Adapter = adapter_of(linear, plan, &params)?;
        let lengths = magnitudes(&params.weight(&linear.weight())?, &adapter)?;
        tensors.insert(magnitude(&linear.name), lengths);
    }
    Ok(())
}
