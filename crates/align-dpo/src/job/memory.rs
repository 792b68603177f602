//! What takes memory in a run of preference training.

use align_data::{Prepared, RowSource};
use align_kernels::Precision;
use align_models::footprint::PassSize;
use align_stage::{Frozen, MemoryNeeds, Opening, Result, open_reference};

use super::Job;
use crate::evaluation::COMPARED;
use crate::{LossType, Prompted, Scoring};

/// Completions that are decoded together at most.
const DECODED: usize = 64;

impl Job {
    /// The rows as the method packs them, and what it compares with.
    pub(super) fn memory_needs<S: Scoring>(
        &self,
        opening: &Opening<'_>,
        (scoring, needs_reference): (&S, bool),
        data: &Prepared<S::Row>,
    ) -> Result<MemoryNeeds>
    where
        S::Row: Prompted,
    {
        let size = |rows: RowSource<'_, S::Row>, row: usize| {
            let batch = scoring.pack(rows, &[row])?;
            let packed = S::packed(&batch);
            Ok(PassSize { tokens: packed.stream.tokens.len(), rows: packed.targets.len() })
        };
        let sizes = |rows: RowSource<'_, S::Row>| {
            (0..rows.len()).map(|row| size(rows, row)).collect::<align_data::Result<Vec<_>>>()
        };
        let completed = (COMPARED + self.dpo.num_kl_prompts).min(DECODED).min(data.held_out.len());
        let longest = data.held_out.iter().map(|row| row.prompt().len()).max().unwrap_or(0);
        let of_loss = self.dpo.loss_type.iter().find_map(|loss| Some((loss, loss.of_micro_batch()?)));
        let of_loss = of_loss.map(|(loss, what): (&LossType, _)| format!("loss_type {} {what}", loss.name()));
        Ok(MemoryNeeds {
            train: sizes((&data.train).into())?,
            held_out: sizes((&data.held_out).into())?,
            reference: needs_reference.then(|| self.frozen(opening)).transpose()?,
            cached_tokens: completed * (longest + self.dpo.max_new_tokens),
            of_micro_batch: of_loss.or_else(|| self.lora.drawn_by_micro_batch()),
            ..MemoryNeeds::default()
        })
    }

    /// The reference.
    fn frozen(&self, opening: &Opening<'_>) -> Result<Frozen> {
        let (moves, is_adapter) = (self.dpo.mixup()?.is_some(), opening.model.is_adapter());
        let shares = is_adapter && self.dpo.ref_model.is_none();
        let dir = match &self.dpo.ref_model {
            Some(name) => Some(open_reference(opening, name)?),
            // In bf16 the model as it starts is held apart from the policy, in half the bytes.
            None if !is_adapter && opening.model.decoder_config().precision == Precision::Bf16 => {
                Some(opening.model.clone())
            }
            None => None,
        };
        let dir = dir.map(|dir| if moves { dir } else { dir.to_run() });
        let own = dir.map(|dir| dir.weight_bytes()).transpose()?;
        Ok(Frozen {
            own,
            in_advance: self.dpo.precompute_ref_log_probs && !shares,
            moves,
            may_be_in_advance: !shares && !moves,
        })
    }
}
