//! The on-policy loop: sample, score, learn, look, save, until the phases are done.
//!
//! What happens in a run stands in [`OnPolicy::train`], in order; a method and a watch are asked there and nowhere else. A phase depends on the weights,
//! the method's state and its own number alone: prompts and random streams are functions of the number, so a run that is
//! resumed, or rolled back, needs no other memory of what was sampled.
//!
//! Ranks go through it together. Each samples and scores its part of a phase, has the whole of it (see `shares`), and comes
//! to the same decisions.

mod sampled;
mod state;

use std::time::{Duration, Instant};

use align_data::{Order, TokenizedTask, Tokenizer};
use align_models::CausalLm;
use align_train::{Checkpoint, Error, LogEntry, Metrics, Outcome, Ranks, Result, Run, Updater};
use sampled::Sampled;
use state::{State, method_folder, restore, save};

use crate::completions::completion_metrics;
use crate::rollout::log_probs;
use crate::sample::SampleLog;
use crate::shares::{dealt, not_finite};
use crate::start::check_start;
use crate::{Action, Alarm, Learned, Method, Phase, Rollouter, Rollouts, Sample, Scorer, Watch};

/// The learning rates after going back, as a multiple of those before: the same again would end the same.
const AFTER_ROLL_BACK: f64 = 0.5;

/// The on-policy loop's ingredients: prompts, policy, reference and scorer.
pub struct OnPolicy<'a> {
    /// The prompts.
    pub tasks: &'a [TokenizedTask],
    /// The order of the prompts in every epoch.
    pub order: Order,
    /// The policy, over a view of its parameters.
    pub policy: CausalLm,
    /// The reference model: what the policy is held to; none if the method needs none.
    pub reference: Option<CausalLm>,
    /// Whether the reference is the model which the policy starts from.
    pub starts_as_its_reference: bool,
    /// The sampling temperature, by which logits are divided.
    pub temperature: f64,
    /// The tokenizer, which makes texts of token ids.
    pub tokenizer: &'a Tokenizer,
    /// The scorer of completions.
    pub scorer: &'a Scorer,
    /// Seed of what is sampled.
    pub seed: u64,
    /// The run's number of phases.
    pub phases: usize,
}

/// The ending of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// The outcome, as in other runs; a run that the watch stopped has stopped early.
    pub outcome: Outcome,
    /// Alarms of the watch over the run, in order, with the number of the phase.
    pub alarms: Vec<(usize, Alarm)>,
}

