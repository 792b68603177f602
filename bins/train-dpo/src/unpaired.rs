//! Training on single answers that are desirable or not.

use align_data::{MaskStyle, SamplingStrategy, TokenizedCompletion, inspect_completion, prepare_unpaired};
use align_dpo::{HeldOut, Report, Scoring as _, Unpaired, UnpairedLoss, UnpairedMethod};
use align_kernels::Params;
use align_models::CausalLm;
use align_recipe::{Fixed, Opening, Training};
use align_stage::{AnswersOnly, RowBatches};

use crate::judged::JudgedTexts;
use crate::options::{FOR_EVALUATION, Options};
use crate::reference::RunReference;

pub(crate) fn train(opening: &Opening<'_>, options: &Options, method: &UnpairedMethod) -> anyhow::Result<()> {
    // Data: prompts, answers and their labels.
    let data = opening.rows(prepare_unpaired, FOR_EVALUATION)?;
    let counts = data.findings.checks.unpaired.as_ref().map(|checks| (checks.desirable, checks.undesirable));
    if let Some(advice) = counts.and_then(|(desirable, undesirable)| method.advice(desirable, undesirable)) {
        align_cli::print(advice)?;
    }
    anyhow::ensure!(
        data.train.len() > 1 || method.loss != UnpairedLoss::Kto,
        "dataset_name: kto compares a row with others, and there is one row"
    );
    let prompts = data.held_out.iter().map(|row| (&data.held_out_prompts[row.row], &row.origin));
    let judged = JudgedTexts::new(&options.judge, prompts.collect())?;
    let order = opening.order(data.train.iter().map(TokenizedCompletion::token_count).collect())?;
    let show = |row: usize| inspect_completion(&data.train[row], &opening.tokenizer, MaskStyle::of_stdout());
    if opening.inspected(&order, show)? {
        return Ok(());
    }

    // Models: the policy, what it is held to, and views of both to measure with.
    let weights = opening.model.load(&opening.session.device)?;
    let params = Params::tracked(&weights)?;
    let lm = |params: &Params| CausalLm::new(opening.model.decoder_config(), params);
    let pack = |rows: &[_], indices: &[usize]| method.pack(rows, indices);
    let reference = RunReference::open(opening, &options.dpo, &params, weights)?;
    let neighbours = rows_compared(opening, options, method)?;
    let compared = reference.compared(opening, &options.dpo, method, &data.train, neighbours)?;
    let policy = lm(&params)?.with_gradient_checkpointing(opening.config.gradient_checkpointing);
    let fixed = Fixed { rows: &data.fingerprint, models: [reference.hash()?].into() };
    let objective = Unpaired::new(policy, compared, *method).with_moving_reference(reference.moving);
    let first = order.clone().next_batch().unwrap_or_default();
    objective.check_start(&pack(&data.train, &first), options.dpo.ref_model.is_none())?;

    // Training, and what changed.
    let (view, live) = (lm(&params.view())?, reference.model);
    let measured = objective.measuring(view.clone(), live.clone());
    let models = (view, Some(live));
    let held_out = HeldOut::new(&data.held_out, pack, measured, models, options.measuring(opening)?)?;
    let batches = RowBatches::new(&data.train, order, pack);
    let rows = data.train.len();
    let training = Training { params: &params, objective, batches, rows, fixed };
    let trained = training.run(opening, options, held_out, |held_out, step| held_out.look(step))?;
    let Some(trained) = trained else { return Ok(()) };
    let changes = judged.changes(trained.looks.as_ref())?;
    let answers_only = AnswersOnly::of(&data.train, &data.held_out, &opening.tokenizer)?;
    let without_prompts = (answers_only, data.findings.known_answers());
    trained.report(|run, looks| Report::new(run, looks, without_prompts, changes))
}

/// The rows of a micro-batch where a precomputed reference depends on them: KTO also scores each prompt with the
/// answer of its neighbour, so its micro-batches must be the same in every epoch.
fn rows_compared(
    opening: &Opening<'_>,
    options: &Options,
    method: &UnpairedMethod,
) -> anyhow::Result<Option<usize>> {
    if method.loss != UnpairedLoss::Kto || !options.dpo.precompute_ref_log_probs {
        return Ok(None);
    }
    anyhow::ensure!(
        opening.data.train_sampling_strategy == SamplingStrategy::Sequential,
        "precompute_ref_log_probs: kto compares neighbours within a micro-batch, which shuffling changes; give \
         `--train-sampling-strategy sequential`, or leave the reference live"
    );
    anyhow::ensure!(
        opening.config.max_tokens_per_micro_batch.is_none(),
        "precompute_ref_log_probs: kto compares neighbours within a micro-batch; give `per_device_train_batch_size` \
         instead of `max_tokens_per_micro_batch`"
    );
    Ok(Some(opening.config.per_device_train_batch_size))
}
