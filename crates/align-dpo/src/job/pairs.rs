//! Training on preference pairs: prompts with a chosen and a rejected answer.

use align_data::{
    Dataset, MaskStyle, PreferencePair, Records, RowSource, TokenizedPair, inspect_pair, open_pairs,
    open_pairs_with_reference, prepare_pairs,
};
use align_kernels::Params;
use align_models::CausalLm;
use align_stage::{Fixed, Judge, Opening, Result, RowBatches, Trained, Training};

use crate::{HeldOut, Labels, PairMethod, Preference, Report, Scoring as _};

use super::judged::JudgedTexts;
use super::reference::RunReference;
use super::{FOR_EVALUATION, Job, reported};

pub(super) fn train(
    opening: &mut Opening<'_>,
    job: &Job,
    own: Option<Records<PreferencePair>>,
    judge: Option<Judge<'_>>,
    method: &PairMethod,
) -> Result<Option<Trained<Report>>> {
    // Data: prompts and answers as token ids.
    let has_gold = matches!(method.likelihood, Some((Labels::Gold, _)));
    let open = |dataset: &Dataset, split: &str| match has_gold {
        true => open_pairs_with_reference(dataset, split),
        false => open_pairs(dataset, split),
    };
    let records = opening.records(own, open)?;
    let data = prepare_pairs(&records, &opening.tokenizer, &opening.data.tokenize)?;
    drop(records);
    opening.check_rows(&data, FOR_EVALUATION)?;
    let needs = job.memory_needs(opening, (method, method.needs_reference()), &data)?;
    opening.plan_memory(&needs)?;
    let opening = &*opening;
    let prompts = data.held_out.iter().map(|row| (&data.held_out_prompts[row.row], &row.origin));
    let judged = JudgedTexts::new(judge, prompts.collect())?;
    let order = opening.order(data.train.lengths())?;
    let show =
        |row: usize, style: MaskStyle| inspect_pair(data.train.get(row)?.as_ref(), &opening.tokenizer, style);
    if opening.looked(&order, show)? {
        return Ok(None);
    }

    // Models: the policy, what it is held to, and views of both to measure with.
    let (params, start) = opening.model.trainable(opening.place.seed, &opening.place.device)?;
    let lm = |params: &Params| CausalLm::new(opening.model.decoder_config(), params);
    let pack = |rows: RowSource<'_, _>, indices: &[usize]| method.pack(rows, indices);
    let (mut compared, mut measured, mut moving, mut opened, mut hash) = (None, None, None, None, None);
    if method.needs_reference() {
        let reference = RunReference::open(opening, &job.dpo, &params, start)?;
        let known = |rows: RowSource<'_, _>| reference.known(opening, &job.dpo, method, rows, None);
        compared = Some(known((&data.train).into())?.unwrap_or_else(|| reference.compared()));
        measured = Some(known((&data.held_out).into())?.unwrap_or_else(|| reference.measured()));
        hash = Some(reference.hash()?);
        let (live, moved) = reference.opened(opening, &job.dpo)?;
        (moving, opened) = (moved, Some(live));
    } else {
        drop(start);
        opening.given.refuse(&["num_kl_prompts"], "the method has no reference to measure the KL from")?;
    }
    let policy = lm(&params)?.with_gradient_checkpointing(opening.config.gradient_checkpointing);
    let objective = Preference::new(policy, compared, method.clone()).with_moving_reference(moving);
    let mut first = order.clone().next_batch().unwrap_or_default();
    first.truncate(2); // The check costs a forward pass; losses that compare rows need two.
    let first = pack((&data.train).into(), &first)?;
    objective.check_start(&first, job.dpo.ref_model.is_none())?;

    // Training, and what changed.
    let view = lm(&params.view())?;
    let measured = Preference::new(view.clone(), measured, method.clone());
    let twins = data.held_out.iter().map(|pair| are_twins(pair, opening)).collect::<Result<Vec<_>>>()?;
    let with_twins =
        |rows: RowSource<'_, _>, indices: &[usize]| Ok(method.pack(rows, indices)?.with_twins(&twins));
    let held_out =
        HeldOut::new(&data.held_out, with_twins, measured, (view, opened), job.measuring(opening)?)?;
    let batches = RowBatches::new(&data.train, order, pack);
    let rows = data.train.len();
    let fixed = Fixed { rows: &data.fingerprint, models: hash.into_iter().collect() };
    let training = Training { params: &params, objective, batches, rows, fixed };
    let ended = training.run(opening, held_out, |held_out, step, stop| held_out.look(step, stop))?;
    ended.map(|ended| reported(opening, &data, &twins, &judged, ended)).transpose()
}

/// Whether the answers of a pair differ in few words.
fn are_twins(pair: &TokenizedPair, opening: &Opening<'_>) -> Result<bool> {
    let text = |ids: &[u32]| opening.tokenizer.decode(ids, true);
    Ok(align_stats::are_twins(&text(&pair.chosen)?, &text(&pair.rejected)?))
}
