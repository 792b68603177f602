//! The model that the policy is held to: itself as it starts, another one, or one that follows it.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use align_kernels::Params;
use align_models::{CausalLm, DecoderConfig, Reference, weights_hash};
use align_stage::{Error, Opening, Result, open_reference};
use candle_core::Tensor;

use crate::{DpoOptions, MovingReference, Scoring, precompute};

/// The reference of a run.
pub(super) struct RunReference {
    /// As it starts: what held-out rows are measured against.
    pub(super) model: CausalLm,
    /// As training compares with it: the same, or a view of what moves.
    compared: CausalLm,
    /// What moves it, if it moves.
    pub(super) moving: Option<MovingReference>,
    config: DecoderConfig,
    params: Params,
    hash: OnceCell<align_models::Result<String>>,
}

impl RunReference {
    /// The model that the options name, or the policy's own, whose `weights` these are.
    pub(super) fn open(
        opening: &Opening<'_>,
        options: &DpoOptions,
        policy: &Params,
        weights: BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let own = &opening.model;
        let (dir, weights) = match &options.ref_model {
            None => (own.clone(), weights),
            Some(name) => {
                let dir = open_reference(opening, name)?;
                let weights = dir.load(&opening.place.device)?;
                (dir, weights)
            }
        };
        let config = dir.decoder_config();
        let params = Params::frozen(&weights);
        let model = CausalLm::new(config, &params)?;
        let (compared, moving) = match options.mixup()? {
            None => (model.clone(), None),
            Some(mixup) => {
                let own = Params::tracked(&weights)?;
                let compared = CausalLm::new(config, &own.view())?;
                (compared, Some(MovingReference::new(policy.view(), own, mixup)?))
            }
        };
        Ok(Self { model, compared, moving, config: config.clone(), params, hash: OnceCell::new() })
    }

    /// Which model it is as it starts.
    pub(super) fn hash(&self) -> Result<(&'static str, String)> {
        let hash = self.hash.get_or_init(|| weights_hash(&self.config, &self.params));
        match hash {
            Ok(hash) => Ok(("reference", hash.clone())),
            Err(error) => Err(Error::Inputs(format!("reference: {error}"))),
        }
    }

    /// The reference as training asks it: live, or its log-probs of all rows. Nothing is computed in advance
    /// for a dry run, which writes nothing.
    pub(super) fn compared<S: Scoring>(
        &self,
        opening: &Opening<'_>,
        options: &DpoOptions,
        scoring: &S,
        rows: &[S::Row],
        rows_per_batch: Option<usize>,
    ) -> Result<Reference> {
        match options.cache_dir()?.filter(|_| opening.host.trains()) {
            None => Ok(Reference::Live(Box::new(self.compared.clone()))),
            Some(dir) => {
                let (_, hash) = self.hash()?;
                Ok(precompute(scoring, &self.model, (&dir, &hash), rows, rows_per_batch)?)
            }
        }
    }
}
