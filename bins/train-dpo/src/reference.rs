//! The model that the policy is held to: itself as it starts, another one, or one that follows it.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use align_data::Tokenizer;
use align_dpo::{DpoOptions, MovingReference, Scoring, precompute};
use align_kernels::Params;
use align_models::{CausalLm, DecoderConfig, ModelDir, Reference, weights_hash};
use align_recipe::{Opening, check_tokenizer};
use candle_core::Tensor;

/// The reference of a run.
pub(crate) struct RunReference {
    /// As it starts: what held-out rows are measured against.
    pub(crate) model: CausalLm,
    /// As training compares with it: the same, or a view of what moves.
    compared: CausalLm,
    /// What moves it, if it moves.
    pub(crate) moving: Option<MovingReference>,
    config: DecoderConfig,
    params: Params,
    hash: OnceCell<align_models::Result<String>>,
}

impl RunReference {
    /// The model that the options name, or the policy's own, whose `weights` these are.
    pub(crate) fn open(
        opening: &Opening<'_>,
        options: &DpoOptions,
        policy: &Params,
        weights: BTreeMap<String, Tensor>,
    ) -> anyhow::Result<Self> {
        let own = &opening.model;
        let (dir, weights) = match &options.ref_model {
            None => (own.clone(), weights),
            Some(name) => {
                let dir = ModelDir::open(&opening.hub.model(name, "main")?)?;
                anyhow::ensure!(
                    dir.decoder_config().vocab == own.decoder_config().vocab,
                    "ref_model {name}: has a vocabulary of {}, the model one of {}; both must share a tokenizer",
                    dir.decoder_config().vocab,
                    own.decoder_config().vocab
                );
                check_tokenizer(
                    &format!("ref_model {name}"),
                    &Tokenizer::load(dir.path())?,
                    &opening.tokenizer,
                )?;
                let weights = dir.load(&opening.session.device)?;
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
    pub(crate) fn hash(&self) -> anyhow::Result<(&'static str, String)> {
        let hash = self.hash.get_or_init(|| weights_hash(&self.config, &self.params));
        match hash {
            Ok(hash) => Ok(("reference", hash.clone())),
            Err(error) => anyhow::bail!("reference: {error}"),
        }
    }

    /// The reference as training asks it: live, or its log-probs of all rows. Nothing is computed in advance
    /// for a dry run, which writes nothing.
    pub(crate) fn compared<S: Scoring>(
        &self,
        opening: &Opening<'_>,
        options: &DpoOptions,
        scoring: &S,
        rows: &[S::Row],
        rows_per_batch: Option<usize>,
    ) -> anyhow::Result<Reference> {
        match options.cache_dir()?.filter(|_| !opening.session.dry_run) {
            None => Ok(Reference::Live(Box::new(self.compared.clone()))),
            Some(dir) => {
                let (_, hash) = self.hash()?;
                Ok(precompute(scoring, &self.model, (&dir, &hash), rows, rows_per_batch)?)
            }
        }
    }
}
