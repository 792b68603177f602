//! The completions of a phase with their scores, and other prompts in the place of those that teach nothing.
//!
//! Dynamic sampling (DAPO, arXiv:2503.14476, section 3.2): a prompt whose completions all score the same has an advantage
//! of 0 for each and only thins the update out. Such prompts are replaced by others, sampled by the same weights, until
//! every prompt of the phase teaches something or it has been tried as often as the method allows; what is left then is
//! trained on as it is. The paper samples more prompts than it needs from the front of its queue; here the replacements
//! are drawn at random, from a stream that is a function of the phase's number like everything else of a phase, so that a
//! resumed run draws the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use align_data::{Order, SamplingStrategy};
use align_train::{Metrics, Ranks, Result};

use super::{OnPolicy, prompts_per_phase, rows};
use crate::shares::answered;
use crate::{Method, Prompt, Rollouter, Rollouts, Scores};

/// Sets the replacements' order apart from that of the epochs.
const REPLACEMENTS: u64 = 0xda70;

/// What a phase learns from, and what it took to get it.
pub(super) struct Sampled {
    pub(super) rollouts: Rollouts,
    pub(super) scores: Scores,
    /// Time spent generating, of all that was generated.
    pub(super) generation: Duration,
    /// Tokens generated, those that were replaced included.
    pub(super) generated_tokens: usize,
    /// Times that prompts were sampled; prompts that were given up.
    dynamic: Option<(usize, usize)>,
}

impl Sampled {
    /// What a person should know of rewards that are all the same, or the same for all completions of each prompt: the
    /// method learns from differences.
    pub(super) fn notice(&self) -> Option<String> {
        notice_of_equal(&self.scores.scores, self.rollouts.num_generations)
    }

    /// How often prompts were sampled and how many were replaced, where the method has dynamic sampling.
    pub(super) fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        if let Some((batches, replaced)) = self.dynamic {
            metrics.mean("dynamic_sampling/num_gen_batches", batches as f64, 1.0);
            metrics.mean("dynamic_sampling/replaced_prompts", replaced as f64, 1.0);
        }
        metrics
    }
}

