//! Reinforcement learning from a reward: a model, prompts and what scores answers in, an aligned model out.

mod method;
mod models;
mod options;
mod reward;
mod run;

use std::process::ExitCode;

use align_cli::{Invocation, Program};
use align_data::prepare_tasks;
use align_ppo::{Sampling, Supervisor};
use align_recipe::Opening;
use anyhow::ensure;
use models::Models;
use options::{FOR_EVALUATION, Options};
use reward::Rewards;
use run::OnPolicyRun;

const PROGRAM: Program = Program {
    name: "train-ppo",
    about: "Reinforcement learning from a reward: a model, prompts and what scores answers in, an aligned model out.",
    recipe: Some(include_str!("../recipe.toml")),
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, train)
}

fn train(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    let Options { common, output, rollout, supervisor, train, .. } = options;
    options.refuse_what_has_no_effect(invocation)?;
    let data = options.data();
    let mut opening =
        Opening::new(invocation, common, output, &data, train, rollout.method.default_learning_rate())?;
    let chosen = rollout.method.check(options, invocation)?;
    opening.defaulted.extend(chosen.defaulted(options));
    let supervised = chosen.supervised();
    let mut watch = Supervisor::new(supervisor.check(&supervised)?);
    opening.defaulted.extend(supervisor.defaulted(&supervised));
    if let Some(notice) = chosen.notice_of_cut() {
        tracing::warn!("{notice}");
    }
    let sampling = Sampling::new(options.generation()?, opening.eos_token_ids()?)?;

    // Data: prompts as token ids, each with room for an answer.
    let data = opening.rows(
        |dataset, eval_dataset, config, tokenizer| {
            prepare_tasks(dataset, eval_dataset, config, &rollout.reference_column, tokenizer)
        },
        FOR_EVALUATION,
    )?;
    let model = opening.model.decoder_config();
    let positions = model.max_positions;
    for row in data.train.iter().chain(&data.held_out) {
        let (length, most) = (row.tokens.len(), sampling.max_new_tokens());
        ensure!(
            length.saturating_add(most) <= positions,
            "{}: the prompt has {length} tokens; with `max_new_tokens` {most} that is more than the model's \
             max_position_embeddings {positions}; give `--max-prompt-length {}`",
            row.task.prompt.origin,
            positions.saturating_sub(most)
        );
        ensure!(
            !model.changes_between(length, length + most),
            "{}: the prompt has {length} tokens and `max_new_tokens` is {most}; between the two the model changes its rotary \
             frequencies (`rope_type`), so that an answer would be sampled under another function than it is learned \
             under; take shorter prompts and answers, or longer prompts",
            row.task.prompt.origin,
        );
    }
    let order = opening.order(data.train.iter().map(|row| row.tokens.len()).collect())?;
    if opening.inspected(&order, |row| opening.tokenizer.decode(&data.train[row].tokens, false))? {
        return Ok(());
    }

    // Models: the policy, its critic, what it is held to, and what scores its answers.
    let mut rewards = Rewards::open(&opening, &options.reward)?;
    let models = Models::open(&opening, options, &mut rewards, chosen.has_critic())?;
    let mut method = chosen.method(&models, &sampling, opening.session.seed)?;
    let scorer = rewards.scorer(options)?;

    // Training, and what changed.
    let run = OnPolicyRun {
        opening: &opening,
        options,
        data: &data,
        models: &models,
        rewards: &rewards,
        scorer: &scorer,
        sampling,
    };
    run.train(method.as_mut(), &mut watch)
}
