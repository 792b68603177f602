//! The model that the policy is held to: itself as it starts, or another one.

use align_cli::Hub;
use align_data::TokenizedPair;
use align_dpo::prepare_reference;
use align_kernels::Params;
use align_models::{CausalLm, ModelDir, Reference, weights_hash};

use crate::options::Options;

/// The reference as a model, and as training asks it: live, or its log-probs of `pairs`.
pub(crate) fn load(
    options: &Options,
    hub: &Hub,
    model: &ModelDir,
    params: &Params,
    pairs: &[TokenizedPair],
) -> anyhow::Result<(CausalLm, Reference)> {
    let device = params.iter().next().map(|(_, param)| param.device().clone());
    let (dir, params) = match &options.dpo.ref_model {
        None => (model.clone(), params.frozen_copy()?),
        Some(name) => {
            let dir = ModelDir::open(&hub.model(name, "main")?)?;
            anyhow::ensure!(
                dir.decoder_config().vocab == model.decoder_config().vocab,
                "ref_model {name}: has a vocabulary of {}, the model one of {}; both must share a tokenizer",
                dir.decoder_config().vocab,
                model.decoder_config().vocab
            );
            let weights = dir.load(&device.unwrap_or(candle_core::Device::Cpu))?;
            (dir, Params::frozen(&weights))
        }
    };
    let reference_model = CausalLm::new(dir.decoder_config(), &params)?;
    // A dry run writes nothing, so it computes nothing in advance.
    let cache = options.dpo.cache_dir()?.filter(|_| !options.output.dry_run);
    let reference = match cache {
        None => prepare_reference(&reference_model, pairs, None)?,
        Some(cache) => {
            let hash = weights_hash(dir.decoder_config(), &params)?;
            prepare_reference(&reference_model, pairs, Some((&cache, &hash)))?
        }
    };
    Ok((reference_model, reference))
}
