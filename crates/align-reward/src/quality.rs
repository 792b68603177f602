//! How good rewards are on held-out rows: beside trivial rules, by source, and where they fail.

use std::borrow::Cow;
use std::collections::BTreeMap;

use align_data::{RowSource, TokenizedRanking, Tokenizer};
use align_stage::AnswersOnly;
use align_stats::{Calibration, are_twins, hit, pearson, share_ci95};
use align_train::{Error, Result};
use serde::Serialize;

use crate::Judged;

/// How many failures are shown.
const SHOWN: usize = 5;

/// The quality of rewards: measures over pairs of answers to one prompt; longer lists count with all their pairs.
#[derive(Clone, Debug, Serialize)]
pub struct Quality {
    /// Held-out rows.
    pub held_out_rows: usize,
    /// Pairs of answers in them.
    pub held_out_pairs: usize,
    /// Share of pairs whose better answer has the higher reward; a tie counts half.
    pub accuracy: f64,
    /// Its 95 % interval, by bootstrap over rows.
    pub accuracy_ci95: [f64; 2],
    /// The accuracy of rules that need no model.
    pub baselines: Baselines,
    /// Accuracy by the source that rows name, where they do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub accuracy_by_source: BTreeMap<String, SourceAccuracy>,
    /// Accuracy on twins, pairs of answers that differ in few words ([`are_twins`]), and on all other pairs: of twins only the
    /// prompt tells which is better. Absent where one of the two has no pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub twins: Option<Twins>,
    /// Mean of better minus worse reward.
    pub margin: f64,
    /// Calibration: how sure the model is, beside how often it is right.
    #[serde(flatten)]
    pub calibration: Calibration,
    /// Rewards of the best answers.
    pub chosen_rewards: Distribution,
    /// Rewards of the worst answers.
    pub rejected_rewards: Distribution,
    /// Correlation of an answer's reward with its tokens, over all answers; absent where one of them never varies.
    pub length_correlation: Option<f64>,
    /// Correlation of the difference of rewards with that of tokens, over pairs: what is left between answers to one
    /// prompt.
    pub length_correlation_in_pairs: Option<f64>,
    /// The pairs that the model is most wrong about.
    pub failures: Vec<Failure>,
}

/// The baselines of accuracy: those of rules that need no model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Baselines {
    /// The answer of more tokens wins; a tie counts half.
    pub longer: f64,
    /// The answer of fewer tokens wins.
    pub shorter: f64,
    /// Whichever of these two rules holds for the majority of the training pairs.
    pub majority: f64,
    /// The accuracy that words reach without the prompt, where there are training pairs to learn them from.
    pub answers_only: Option<AnswersOnly>,
}

/// The accuracy on rows of one source.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SourceAccuracy {
    /// Pairs.
    pub pairs: usize,
    /// Share that the model gets right.
    pub accuracy: f64,
}

/// The accuracy where few words differ, and elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Twins {
    /// Accuracy on pairs whose answers differ in few words.
    pub twins: SourceAccuracy,
    /// Accuracy on all other pairs.
    pub others: SourceAccuracy,
}

/// The distribution of rewards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// The smallest.
    pub min: f64,
    /// A tenth is below.
    pub p10: f64,
    /// Half is below.
    pub median: f64,
    /// A tenth is above.
    pub p90: f64,
    /// The largest.
    pub max: f64,
}

/// A pair whose worse answer has the higher reward.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The row's origin, as `file:line`.
    pub origin: String,
    /// The prompt, with its markup.
    pub prompt: String,
    /// The better answer.
    pub chosen: String,
    /// The worse answer.
    pub rejected: String,
    /// The better answer's reward.
    pub chosen_reward: f64,
    /// The worse answer's reward.
    pub rejected_reward: f64,
}

