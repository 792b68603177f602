//! Training on preference pairs: prompts with a chosen and a rejected answer.

use align_data::{MaskStyle, TokenizedPair, inspect_pair, prepare_pairs, prepare_pairs_with_reference};
use align_dpo::{HeldOut, Labels, PairMethod, Preference, Report, Scoring as _};
use align_kernels::Params;
use align_models::{CausalLm, Reference};
use align_recipe::{Fixed, Opening, Training};
use align_stage::{AnswersOnly, RowBatches};

use crate::judged::JudgedTexts;
use crate::options::{FOR_EVALUATION, Options};
use crate::reference::RunReference;

pub(crate) fn train(opening: &Opening<'_>, options: &Options, method: &PairMethod) -> anyhow::Result<()> {
    // Data: prompts and answers as token ids.
    let has_gold = matches!(method.likelihood, Some((Labels::Gold, _)));
    let prepare = if has_gold { prepare_pairs_with_reference } else { prepare_pairs };
    let data = opening.rows(prepare, FOR_EVALUATION)?;
    let prompts = data.held_out.iter().map(|row| (&data.held_out_prompts[row.row], &row.origin));
    let judged = JudgedTexts::new(&options.judge, prompts.collect())?;
    let order = opening.order(data.train.iter().map(TokenizedPair::token_count).collect())?;
    let show = |row: usize| inspect_pair(&data.train[row], &opening.tokenizer, MaskStyle::of_stdout());
    if opening.inspected(&order, show)? {
        return Ok(());
    }

    // Models: the policy, what it is held to, and views of both to measure with.
    let weights = opening.model.load(&opening.session.device)?;
    let params = Params::tracked(&weights)?;
    let lm = |params: &Params| CausalLm::new(opening.model.decoder_config(), params);
    let pack = |rows: &[_], indices: &[usize]| method.pack(rows, indices);
    let (mut compared, mut moving, mut live, mut hash) = (None, None, None, None);
    if method.needs_reference() {
        let reference = RunReference::open(opening, &options.dpo, &params, weights)?;
        compared = Some(reference.compared(opening, &options.dpo, method, &data.train, None)?);
        hash = Some(reference.hash()?);
        (moving, live) = (reference.moving, Some(reference.model));
    } else {
        drop(weights);
        opening.refuse_given(&["num_kl_prompts"], "the method has no reference to measure the KL from")?;
    }
    let policy = lm(&params)?.with_gradient_checkpointing(opening.config.gradient_checkpointing);
    let objective = Preference::new(policy, compared, method.clone()).with_moving_reference(moving);
    let mut first = order.clone().next_batch().unwrap_or_default();
    first.truncate(2); // The check costs a forward pass; losses that compare rows need two.
    objective.check_start(&pack(&data.train, &first), options.dpo.ref_model.is_none())?;

    // Training, and what changed.
    let view = lm(&params.view())?;
    let frozen = live.clone().map(|model| Reference::Live(Box::new(model)));
    let measured = Preference::new(view.clone(), frozen, method.clone());
    let held_out = HeldOut::new(&data.held_out, pack, measured, (view, live), options.measuring(opening)?)?;
    let batches = RowBatches::new(&data.train, order, pack);
    let rows = data.train.len();
    let fixed = Fixed { rows: &data.fingerprint, models: hash.into_iter().collect() };
    let training = Training { params: &params, objective, batches, rows, fixed };
    let trained = training.run(opening, options, held_out, |held_out, step| held_out.look(step))?;
    let Some(trained) = trained else { return Ok(()) };
    let changes = judged.changes(trained.looks.as_ref())?;
    let answers_only = AnswersOnly::of(&data.train, &data.held_out, &opening.tokenizer)?;
    let without_prompts = (answers_only, data.findings.known_answers());
    trained.report(|run, looks| Report::new(run, looks, without_prompts, changes))
}
