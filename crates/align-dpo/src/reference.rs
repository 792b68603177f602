//! The reference of a run: live beside the policy, or its log-probs computed before the first step.

use std::path::Path;

use align_data::TokenizedPair;
use align_models::{CausalLm, LogProbCache, Reference, Result};

use crate::PairBatch;

/// Pairs per pass while log-probs are computed in advance.
const PAIRS_PER_PASS: usize = 8;

/// The reference for training: `model` itself, or, with a cache directory, its log-probs of `pairs`, read
/// from there or computed and kept there. `model_hash` is [`align_models::weights_hash`] of the model.
///
/// # Errors
/// If the model cannot be run or the cache cannot be written.
pub fn prepare_reference(
    model: &CausalLm,
    pairs: &[TokenizedPair],
    cache: Option<(&Path, &str)>,
) -> Result<Reference> {
    let Some((dir, model_hash)) = cache else {
        return Ok(Reference::Live(Box::new(model.clone())));
    };
    let sequences = pairs.iter().flat_map(|pair| {
        [(pair.prompt.as_slice(), pair.chosen.as_slice()), (pair.prompt.as_slice(), pair.rejected.as_slice())]
    });
    let compute = || {
        let mut log_probs = Vec::with_capacity(2 * pairs.len());
        let indices: Vec<usize> = (0..pairs.len()).collect();
        for indices in indices.chunks(PAIRS_PER_PASS) {
            let packed = PairBatch::new(pairs, indices).packed;
            log_probs.extend(model.sequence_log_probs(&packed)?.to_vec1::<f32>()?);
        }
        Ok(log_probs)
    };
    Ok(Reference::Precomputed(LogProbCache::read_or_compute(dir, model_hash, sequences, compute)?))
}