impl OnPolicy<'_> {
    /// Trains from the beginning or from where a checkpoint stands.
    ///
    /// # Errors
    /// What the method, the rollouter, the scorer and the models raise; a start that cannot be ([`check_start`]); an update that cannot be made because something is not finite,
    /// where the watch knows no way out; files that cannot be written.
    pub fn train(
        &self,
        method: &mut dyn Method,
        rollouter: &mut dyn Rollouter,
        watch: &mut dyn Watch,
        updater: &mut Updater,
        run: &mut Run<'_>,
    ) -> Result<Ending> {
        let (listening, ranks) = (run.stop().listen(), updater.ranks().clone());
        let mut state = restore(method, watch, updater, run)?;
        run.keep(state.last_good.as_deref());
        run.begin(updater, self.tasks.len().div_ceil(prompts_per_phase(method)))?;
        let opened = |output| SampleLog::open(output, run.resumed_from(), state.phase);
        let mut log = run.output().map(opened).transpose()?;
        if watch.may_roll_back() && state.last_good.is_none() {
            save(&mut state, method, watch, updater, run)?;
        }
        let (mut stopped, mut checked, mut noticed) = (false, false, false);
        while state.phase < self.phases && !stopped {
            let (began, before) = (Instant::now(), updater.step());
            rollouter.weights_changed(state.phase)?;
            let sampled = match self.sample(method, rollouter, state.phase, &ranks) {
                // A policy that computes nothing any more. One that never did is beyond the watch's help.
                Err(error) if updater.step() > 0 && not_finite(&error).is_some() => {
                    let alarms = way_out(watch, state.phase, error)?;
                    stopped = self.act(&alarms, &mut state, method, watch, updater, run)?;
                    (state.phase, state.healthy) = (state.phase + 1, false);
                    continue;
                }
                sampled => sampled?,
            };
            if let Some(notice) = sampled.notice().filter(|_| !noticed) {
                tracing::warn!("phase {}: {notice}", state.phase);
                noticed = true;
            }
            let Sampled { rollouts, scores, .. } = &sampled;
            let old_log_probs = self.old_log_probs(rollouter, rollouts, &ranks)?;
            let reference_log_probs = self.reference_log_probs(method, rollouts, &ranks)?;
            let scored = began.elapsed();
            let phase = Phase {
                number: state.phase,
                rollouts,
                tasks: self.tasks,
                scores: &scores.scores,
                old_log_probs: &old_log_probs,
                reference_log_probs: &reference_log_probs,
            };
            if !checked {
                let is_reference = self.starts_as_its_reference && run.resumed_from().is_none();
                let precision = self.policy.decoder().config().precision;
                check_start(method, &phase, self.temperature, precision, is_reference)?;
                checked = true;
            }
            let samples = self.samples(&phase, before)?;
            log.iter_mut().try_for_each(|log| log.add(&samples))?;
            let alarms = match method.learn(&phase, updater) {
                Ok(Learned { updates, mut metrics }) => {
                    metrics.merge(&scores.metrics());
                    metrics.merge(&completion_metrics(rollouts));
                    metrics.merge(&sampled.metrics());
                    metrics.merge(&costs(&sampled, scored, began.elapsed() - scored));
                    run.record_phase(&updates, &metrics, began.elapsed())?;
                    updates.iter().for_each(|update| metrics.merge(&update.metrics));
                    watch.observe(state.phase, &metrics, &samples)
                }
                Err(error @ Error::NotFinite { .. }) => way_out(watch, state.phase, error)?,
                Err(error) => return Err(error),
            };

            stopped = self.act(&alarms, &mut state, method, watch, updater, run)?;
            state.phase += 1;
            state.healthy = alarms.iter().all(|alarm| alarm.action == Action::Warn);
            let ends_run = state.phase == self.phases;
            let epoch = |phase: usize| phase * prompts_per_phase(method) / self.tasks.len();
            let ends_epoch = epoch(state.phase) > epoch(state.phase - 1);
            state.save_pending |= run.save_is_due(before, updater.step(), ends_epoch, ends_run);
            if let Some(reason) = listening.agreed(&ranks)? {
                let checkpoint = save(&mut state, method, watch, updater, run)?.path().to_owned();
                run.pause()?;
                let outcome = Outcome::Interrupted { reason, checkpoint };
                return Ok(Ending { outcome, alarms: state.alarms });
            }
            if state.healthy && state.save_pending {
                save(&mut state, method, watch, updater, run)?;
            }
        }
        if let (true, Some(last_good)) = (stopped, &state.last_good) {
            updater.load_weights(&Checkpoint::open(last_good)?)?;
            tracing::warn!("stopped; the model is that of {}", last_good.display());
        }
        run.finish()?;
        let outcome = if stopped { Outcome::StoppedEarly } else { Outcome::Completed };
        Ok(Ending { outcome, alarms: state.alarms })
    }

    /// The policy's log-probs before the phase's updates. They are not computed where it has sampled for itself: the recorded
    /// ones are those.
    fn old_log_probs(
        &self,
        rollouter: &dyn Rollouter,
        rollouts: &Rollouts,
        ranks: &Ranks,
    ) -> Result<Vec<Vec<f32>>> {
        if rollouter.is_policy() {
            return Ok(rollouts.completions.iter().map(|it| it.behaviour_log_probs.clone()).collect());
        }
        dealt(ranks, rollouts, |own, _| log_probs(&self.policy, own, self.temperature))
    }

    fn reference_log_probs(
        &self,
        method: &dyn Method,
        rollouts: &Rollouts,
        ranks: &Ranks,
    ) -> Result<Vec<Vec<f32>>> {
        match &self.reference {
            Some(reference) if method.needs_reference() => {
                dealt(ranks, rollouts, |own, _| log_probs(reference, own, self.temperature))
            }
            None if method.needs_reference() => Err(Error::stage("the method needs a reference model")),
            _ => Ok(Vec::new()),
        }
    }

    fn samples(&self, phase: &Phase<'_>, step: usize) -> Result<Vec<Sample>> {
        let completions = phase.rollouts.completions.iter().enumerate();
        let sample = |(number, completion): (usize, &crate::Rollout)| {
            let prompt = &phase.rollouts.prompt_of(number).tokens;
            Ok(Sample {
                phase: phase.number,
                step,
                origin: phase.origin(number),
                prompt: self.tokenizer.decode(prompt, false).map_err(Error::stage)?,
                completion: completion.text.clone(),
                score: Some(phase.scores[number]).filter(|score| score.is_finite()),
                tokens: completion.tokens.len(),
                finished: completion.finished,
            })
        };
        completions.map(sample).collect()
    }

    /// Carries out what the watch asks for. True if the run is to end.
    fn act(
        &self,
        alarms: &[Alarm],
        state: &mut State,
        method: &mut dyn Method,
        watch: &mut dyn Watch,
        updater: &mut Updater,
        run: &mut Run<'_>,
    ) -> Result<bool> {
        if alarms.iter().any(|alarm| alarm.action == Action::RollBack) {
            let Some(last_good) = &state.last_good else {
                return Err(Error::stage("asked to go back, but there is no checkpoint to go back to"));
            };
            let checkpoint = Checkpoint::open(last_good)?;
            updater.roll_back(&checkpoint)?;
            method.restore_state(&method_folder(&checkpoint)?)?;
            updater.set_learning_rate_scale(updater.learning_rate_scale() * AFTER_ROLL_BACK);
            watch.rolled_back();
            tracing::warn!("went back to {}, at half the learning rate", last_good.display());
        }
        for alarm in alarms {
            tracing::warn!("phase {}: {}: {} ({})", state.phase, alarm.rule, alarm.reason, alarm.action);
            run.record_event(entry(state.phase, alarm))?;
            state.alarms.push((state.phase, alarm.clone()));
            match alarm.action {
                Action::RaiseKl { factor } => method.raise_kl(factor),
                Action::LowerLearningRate { factor } => {
                    updater.set_learning_rate_scale(updater.learning_rate_scale() * factor);
                }
                Action::Warn | Action::RollBack | Action::Stop => {}
            }
        }
        Ok(alarms.iter().any(|alarm| alarm.action == Action::Stop))
    }
}