impl OnPolicy<'_> {
    /// The completions of phase number `phase`, scored.
    pub(super) fn sample(
        &self,
        method: &dyn Method,
        rollouter: &mut dyn Rollouter,
        phase: usize,
        ranks: &Ranks,
    ) -> Result<Sampled> {
        let (began, count) = (Instant::now(), prompts_per_phase(method));
        let (most, generations) = (method.max_num_gen_batches(), method.num_generations());
        let first = rows(self.order, self.tasks.len(), phase * count, count);
        let mut rollouts = |rows: Vec<usize>, batch| {
            answered(ranks, rollouter, self.prompts(rows), generations, self.seed_of(phase, batch))
        };
        let first = rollouts(first, 0)?;
        let generation = began.elapsed();
        let scores = self.scorer.score(&first, self.tasks, ranks)?;
        let generated_tokens = first.completion_tokens();
        let dynamic = (most > 1).then_some((1, 0));
        let mut sampled = Sampled { rollouts: first, scores, generation, generated_tokens, dynamic };
        for batch in 1..most {
            let idle = without_difference(&sampled.scores.scores, generations);
            let instead = self.replacements(&sampled.rollouts, idle.len(), phase * most + batch);
            if instead.is_empty() {
                break;
            }
            let began = Instant::now();
            let others = rollouts(instead, batch)?;
            sampled.generation += began.elapsed();
            sampled.generated_tokens += others.completion_tokens();
            let scores = self.scorer.score(&others, self.tasks, ranks)?;
            let found = without_difference(&scores.scores, generations);
            let useful = (0..others.prompts.len()).filter(|group| !found.contains(group));
            let mut replaced = 0;
            for (old, new) in idle.into_iter().zip(useful) {
                sampled.rollouts.replace_group(old, &others, new);
                sampled.scores.replace_group(old, &scores, new, generations);
                replaced += 1;
            }
            sampled.dynamic = sampled.dynamic.map(|(batches, before)| (batches + 1, before + replaced));
        }
        Ok(sampled)
    }

    fn prompts(&self, rows: Vec<usize>) -> Vec<Prompt> {
        let prompt = |row: usize| Prompt { row, tokens: Arc::from(self.tasks[row].tokens.as_slice()) };
        rows.into_iter().map(prompt).collect()
    }

    /// What a phase's completions are sampled with; `batch` tells the draws of one phase apart.
    fn seed_of(&self, phase: usize, batch: usize) -> u64 {
        let seed = self.seed.wrapping_add((phase as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        seed.wrapping_add((batch as u64).wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    /// Up to `count` rows that the phase has not asked, by draw number `draw`.
    fn replacements(&self, asked: &Rollouts, count: usize, draw: usize) -> Vec<usize> {
        let asked: BTreeSet<usize> = asked.prompts.iter().map(|prompt| prompt.row).collect();
        let order = Order { strategy: SamplingStrategy::Random, seed: self.order.seed ^ REPLACEMENTS };
        let rows = order.epoch(self.tasks.len(), draw).into_iter();
        rows.filter(|row| !asked.contains(row)).take(count).collect()
    }
}

/// The numbers of the groups whose completions all score the same; what has no score does not count.
fn without_difference(scores: &[f64], generations: usize) -> Vec<usize> {
    let same = |group: &[f64]| {
        let mut scored = group.iter().filter(|score| !score.is_nan());
        scored.next().is_none_or(|first| scored.all(|score| score == first))
    };
    let groups = scores.chunks(generations).enumerate();
    groups.filter(|(_, group)| same(group)).map(|(number, _)| number).collect()
}

/// See [`Sampled::notice`]. Every group for itself where completions come in groups.
fn notice_of_equal(scores: &[f64], generations: usize) -> Option<String> {
    let scored: Vec<f64> = scores.iter().copied().filter(|score| !score.is_nan()).collect();
    let (count, first) = (scored.len(), *scored.first()?);
    if count > 1 && scored.iter().all(|score| *score == first) {
        return Some(format!(
            "all {count} rewards of the batch are the same ({first}): nothing is learned from it; look at what gives rewards"
        ));
    }
    let groups = scores.len() / generations;
    (generations > 1 && without_difference(scores, generations).len() == groups).then(|| {
        format!(
            "the {generations} completions of each of the {groups} prompts have the same reward: a method that compares them with \
             each other learns nothing from the batch; look at what gives rewards, or sample more of each prompt"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_teaches_nothing_is_said() {
        let notice = |scores: &[f64], generations| notice_of_equal(scores, generations).unwrap_or_default();
        assert!(
            notice(&[0.5; 4], 1)
                .starts_with("all 4 rewards of the batch are the same (0.5): nothing is learned")
        );
        assert!(notice(&[1.0, f64::NAN, 1.0], 3).starts_with("all 2 rewards of the batch are the same (1)"));
        assert!(notice(&[1.0, 1.0, 0.0, 0.0], 2).starts_with("the 2 completions of each of the 2 prompts"));
        for (scores, generations) in [(&[1.0, 1.0, 0.0, 0.5][..], 2), (&[1.0, 0.0], 1), (&[1.0], 1), (&[], 2)]
        {
            assert_eq!(notice(scores, generations), "", "{scores:?}");
        }
    }

    #[test]
    fn groups_teach_by_differences() {
        let scores = [1.0, 1.0, 0.0, 1.0, f64::NAN, f64::NAN, f64::NAN, 0.5, f64::NAN, 0.0];
        assert_eq!(without_difference(&scores, 2), [0, 2, 3, 4]);
        assert_eq!(without_difference(&scores, 5), [0; 0]);
    }
}
