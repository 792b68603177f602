//! From a method to a trained model on disk: how long the run is, the run itself, what held-out prompts say before and
//! after it, the report.

use std::path::Path;

use align_data::{Order, Prepared, TokenizedTask};
use align_models::generation::check_completions;
use align_reward::Reward;
use align_stage::{
    Error, Fixed, Opening, Result, RunFigures, Trained, ensure, publish, start, told, went_on,
};
use align_train::{Length, LogEntry};

use super::Job;
use super::models::Models;
use super::reward::Rewards;
use crate::{
    Action, Alarm, HeldOut, LocalRollouter, Method, OnPolicy, Report, SAMPLES_FILE, Sampling, ScoreSource,
    Scorer, Watch,
};

/// What the answers to held-out prompts are sampled with, beside the run's seed.
const HELD_OUT_STREAM: u64 = 0x5eed;

/// Everything that a run has beside its method.
pub(super) struct OnPolicyRun<'a> {
    pub(super) opening: &'a Opening<'a>,
    pub(super) job: &'a Job,
    pub(super) data: &'a Prepared<TokenizedTask>,
    /// The rows to train on, which are taken out of the data.
    pub(super) tasks: &'a [TokenizedTask],
    pub(super) models: &'a Models,
    pub(super) rewards: &'a Rewards,
    pub(super) scorer: &'a Scorer,
    pub(super) has_own_rewards: bool,
    pub(super) sampling: Sampling,
}

impl OnPolicyRun<'_> {
    /// Trains from the beginning or from where a checkpoint stands, and saves the model and the report. None on ranks that are
    /// not the first.
    pub(super) fn train(
        &self,
        method: &mut dyn Method,
        watch: &mut dyn Watch,
        judge: Option<(String, Box<dyn Reward>)>,
    ) -> Result<Option<Trained<Report>>> {
        let Self { opening, job, data, models, scorer, sampling, .. } = self;
        let seed = opening.place.seed;
        self.check_right_answers()?;
        if !method.needs_reference() && data.held_out.is_empty() {
            let because =
                "nothing is held to it, and there are no held-out prompts to measure the KL from it on";
            opening.given.refuse(&["ref_model"], because)?;
        }
        let phases = self.phases(method)?;
        let asked = &data.held_out[..data.held_out.len().min(job.rollout.num_eval_prompts)];
        check_completions(asked.len(), job.rollout.num_generations_eval).map_err(|error| {
            Error::option("num_generations_eval", format!("for held-out prompts: {error}"))
        })?;
        if let Some((_, judge)) = &judge {
            for row in asked {
                judge.knows(&row.task.prompt.prompt, &row.task.prompt.origin).map_err(Error::method)?;
            }
        }
        let total_steps = phases.saturating_mul(method.updates_per_phase());
        if let Length::Steps(steps) = opening.config.length
            && job.rollout.total_episodes.is_none()
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
        let on_log = |entry: &LogEntry| told(opening, entry);
        let started = start(opening, models.params(), total_steps, &fixed, save, &on_log)?;
        let Some((mut updater, mut run)) = started else {
            opening.predict_exchange(models.params())?;
            return Ok(None);
        };

        let held_out = HeldOut {
            tasks: asked,
            policy: models.view()?,
            reference: Some(models.reference()),
            sampling: sampling.clone(),
            num_generations: job.rollout.num_generations_eval,
            tokenizer: &opening.tokenizer,
            scorer,
            judge: judge.map(|(name, judge)| (name, ScoreSource::Texts(judge))),
            seed: seed ^ HELD_OUT_STREAM,
        };
        let ranks = updater.ranks().clone();
        let look = || if asked.is_empty() { Ok(None) } else { held_out.look(&ranks).map(Some) };
        let before = look()?;
        let on_policy = OnPolicy {
            tasks: self.tasks,
            order: Order { strategy: opening.data.train_sampling_strategy, seed },
            policy: models.view()?,
            reference: Some(models.reference()),
            starts_as_its_reference: job.rollout.ref_model.is_none(),
            temperature: sampling.temperature(),
            tokenizer: &opening.tokenizer,
            scorer,
            seed,
            phases,
        };
        let (policy, sampling, tokenizer) = (models.view()?, sampling.clone(), &opening.tokenizer);
        let mut rollouter = LocalRollouter { policy, sampling, tokenizer };
        let ending = on_policy.train(method, &mut rollouter, watch, &mut updater, &mut run)?;
        let outcome = went_on(ending.outcome)?;
        if ranks.leads() {
            opening.save_trained(models.policy_params(), run.output_dir())?;
        }
        let looks = before.zip(look()?);
        if !ranks.leads() {
            return Ok(None);
        }
        let figures = RunFigures::new(opening, &outcome, &run, self.tasks.len());
        let report = Report::new(figures, method.name(), looks.as_ref(), &ending.alarms, run.state(), seed);
        let trained = publish(opening.host, run.output_dir().to_owned(), report)?;
        let of_last_phase = |(phase, alarm): &&(usize, Alarm)| match alarm.action {
            Action::Stop => true,
            Action::RollBack => phase + 1 == phases,
            _ => false,
        };
        if let Some((phase, alarm)) = ending.alarms.iter().rfind(of_last_phase) {
            let what = if alarm.action == Action::Stop { "stopped the run in" } else { "took back the last" };
            let problem = format!("the supervisor {what} phase {phase}: {}: {}", alarm.rule, alarm.reason);
            return Err(Error::Outcome(problem));
        }
        if run.state().global_step == 0 {
            let problem = "no update was made: no phase had completions to learn from, by their scores or by how they ended";
            return Err(Error::Outcome(problem.to_owned()));
        }
        Ok(Some(trained))
    }

    /// Refuses rows without a right answer where a reward compares with it, and the column's name where none does.
    fn check_right_answers(&self) -> Result<()> {
        let Self { opening, job, data, .. } = self;
        // A program or server is sent what there is, and what the column has if it is named.
        let is_sent = job.outside.count() > 0;
        let why = match job.reward.compares() {
            true => "a reward function compares with the right answer",
            false if is_sent && opening.given.has("reference_column") => "`reference_column` is named",
            false if is_sent || self.has_own_rewards => return Ok(()),
            false => {
                let because = "no reward function compares with a right answer";
                return opening.given.refuse(&["reference_column"], because);
            }
        };
        let lacking = self.tasks.iter().chain(&data.held_out).find(|row| row.task.reference.is_none());
        lacking.map_or(Ok(()), |row| {
            let (origin, column) = (&row.task.prompt.origin, &job.rollout.reference_column);
            Err(Error::Inputs(format!("{origin}: {why}, and the row has no `{column}`")))
        })
    }

    /// How many times completions are sampled.
    fn phases(&self, method: &dyn Method) -> Result<usize> {
        let (completions, group) = (method.completions_per_phase(), method.num_generations());
        ensure!(
            completions.is_multiple_of(group),
            "a phase has {completions} completions (per_device_train_batch_size times the micro-batches sampled \
             together, on all ranks), which is no multiple of `num_generations` = {group}"
        );
        if let Some(episodes) = self.job.rollout.total_episodes {
            return Ok(episodes.div_ceil(completions));
        }
        Ok(match self.opening.config.length {
            Length::Steps(steps) => steps.div_ceil(method.updates_per_phase()),
            Length::Epochs(epochs) => {
                let rows = epochs * self.tasks.len() as f64;
                ((rows / (completions / group) as f64).ceil() as usize).max(1)
            }
        })
    }
}
