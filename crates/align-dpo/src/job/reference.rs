//! The model that the policy is held to: itself as it starts, another one, or one that follows it.

use std::cell::OnceCell;

use align_data::RowSource;
use align_kernels::Params;
use align_models::{CausalLm, Model, Reference};
use align_stage::{Error, Opening, Result, open_reference};

use crate::{DpoOptions, MovingReference, OpenReference, Scoring, precompute};

/// The reference of a run.
pub(super) struct RunReference {
    /// As it starts: what held-out rows are measured against.
    model: CausalLm,
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
        // A reference that moves is trained, in its way; that of an adapter is its base.
        let is_own = options.mixup()?.is_none() && !shares_weights(opening, options);
        let start = if is_own { start.to_run()? } else { start };
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

    /// The reference as training compares with it, live.
    pub(super) fn compared(&self) -> Reference {
        Reference::Live(Box::new(self.compared.clone()))
    }

    /// The reference as it starts, live: what held-out rows are measured against.
    pub(super) fn measured(&self) -> Reference {
        Reference::Live(Box::new(self.model.clone()))
    }

    /// Its log-probs of all rows, if they are wanted in advance. Nothing is computed for a dry run, which writes nothing.
    pub(super) fn known<S: Scoring>(
        &self,
        opening: &Opening<'_>,
        options: &DpoOptions,
        scoring: &S,
        rows: RowSource<'_, S::Row>,
        rows_per_batch: Option<usize>,
    ) -> Result<Option<Reference>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let Some(dir) = options.cache_dir()?.filter(|_| opening.host.trains()) else { return Ok(None) };
        let (_, hash) = self.hash()?;
        let ranks = &opening.host.ranks;
        precompute(scoring, &self.model, (&dir, &hash), rows, rows_per_batch, ranks).map(Some)
    }

    /// The reference as completions are compared with it, and what moves the one of training. A model whose log-probs were
    /// computed in advance, and that shares no weights with the policy, takes no memory between two measurements: it is
    /// loaded for each.
    pub(super) fn opened<'a>(
        self,
        opening: &'a Opening<'_>,
        options: &'a DpoOptions,
    ) -> Result<(OpenReference<'a>, Option<MovingReference>)> {
        if shares_weights(opening, options) || !options.precompute_ref_log_probs || !opening.host.trains() {
            let (model, moving) = (self.model, self.moving);
            return Ok((Box::new(move || Ok(model.clone())), moving));
        }
        let (_, expected) = self.hash()?;
        let again = move || {
            let dir = match &options.ref_model {
                None => opening.model.clone(),
                Some(name) => open_reference(opening, name)?,
            };
            let dir = if options.mixup()?.is_some() { dir } else { dir.to_run() };
            let model = dir.model(&opening.place.device)?;
            if model.hash()? != expected {
                let problem = "the reference: its files were changed while the run was under way, which began with others";
                return Err(Error::Inputs(problem.to_owned()));
            }
            Ok(model.causal_lm()?)
        };
        Ok((Box::new(again), self.moving))
    }
}

/// Whether the reference is what an adapter is trained over.
fn shares_weights(opening: &Opening<'_>, options: &DpoOptions) -> bool {
    opening.model.is_adapter() && options.ref_model.is_none()
}
