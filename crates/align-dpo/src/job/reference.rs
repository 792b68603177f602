//! The model that the policy is held to: itself as it starts, another one, or one that follows it.

use std::cell::OnceCell;

use align_kernels::Params;
use align_models::{CausalLm, Model, Reference};
use align_stage::{Error, Opening, Result, open_reference};

use crate::{DpoOptions, MovingReference, Scoring, precompute};

/// The reference of a run.
pub(super) struct RunReference {
    /// As it starts: what held-out rows are measured against.
    pub(super) model: CausalLm,
    /// As training compares with it: the same, or a view of what moves.
    compared: CausalLm,
    /// What moves it, if it moves.
    pub(super) moving: Option<MovingReference>,
    start: Model,
    hash: OnceCell<align_models::Result<String>>,
}

impl RunReference {
    /// The model that the options name, or the policy as it starts.
    pub(super) fn open(
        opening: &Opening<'_>,
        options: &DpoOptions,
        policy: &Params,
        start: Model,
    ) -> Result<Self> {
        let start = match &options.ref_model {
            None => start,
            Some(name) => open_reference(opening, name)?.model(&opening.place.device)?,
        };
        let model = start.causal_lm()?;
        let (compared, moving) = match options.mixup()? {
            None => (model.clone(), None),
            Some(_) if opening.model.is_adapter() => {
                let problem =
                    "the reference of an adapter is its base, which does not move; train all weights";
                return Err(Error::option("sync_ref_model", problem));
            }
            Some(mixup) => {
                let own = start.params.tracked_copy()?;
                let compared = CausalLm::new(&start.config, &own.view())?;
                (compared, Some(MovingReference::new(policy.view(), own, mixup)?))
            }
        };
        Ok(Self { model, compared, moving, start, hash: OnceCell::new() })
    }

    /// Which model it is as it starts.
    pub(super) fn hash(&self) -> Result<(&'static str, String)> {
        match self.hash.get_or_init(|| self.start.hash()) {
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
