//! The model under training and a view of it, over its tokens or over features of a frozen backbone.

use align_data::{RowSource, TokenizedRanking};
use align_kernels::{Param, Params};
use align_models::{DecoderConfig, PadToken, RewardHead, RewardModel, SavedDtype, weights_hash};
use align_stage::{Error, Opening, Result};

use crate::{RankingBatch, RewardSource, features, first_answers};

/// A backbone, frozen or not, under a trainable head.
pub(super) struct Models {
    config: DecoderConfig,
    head: RewardHead,
    params: Params,
    has_frozen_backbone: bool,
    gradient_checkpointing: bool,
}

impl Models {
    /// Loads the model; the opening's directory is from then on one that saves it.
    pub(super) fn open(
        opening: &mut Opening<'_>,
        head: Option<RewardHead>,
        freeze_backbone: bool,
    ) -> Result<Self> {
        let (seed, device) = (opening.place.seed, &opening.place.device);
        let (head, params) = if freeze_backbone {
            if opening.model.is_adapter() {
                let problem = "is what an adapter does to all but itself; leave out one of both";
                return Err(Error::option("freeze_backbone", problem));
            }
            let (head, params) = opening.model.load_reward_model(head, seed, device)?;
            let held = |(name, param): (&str, &Param)| {
                let is_trained = name.starts_with("score.");
                let param = if is_trained { Param::tracked(param.tensor())? } else { param.clone() };
                Ok::<_, Error>((name.to_owned(), param))
            };
            (head, params.iter().map(held).collect::<Result<Params>>()?)
        } else {
            opening.model.trainable_reward_model(head, seed, device)?
        };
        let pad = opening.tokenizer.pad_beside(&opening.eos_token_ids()?)?;
        opening.model = opening.model.as_reward_model(head, PadToken { text: pad.text, id: pad.id });
        let config = opening.model.decoder_config().clone();
        let gradient_checkpointing = opening.config.gradient_checkpointing;
        Ok(Self { config, head, params, has_frozen_backbone: freeze_backbone, gradient_checkpointing })
    }

    /// All parameters; the updater finds those that are trained.
    pub(super) fn params(&self) -> &Params {
        &self.params
    }

    /// Which backbone it is, if that is not trained.
    pub(super) fn frozen(&self) -> Result<Option<(&'static str, String)>> {
        if !self.has_frozen_backbone {
            return Ok(None);
        }
        let frozen = self.params.iter().filter(|(_, param)| !param.is_tracked());
        let frozen = frozen.map(|(name, param)| (name.to_owned(), param.clone())).collect();
        Ok(Some(("backbone", weights_hash(&self.config, &frozen)?)))
    }

    /// How batches of these rows are made for [`Models::trained`] and [`Models::view`].
    pub(super) fn pack(
        &self,
        rows: RowSource<'_, TokenizedRanking>,
    ) -> Result<impl Fn(RowSource<'_, TokenizedRanking>, &[usize]) -> align_data::Result<RankingBatch> + use<>>
    {
        let first_answers = self.has_frozen_backbone.then(|| first_answers(rows)).transpose()?;
        Ok(move |rows: RowSource<'_, TokenizedRanking>, indices: &[usize]| match &first_answers {
            None => RankingBatch::new(rows, indices),
            Some(first) => RankingBatch::numbered(rows, indices, first),
        })
    }

    /// Rewards of these rows with what trains the model.
    pub(super) fn trained(&self, rows: RowSource<'_, TokenizedRanking>) -> Result<RewardSource> {
        Ok(match self.source(&self.params, rows)? {
            RewardSource::Model(model) => {
                RewardSource::Model(Box::new(model.with_gradient_checkpointing(self.gradient_checkpointing)))
            }
            features @ RewardSource::Features { .. } => features,
        })
    }

    /// Rewards of these rows that see every update and record nothing.
    pub(super) fn view(&self, rows: RowSource<'_, TokenizedRanking>) -> Result<RewardSource> {
        self.source(&self.params.view(), rows)
    }

    /// Rewards of these rows by the weights as they are when they are saved in that precision.
    pub(super) fn as_saved(
        &self,
        dtype: SavedDtype,
        rows: RowSource<'_, TokenizedRanking>,
    ) -> Result<RewardSource> {
        self.source(&dtype.rounded(&self.params.view())?, rows)
    }

    fn source(&self, params: &Params, rows: RowSource<'_, TokenizedRanking>) -> Result<RewardSource> {
        let model = RewardModel::new(&self.config, self.head, params)?;
        if !self.has_frozen_backbone || rows.is_empty() {
            return Ok(RewardSource::Model(Box::new(model)));
        }
        let start = std::time::Instant::now();
        let features = features(&model, rows)?;
        tracing::info!("features of {} rows in {:.1} s", rows.len(), start.elapsed().as_secs_f64());
        Ok(RewardSource::Features { features, scorer: model.scorer().clone() })
    }
}
