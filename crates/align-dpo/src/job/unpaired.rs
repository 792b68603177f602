//! Training on single answers that are desirable or not.

use align_data::{
    MaskStyle, Records, RowSource, SamplingStrategy, UnpairedPreference, inspect_completion, open_unpaired,
    prepare_unpaired,
};
use align_kernels::Params;
use align_models::CausalLm;
use align_stage::{Error, Event, Fixed, Judge, Opening, Result, RowBatches, Trained, Training};

use crate::{HeldOut, Report, Scoring as _, Unpaired, UnpairedLoss, UnpairedMethod};

use super::judged::JudgedTexts;
use super::reference::RunReference;
use super::{FOR_EVALUATION, Job, reported};

pub(super) fn train(
    opening: &mut Opening<'_>,
    job: &Job,
    own: Option<Records<UnpairedPreference>>,
    judge: Option<Judge<'_>>,
    method: &UnpairedMethod,
) -> Result<Option<Trained<Report>>> {
    // Data: prompts, answers and their labels.
    let records = opening.records(own, |path, split| open_unpaired(path, split))?;
    let data = prepare_unpaired(&records, &opening.tokenizer, &opening.data.tokenize)?;
    drop(records);
    opening.check_rows(&data, FOR_EVALUATION)?;
    let counts = data.findings.checks.unpaired.as_ref().map(|checks| (checks.desirable, checks.undesirable));
    if let Some(advice) = counts.and_then(|(desirable, undesirable)| method.advice(desirable, undesirable)) {
        opening.host.tell(Event::Advice(&advice))?;
    }
    if data.train.len() < 2 && method.loss == UnpairedLoss::Kto {
        let problem = "dataset_name: kto compares a row with others, and there is one row";
        return Err(Error::Inputs(problem.to_owned()));
    }
    let needs = job.memory_needs(opening, (method, true), &data)?;
    opening.plan_memory(&needs)?;
    let opening = &*opening;
    let prompts = data.held_out.iter().map(|row| (&data.held_out_prompts[row.row], &row.origin));
    let judged = JudgedTexts::new(judge, prompts.collect())?;
    let order = opening.order(data.train.lengths())?;
    let show = |row: usize, style: MaskStyle| {
        inspect_completion(data.train.get(row)?.as_ref(), &opening.tokenizer, style)
    };
    if opening.looked(&order, show)? {
        return Ok(None);
    }

    // Models: the policy, what it is held to, and views of both to measure with.
    let (params, start) = opening.model.trainable(opening.place.seed, &opening.place.device)?;
    let lm = |params: &Params| CausalLm::new(opening.model.decoder_config(), params);
    let pack = |rows: RowSource<'_, _>, indices: &[usize]| method.pack(rows, indices);
    let reference = RunReference::open(opening, &job.dpo, &params, start)?;
    let neighbours = rows_compared(opening, job, method)?;
    let known =
        |rows: RowSource<'_, _>, neighbours| reference.known(opening, &job.dpo, method, rows, neighbours);
    let compared = known((&data.train).into(), neighbours)?.unwrap_or_else(|| reference.compared());
    let neighbours = neighbours.map(|_| opening.config.per_device_eval_batch_size);
    let measured = known((&data.held_out).into(), neighbours)?.unwrap_or_else(|| reference.measured());
    let policy = lm(&params)?.with_gradient_checkpointing(opening.config.gradient_checkpointing);
    let fixed = Fixed { rows: &data.fingerprint, models: [reference.hash()?].into() };
    let (opened, moving) = reference.opened(opening, &job.dpo)?;
    let objective =
        Unpaired::new(policy, compared, *method).with_moving_reference(moving).on(opening.host.ranks.clone());
    let first = order.clone().next_batch().unwrap_or_default();
    let first = pack((&data.train).into(), &first)?;
    objective.check_start(&first, job.dpo.ref_model.is_none())?;

    // Training, and what changed.
    let view = lm(&params.view())?;
    let measured = objective.measuring(view.clone(), measured);
    let models = (view, Some(opened));
    let held_out = HeldOut::new(&data.held_out, pack, measured, models, job.measuring(opening)?)?;
    let batches = RowBatches::new(&data.train, order, pack);
    let rows = data.train.len();
    let training = Training { params: &params, objective, batches, rows, fixed };
    let ended = training.run(opening, held_out, |held_out, step, stop| held_out.look(step, stop))?;
    ended.map(|ended| reported(opening, &data, &[], &judged, ended)).transpose()
}

/// The rows of a micro-batch where a precomputed reference depends on them: KTO also scores each prompt with the
/// answer of its neighbour, so its micro-batches must be the same in every epoch.
fn rows_compared(opening: &Opening<'_>, job: &Job, method: &UnpairedMethod) -> Result<Option<usize>> {
    if method.loss != UnpairedLoss::Kto || !job.dpo.precompute_ref_log_probs {
        return Ok(None);
    }
    if opening.data.train_sampling_strategy != SamplingStrategy::Sequential {
        let problem = "precompute_ref_log_probs: kto compares neighbours within a micro-batch, which shuffling changes; give \
         `--train-sampling-strategy sequential`, or leave the reference live";
        return Err(Error::Inputs(problem.to_owned()));
    }
    if opening.config.max_tokens_per_micro_batch.is_some() {
        let problem = "precompute_ref_log_probs: kto compares neighbours within a micro-batch; give `per_device_train_batch_size` \
         instead of `max_tokens_per_micro_batch`";
        return Err(Error::Inputs(problem.to_owned()));
    }
    Ok(Some(opening.config.per_device_train_batch_size))
}