/// What the watch does about something that is not finite.
///
/// # Errors
/// `error`, where it knows no way out.
fn way_out(watch: &mut dyn Watch, phase: usize, error: Error) -> Result<Vec<Alarm>> {
    let alarms = watch.not_finite(phase, &error.to_string());
    let leads_out = |alarm: &Alarm| matches!(alarm.action, Action::RollBack | Action::Stop);
    if alarms.iter().any(leads_out) { Ok(alarms) } else { Err(error) }
}

/// Prompts of a phase.
fn prompts_per_phase(method: &dyn Method) -> usize {
    (method.completions_per_phase() / method.num_generations()).max(1)
}

/// Rows `first..first + count` of an endless sequence of epochs.
fn rows(order: Order, rows: usize, first: usize, count: usize) -> Vec<usize> {
    let mut found = Vec::new();
    while found.len() < count {
        let (epoch, place) = ((first + found.len()) / rows, (first + found.len()) % rows);
        let rest = count - found.len();
        found.extend(order.epoch(rows, epoch).into_iter().skip(place).take(rest));
    }
    found
}

/// What the phase cost: seconds of sampling, of scoring (reference included) and of learning. `scored` is what it took
/// until learning began.
fn costs(sampled: &Sampled, scored: Duration, learning: Duration) -> Metrics {
    let Sampled { rollouts, generation, generated_tokens, .. } = sampled;
    let mut metrics = Metrics::default();
    metrics.mean("time/generation", generation.as_secs_f64(), 1.0);
    metrics.mean("time/scoring", (scored - *generation).as_secs_f64(), 1.0);
    metrics.mean("time/update", learning.as_secs_f64(), 1.0);
    metrics.mean("time/generated_tokens_per_second", *generated_tokens as f64, generation.as_secs_f64());
    metrics.total("num_tokens", rollouts.num_tokens() as f64);
    metrics.total("episode", rollouts.completions.len() as f64);
    metrics
}

/// An action in the log.
fn entry(phase: usize, alarm: &Alarm) -> LogEntry {
    let mut entry = LogEntry::new();
    entry.insert("supervisor/phase".to_owned(), phase.into());
    entry.insert("supervisor/rule".to_owned(), alarm.rule.clone().into());
    entry.insert("supervisor/action".to_owned(), alarm.action.to_string().into());
    entry.insert("supervisor/reason".to_owned(), alarm.reason.clone().into());
    entry
}

#[cfg(test)]
mod tests {
    use align_data::SamplingStrategy;

    use super::*;

    #[test]
    fn phases_go_through_all_rows_epoch_after_epoch() {
        let order = Order { strategy: SamplingStrategy::Random, seed: 3 };
        let first: Vec<usize> = (0..5).flat_map(|phase| rows(order, 5, phase * 2, 2)).collect();
        let expected = [order.epoch(5, 0), order.epoch(5, 1)].concat();
        assert_eq!(first, expected);
        assert_eq!(rows(order, 5, 3, 9).len(), 9);
    }
}
