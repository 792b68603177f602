//! Reinforcement learning as a whole: a model, prompts and what scores answers in, an aligned model on disk out.

mod encoder;
mod memory;
mod method;
mod models;
mod options;
mod reward;
mod run;

use align_data::{Dataset, PromptTask, Records, SamplingStrategy, open_tasks, prepare_tasks};
use align_reward::Reward;
use align_stage::{Host, Opening, Result, Trained, check_judge, ensure, given};

use crate::{Report, Sampling, Supervisor};
use models::Models;
use options::FOR_EVALUATION;
use reward::Rewards;
use run::OnPolicyRun;

pub use method::MethodName;
pub use options::{Job, RolloutOptions};
pub use reward::RewardOptions;

/// Parts of a caller's own, in the place of what options name.
#[derive(Default)]
pub struct Parts {
    /// The prompts, with right answers where a reward compares with them, in the place of data sets.
    pub tasks: Option<Records<PromptTask>>,
    /// Rewards with their weights, beside those that options name.
    pub rewards: Vec<(f64, Box<dyn Reward>)>,
    /// A judge of held-out answers by its name, whom no training asks.
    pub judge: Option<(String, Box<dyn Reward>)>,
}

/// Trains, and saves the model with its report, in which a judge, if there is one, compares held-out answers before and after.
/// None if `host` only looks, and on ranks that are not the first.
///
/// # Errors
/// Options, data or models that are wrong, before anything is written; an update that is not finite; a run that the
/// supervisor stopped; files that cannot be written; somebody who asked to stop.
pub fn train(job: &Job, host: &Host<'_>, parts: Parts) -> Result<Option<Trained<Report>>> {
    let Parts { tasks, rewards: own_rewards, judge } = parts;
    let given = given(host, job)?;
    job.refuse_what_has_no_effect(&given)?;
    let mut opening = Opening::with(given, host, job, job.rollout.method.default_learning_rate())?;
    let chosen = job.rollout.method.check(job, &opening.given, host.ranks.size())?;
    if job.lora.use_peft {
        let because =
            "answers are sampled without dropout, and learned by the ratio to what they were sampled with";
        opening.given.refuse(&["lora_dropout"], because)?;
    }
    opening.defaults(chosen.defaulted(job));
    let supervised = chosen.supervised();
    let mut watch = Supervisor::new(job.supervisor.check(&supervised)?);
    opening.defaults(job.supervisor.defaulted(&supervised));
    if let Some(notice) = chosen.notice_of_cut() {
        tracing::warn!("{notice}");
    }
    let sampling = Sampling::new(job.generation()?, opening.eos_token_ids()?)?;

    // Data: prompts as token ids, each with room for an answer.
    let open = |dataset: &Dataset, split: &str| open_tasks(dataset, split, &job.rollout.reference_column);
    let records = opening.records(tasks, open)?;
    let mut data = prepare_tasks(&records, &opening.tokenizer, &opening.data.tokenize)?;
    drop(records);
    opening.check_rows(&data, FOR_EVALUATION)?;
    let tasks = std::mem::take(&mut data.train).into_vec()?;
    check_judge(judge.is_some(), data.held_out.len())?;
    let model = opening.model.decoder_config();
    let positions = model.max_positions;
    for row in tasks.iter().chain(&data.held_out) {
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
    ensure!(
        opening.data.train_sampling_strategy != SamplingStrategy::GroupByLength,
        "`train_sampling_strategy`: group_by_length has no effect on prompts, which are answered by themselves; remove it"
    );
    opening.plan_memory(&job.memory_needs(
        &opening,
        (chosen.has_critic(), sampling.max_new_tokens()),
        (&tasks, &data.held_out),
    )?)?;
    let order = opening.order(tasks.iter().map(|row| row.tokens.len()).collect())?;
    if opening.looked(&order, |row, _| opening.tokenizer.decode(&tasks[row].tokens, false))? {
        return Ok(None);
    }

    // Models: the policy, its critic, what it is held to, and what scores its answers.
    let mut rewards = Rewards::open(&opening, job, !own_rewards.is_empty())?;
    let models = Models::open(&opening, job, &mut rewards, chosen.has_critic())?;
    let mut method = chosen.method(&models, &sampling, opening.place.seed)?;
    let has_own_rewards = !own_rewards.is_empty();
    let sample = tasks.first().map(|row| &row.task);
    let scorer = rewards.scorer(job, own_rewards, host, sample)?;

    // Training, and what changed.
    let run = OnPolicyRun {
        opening: &opening,
        job,
        data: &data,
        tasks: &tasks,
        models: &models,
        rewards: &rewards,
        scorer: &scorer,
        has_own_rewards,
        sampling,
    };
    run.train(method.as_mut(), &mut watch, judge)
}
