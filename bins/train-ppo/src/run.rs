//! From a method to a trained model on disk: how long the run is, the run itself, what held-out prompts say before and
//! after it, the report.

use std::path::Path;

use align_data::{Order, Prepared, TokenizedTask};
use align_models::generation::check_completions;
use align_ppo::{
    Action, Alarm, HeldOut, Method, OnPolicy, Report, SAMPLES_FILE, Sampling, ScoreSource, Scorer, Watch,
};
use align_recipe::{Fixed, Opening, publish, start, unresumable};
use align_stage::RunFigures;
use align_train::{Length, Outcome};
use anyhow::{Context as _, bail, ensure};

use crate::models::Models;
use crate::options::Options;
use crate::reward::Rewards;

/// What the answers to held-out prompts are sampled with, beside the run's seed.
const HELD_OUT_STREAM: u64 = 0x5eed;

/// What the report calls the judge of the fixtures' world.
const JUDGE: &str = "world judge";

/// Everything that a run has beside its method.
pub(crate) struct OnPolicyRun<'a> {
    pub(crate) opening: &'a Opening<'a>,
    pub(crate) options: &'a Options,
    pub(crate) data: &'a Prepared<TokenizedTask>,
    pub(crate) models: &'a Models,
    pub(crate) rewards: &'a Rewards,
    pub(crate) scorer: &'a Scorer,
    pub(crate) sampling: Sampling,
}

impl OnPolicyRun<'_> {
    /// Trains from the beginning or from where a checkpoint stands, and saves the model and the report.
    pub(crate) fn train(&self, method: &mut dyn Method, watch: &mut dyn Watch) -> anyhow::Result<()> {
        let Self { opening, options, data, models, scorer, sampling, .. } = self;
        let seed = opening.session.seed;
        if !options.reward.compares() {
            opening.refuse_given(&["reference_column"], "no reward function compares with a right answer")?;
        } else {
            let lacking = data.train.iter().chain(&data.held_out).find(|row| row.task.reference.is_none());
            if let Some(row) = lacking {
                let (origin, column) = (&row.task.prompt.origin, &options.rollout.reference_column);
                bail!(
                    "{origin}: a reward function compares with the right answer, and the row has no `{column}`"
                );
            }
        }
        if !method.needs_reference() && data.held_out.is_empty() {
            let because =
                "nothing is held to it, and there are no held-out prompts to measure the KL from it on";
            opening.refuse_given(&["ref_model"], because)?;
        }
        let phases = self.phases(method)?;
        let asked = &data.held_out[..data.held_out.len().min(options.rollout.num_eval_prompts)];
        check_completions(asked.len(), options.rollout.num_generations_eval)
            .context("`num_generations_eval`, for held-out prompts")?;
        let prompts = asked.iter().map(|row| &row.task.prompt);
        let judge = options.judge.judge(prompts.map(|row| (&row.prompt, &row.origin)))?;
        let total_steps = phases.saturating_mul(method.updates_per_phase());
        if let Length::Steps(steps) = opening.config.length
            && options.rollout.total_episodes.is_none()
            && steps < total_steps
        {
            let updates = method.updates_per_phase();
            tracing::warn!(
                "max_steps {steps}: a phase has {updates} updates, so that {total_steps} are made"
            );
        }
        let save = |dir: &Path| models.save(&opening.model, dir);
        let models_held = self.rewards.hashes()?.into_iter().chain([models.reference_hash()]).collect();
        let fixed = Fixed { rows: &data.fingerprint, models: models_held };
        opening.announce(SAMPLES_FILE)?;
        let started = start(opening, models.params(), total_steps, options, &fixed, save)?;
        let Some((mut updater, mut run)) = started else { return Ok(()) };

        let held_out = HeldOut {
            tasks: asked,
            policy: models.view()?,
            reference: Some(models.reference()),
            sampling: sampling.clone(),
            num_generations: options.rollout.num_generations_eval,
            tokenizer: &opening.tokenizer,
            scorer,
            judge: judge.map(|judge| (JUDGE.to_owned(), ScoreSource::Texts(Box::new(judge)))),
            seed: seed ^ HELD_OUT_STREAM,
        };
        let look = || if asked.is_empty() { Ok(None) } else { held_out.look().map(Some) };
        let before = look()?;
        let on_policy = OnPolicy {
            tasks: &data.train,
            order: Order { strategy: opening.data.train_sampling_strategy, seed },
            policy: models.view()?,
            reference: Some(models.reference()),
            starts_as_its_reference: options.rollout.ref_model.is_none(),
            sampling: sampling.clone(),
            tokenizer: &opening.tokenizer,
            scorer,
            seed,
            phases,
        };
        let ending = on_policy.train(method, watch, &mut updater, &mut run).map_err(unresumable)?;
        if let Outcome::Interrupted { signal, checkpoint } = &ending.outcome {
            let go_on = format!("go on with --resume-from-checkpoint {}", checkpoint.display());
            return Err(align_cli::interrupted(*signal, go_on));
        }
        models.save_policy(&opening.model, run.output_dir())?;
        let looks = before.zip(look()?);
        let memory = align_cli::peak_memory_mb();
        let figures =
            RunFigures::new(opening.session.stage(), &ending.outcome, &run, data.train.len(), memory);
        let report = Report::new(figures, method.name(), looks.as_ref(), &ending.alarms, run.state(), seed);
        publish(run.output_dir(), &report)?;
        let of_last_phase = |(phase, alarm): &&(usize, Alarm)| match alarm.action {
            Action::Stop => true,
            Action::RollBack => phase + 1 == phases,
            _ => false,
        };
        if let Some((phase, alarm)) = ending.alarms.iter().rfind(of_last_phase) {
            let what = if alarm.action == Action::Stop { "stopped the run in" } else { "took back the last" };
            bail!("the supervisor {what} phase {phase}: {}: {}", alarm.rule, alarm.reason)
        }
        ensure!(
            run.state().global_step > 0,
            "no update was made: no phase had completions to learn from, by their scores or by how they ended"
        );
        Ok(())
    }

    /// How many times completions are sampled.
    fn phases(&self, method: &dyn Method) -> anyhow::Result<usize> {
        let (completions, group) = (method.completions_per_phase(), method.num_generations());
        ensure!(
            completions.is_multiple_of(group),
            "a phase has {completions} completions (per_device_train_batch_size times the micro-batches sampled \
             together), which is no multiple of `num_generations` = {group}"
        );
        if let Some(episodes) = self.options.rollout.total_episodes {
            return Ok(episodes.div_ceil(completions));
        }
        Ok(match self.opening.config.length {
            Length::Steps(steps) => steps.div_ceil(method.updates_per_phase()),
            Length::Epochs(epochs) => {
                let rows = epochs * self.data.train.len() as f64;
                ((rows / (completions / group) as f64).ceil() as usize).max(1)
            }
        })
    }
}
