//! Reward models: a model and ranked answers in, a scalar judge and how far to trust it out.

mod model;
mod options;
mod saved;

use std::process::ExitCode;

use align_cli::{Invocation, Program};
use align_data::{MaskStyle, inspect_ranking, prepare_rankings};
use align_recipe::{Fixed, Opening, Training};
use align_reward::{
    DEFAULT_LEARNING_RATE, HeldOut, NORMALIZED_ON, Quality, Ranked, Report, RewardNormalization, check_rows,
};
use align_stage::RowBatches;
use model::Models;
use options::{FOR_EVALUATION, Options};

const PROGRAM: Program = Program {
    name: "train-reward",
    about: "Reward models: a model and ranked answers in, a scalar judge and how far to trust it out.",
    recipe: Some(include_str!("../recipe.toml")),
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, train)
}

fn train(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    let Options { common, output, data, reward, train } = options;
    let mut opening = Opening::new(invocation, common, output, data, train, DEFAULT_LEARNING_RATE)?;
    let (method, head) = (reward.method()?, reward.head()?);
    options.refuse_what_a_frozen_backbone_ignores(invocation)?;

    // Data: prompts and their answers, the best first, as token ids.
    let mut data = opening.rows(
        |dataset, eval_dataset, config, tokenizer| {
            prepare_rankings(dataset, eval_dataset, config, &reward.source_column, tokenizer)
        },
        if reward.overfit_pairs.is_some() { &[] } else { FOR_EVALUATION },
    )?;
    if let Some(rows) = reward.overfit_pairs {
        data.train.truncate(rows);
        data.held_out.clone_from(&data.train);
    }
    check_rows(reward, &data.train)?;
    if data.held_out.iter().all(|row| row.source.is_none()) {
        opening.refuse_given(&["source_column"], "no held-out row has such a column")?;
    }
    let lengths = data.train.iter().map(|row| row.answers.token_count());
    let order = opening.order(lengths.collect())?;
    let show = |row: usize| inspect_ranking(&data.train[row], &opening.tokenizer, MaskStyle::of_stdout());
    if opening.inspected(&order, show)? {
        return Ok(());
    }

    // Model: a backbone, trainable or not, under a trainable head; and a view of them to measure with.
    let models = Models::open(&mut opening, head, reward.freeze_backbone)?;
    let pack = models.pack(&data.train);
    let objective = Ranked::new(models.trained(&data.train)?, method);
    objective.check_start(&pack(&data.train, &order.clone().next_batch().unwrap_or_default()))?;
    let view = || Ok::<_, anyhow::Error>(Ranked::new(models.view(&data.held_out)?, method));
    let batch_size = opening.config.per_device_eval_batch_size;
    let held_out = HeldOut::new(&data.held_out, models.pack(&data.held_out), view()?, batch_size);

    // Training, and what became of it.
    opening.announce(RewardNormalization::FILE)?;
    let batches = RowBatches::new(&data.train, order, pack);
    let (params, rows) = (models.params(), data.train.len());
    let fixed = Fixed { rows: &data.fingerprint, models: models.frozen()?.into_iter().collect() };
    let training = Training { params, objective, batches, rows, fixed };
    let trained = training.run(&opening, options, held_out, |held_out, _step| held_out.judge())?;
    let Some(trained) = trained else { return Ok(()) };
    let saved = saved::verified(&opening, &models, method, &data.train)?;
    let (before, after) = trained.looks.as_ref().map(|(before, after)| (&before[..], &after[..])).unzip();
    let quality = |judged| Quality::new(judged, &data.train, &opening.tokenizer, opening.session.seed);
    let quality = after.map(quality).transpose()?;
    let accuracy_before = before.map(align_reward::accuracy);
    let overfit = reward.overfit_pairs.and(after).map(align_reward::Overfit::of);
    let failed = overfit.filter(|overfit| !overfit.passed);
    // Rows to be learned by heart are not held out.
    let known_answers = data.findings.known_answers().filter(|_| reward.overfit_pairs.is_none());
    trained.report(|run, _| Report {
        run,
        known_answers,
        accuracy_before,
        quality,
        normalization: saved.normalization,
        normalized_on: NORMALIZED_ON,
        reload_difference: saved.difference,
        overfit,
    })?;
    match failed {
        None => Ok(()),
        Some(overfit) => anyhow::bail!(
            "overfit_pairs: {overfit}; train longer or with a larger learning rate, and \
            suspect the data's answers or the head if that does not help"
        ),
    }
}