impl Quality {
    /// The quality of at least one judged row, beside the rows that were trained on, if they are known; `seed` is
    /// of the interval and of the calibrated models that the calibration is read against.
    ///
    /// # Errors
    /// If token ids cannot be decoded.
    pub fn new(
        judged: &[Judged<'_>],
        training: RowSource<'_, TokenizedRanking>,
        tokenizer: &Tokenizer,
        seed: u64,
    ) -> Result<Self> {
        let margins: Vec<f64> = judged.iter().flat_map(Judged::margins).collect();
        let rows: Vec<(f64, f64)> = judged
            .iter()
            .map(|row| row.margins().fold((0.0, 0.0), |(hits, pairs), m| (hits + hit(m), pairs + 1.0)))
            .collect();
        let lengths = |row: &Judged<'_>| lengths(row.row);
        let all = |value: fn(&Judged<'_>) -> Vec<f64>| judged.iter().flat_map(value).collect::<Vec<_>>();
        let pair_lengths: Vec<f64> = judged
            .iter()
            .flat_map(|row| {
                let lengths = lengths(row);
                row.pairs().map(|(i, j)| lengths[i] - lengths[j]).collect::<Vec<_>>()
            })
            .collect();
        let end = |last: bool| -> Vec<f64> {
            let reward =
                |row: &Judged<'_>| if last { row.rewards.last() } else { row.rewards.first() }.copied();
            judged.iter().filter_map(reward).collect()
        };
        Ok(Self {
            held_out_rows: judged.len(),
            held_out_pairs: margins.len(),
            accuracy: mean(margins.iter().map(|&margin| hit(margin)), margins.len()),
            accuracy_ci95: share_ci95(&rows, seed),
            baselines: baselines(judged, training, tokenizer)?,
            accuracy_by_source: by_source(judged),
            twins: Twins::of(judged, tokenizer)?,
            margin: mean(margins.iter().copied(), margins.len()),
            calibration: Calibration::new(&margins, seed),
            chosen_rewards: Distribution::of(end(false)),
            rejected_rewards: Distribution::of(end(true)),
            length_correlation: pearson(&all(|row| row.rewards.clone()), &all(|row| self::lengths(row.row))),
            length_correlation_in_pairs: pearson(&margins, &pair_lengths),
            failures: failures(judged, tokenizer)?,
        })
    }
}

impl Twins {
    fn of(judged: &[Judged<'_>], tokenizer: &Tokenizer) -> Result<Option<Self>> {
        let (mut twins, mut others) = (Vec::new(), Vec::new());
        for row in judged {
            let texts = row.row.answers.completions.iter().map(|ids| tokenizer.decode(ids, true));
            let texts: Vec<String> = texts.collect::<align_data::Result<_>>().map_err(Error::stage)?;
            for ((i, j), margin) in row.pairs().zip(row.margins()) {
                let side = if are_twins(&texts[i], &texts[j]) { &mut twins } else { &mut others };
                side.push(hit(margin));
            }
        }
        let both = !twins.is_empty() && !others.is_empty();
        Ok(both.then(|| Self { twins: SourceAccuracy::of(&twins), others: SourceAccuracy::of(&others) }))
    }
}

impl SourceAccuracy {
    fn of(hits: &[f64]) -> Self {
        Self { pairs: hits.len(), accuracy: mean(hits.iter().copied(), hits.len()) }
    }
}

impl Distribution {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let count = values.len();
        let average = mean(values.iter().copied(), count);
        let quantile = |share: f64| values[((count - 1) as f64 * share).round() as usize];
        Self {
            mean: average,
            std: mean(values.iter().map(|value| (value - average).powi(2)), count).sqrt(),
            min: quantile(0.0),
            p10: quantile(0.1),
            median: quantile(0.5),
            p90: quantile(0.9),
            max: quantile(1.0),
        }
    }
}

/// Share of pairs of these rows whose better answer has more tokens.
fn longer_wins<'a>(rows: impl Iterator<Item = align_data::Result<Cow<'a, TokenizedRanking>>>) -> Result<f64> {
    let (mut hits, mut pairs) = (0.0, 0);
    for row in rows {
        let lengths = lengths(&*row.map_err(Error::stage)?);
        for i in 0..lengths.len() {
            for j in i + 1..lengths.len() {
                hits += hit(lengths[i] - lengths[j]);
                pairs += 1;
            }
        }
    }
    Ok(mean(std::iter::once(hits), pairs))
}

fn baselines(
    judged: &[Judged<'_>],
    training: RowSource<'_, TokenizedRanking>,
    tokenizer: &Tokenizer,
) -> Result<Baselines> {
    let held_out = || judged.iter().map(|row| row.row);
    let longer = longer_wins(held_out().map(|row| Ok(Cow::Borrowed(row))))?;
    let shorter = 1.0 - longer;
    let majority = if longer_wins(training.iter())? >= 0.5 { longer } else { shorter };
    let answers_only = AnswersOnly::of(training, held_out(), tokenizer).map_err(Error::stage)?;
    Ok(Baselines { longer, shorter, majority, answers_only })
}

fn by_source(judged: &[Judged<'_>]) -> BTreeMap<String, SourceAccuracy> {
    let mut hits: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in judged {
        if let Some(source) = &row.row.source {
            hits.entry(source.clone()).or_default().extend(row.margins().map(hit));
        }
    }
    hits.into_iter().map(|(source, hits)| (source, SourceAccuracy::of(&hits))).collect()
}

fn failures(judged: &[Judged<'_>], tokenizer: &Tokenizer) -> Result<Vec<Failure>> {
    let mut wrong: Vec<(f64, &Judged<'_>, usize, usize)> = judged
        .iter()
        .flat_map(|row| row.pairs().map(move |(i, j)| (row.rewards[i] - row.rewards[j], row, i, j)))
        .filter(|(margin, ..)| *margin < 0.0)
        .collect();
    wrong.sort_by(|a, b| a.0.total_cmp(&b.0));
    let text = |ids: &[u32]| tokenizer.decode(ids, false).map_err(Error::stage);
    let failure = |(_, judged, i, j): (f64, &Judged<'_>, usize, usize)| {
        let answers = &judged.row.answers;
        Ok(Failure {
            origin: answers.origin.to_string(),
            prompt: text(&answers.prompt)?,
            chosen: text(&answers.completions[i])?,
            rejected: text(&answers.completions[j])?,
            chosen_reward: judged.rewards[i],
            rejected_reward: judged.rewards[j],
        })
    };
    wrong.into_iter().take(SHOWN).map(failure).collect()
}

fn lengths(row: &TokenizedRanking) -> Vec<f64> {
    row.answers.completions.iter().map(|completion| completion.len() as f64).collect()
}

fn mean(values: impl Iterator<Item = f64>, count: usize) -> f64 {
    values.sum::<f64>() / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tests::ranking;

    fn quality(rows: &[TokenizedRanking], rewards: &[&[f64]]) -> Quality {
        let judged: Vec<_> = rows
            .iter()
            .zip(rewards)
            .map(|(row, rewards)| Judged { row, rewards: rewards.to_vec() })
            .collect();
        let tokenizer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizer");
        Quality::new(&judged, rows.into(), &Tokenizer::load(tokenizer).unwrap(), 3).unwrap()
    }

    #[test]
    fn accuracy_stands_beside_the_rules_of_length() {
        // Longer chosen, shorter chosen, as long, and a list whose best is shortest.
        let mut rows =
            [ranking(0, &[4, 2]), ranking(1, &[1, 2]), ranking(2, &[3, 3]), ranking(3, &[1, 2, 3])];
        rows[0].source = Some("a".to_owned());
        rows[3].source = Some("b".to_owned());
        let found = quality(&rows, &[&[1.0, 0.0], &[0.0, 2.0], &[0.5, 0.5], &[3.0, 1.0, 2.0]]);
        assert_eq!((found.held_out_rows, found.held_out_pairs), (4, 6));
        assert_eq!(found.accuracy, (1.0 + 0.0 + 0.5 + 2.0) / 6.0);
        let Baselines { longer, shorter, majority, answers_only } = found.baselines;
        assert_eq!((longer, shorter, majority), (1.5 / 6.0, 4.5 / 6.0, 4.5 / 6.0));
        assert_eq!(answers_only.unwrap().examples, 6);
        assert_eq!(found.accuracy_by_source["b"], SourceAccuracy { pairs: 3, accuracy: 2.0 / 3.0 });
        assert_eq!(found.accuracy_by_source.len(), 2);
        let failures: Vec<_> = found.failures.iter().map(|failure| failure.origin.as_str()).collect();
        assert_eq!(failures, ["row 2", "row 4"], "the worst first");
        assert_eq!((found.failures[0].chosen_reward, found.failures[0].rejected_reward), (0.0, 2.0));
        assert!(found.accuracy_ci95[0] < found.accuracy && found.accuracy < found.accuracy_ci95[1]);
    }

    #[test]
    fn rewards_that_follow_length_are_told() {
        let rows = [ranking(0, &[4, 2]), ranking(1, &[1, 2]), ranking(2, &[3, 5])];
        let found = quality(&rows, &[&[4.0, 2.0], &[1.0, 2.0], &[3.0, 5.0]]);
        assert!((found.length_correlation.unwrap() - 1.0).abs() < 1e-12);
        assert!((found.length_correlation_in_pairs.unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(quality(&rows, &[&[1.0, 1.0], &[1.0, 1.0], &[1.0, 1.0]]).length_correlation, None);
        assert_eq!(
            (found.chosen_rewards.min, found.chosen_rewards.median, found.chosen_rewards.max),
            (1.0, 3.0, 4.0)
        );
    }
}
