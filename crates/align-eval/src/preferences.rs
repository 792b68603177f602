//! How often a policy's implicit reward, or a reward model, prefers the answer that people preferred, and how sure it is.

use align_data::{
    Candidates, Dataset, JudgedPairs, ListPlace, Ranking, TokenizeOptions, TokenizedCandidates,
    TokenizedRanking, Tokenizer, Vote, load_judged_pairs, tokenize_rankings,
};
use align_report::{Baseline, Calibration, Preferences, ReliabilityBin, Subset};
use align_reward::{Judged, Quality, Reward, Task};
use align_stats::{are_twins, hit, share_ci95, sign_test};

use crate::benchmarks::{of_lists, rows_of};
use crate::policy::{Policy, spelled_candidates};
use crate::{Error, Result};

/// Rewards of either side that the report keeps for its histogram.
const KEPT: usize = 400;

/// What the subset of pairs is called whose answers differ in few words.
const TWINS: &str = "few words differ";

/// And that of all other pairs.
const OTHERS: &str = "all other pairs";

/// The decided pairs of an evaluation file, and what is known of the others.
#[derive(Clone, Debug)]
pub struct PairSet {
    name: String,
    rankings: Vec<Ranking>,
    /// Each pair's place among those of a row of lists.
    places: Vec<Option<ListPlace>>,
    rows: usize,
    left_out: Vec<String>,
    agreement: Option<f64>,
}

impl PairSet {
    /// Reads a file, or a directory's split, as [`load_judged_pairs`] does. A pair that several people judged goes to the
    /// answer with more votes; ties are left out, because there is nothing to be right about.
    ///
    /// # Errors
    /// As [`load_judged_pairs`]; a file of ties only.
    pub fn load(dataset: impl Into<Dataset>, split: &str, subset_column: &str) -> Result<Self> {
        let dataset: Dataset = dataset.into();
        let path = &dataset.path;
        let JudgedPairs { pairs, rows, left_out } = load_judged_pairs(&dataset, split, subset_column)?;
        let mut reasons: Vec<String> =
            left_out.iter().map(|it| format!("{} rows (the first: {})", it.rows, it.first)).collect();
        let agreements: Vec<f64> = pairs.iter().filter_map(align_data::JudgedPair::agreement).collect();
        let (mut rankings, mut places) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
        let mut ties = 0;
        for pair in pairs {
            let majority = pair.majority();
            let Candidates { prompt, mut completions, template, origin } = pair.answers;
            match majority {
                Vote::First => {}
                Vote::Second => completions.swap(0, 1),
                Vote::Tie => {
                    ties += 1;
                    continue;
                }
            }
            let answers = Candidates { prompt, completions, template, origin };
            rankings.push(Ranking { answers, margin: None, source: pair.subset });
            places.push(pair.place);
        }
        if ties > 0 {
            reasons.push(format!("{ties} ties"));
        }
        if rankings.is_empty() {
            return Err(Error::Config(format!("{}: all {rows} rows are ties or unusable", path.display())));
        }
        let agreement =
            (!agreements.is_empty()).then(|| agreements.iter().sum::<f64>() / agreements.len() as f64);
        let name = path.display().to_string();
        Ok(Self { name, rankings, places, rows, left_out: reasons, agreement })
    }

    /// The file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its pairs, the better answer first.
    pub fn rankings(&self) -> &[Ranking] {
        &self.rankings
    }

    /// Keeps the first `count` pairs.
    pub fn truncate(&mut self, count: usize) {
        if self.rankings.len() > count {
            self.left_out.push(format!("{} pairs beyond the first {count}", self.rankings.len() - count));
            self.rankings.truncate(count);
        }
    }

    /// Token ids, and the reasons why pairs have none.
    fn tokenize(
        &self,
        tokenizer: &Tokenizer,
        options: &TokenizeOptions,
    ) -> Result<(Vec<TokenizedRanking>, Vec<String>)> {
        let has_template = tokenizer.chat_template().is_some();
        let spelled = |ranking: &Ranking| Ranking {
            answers: spelled_candidates(&ranking.answers, has_template),
            ..ranking.clone()
        };
        let rankings: Vec<Ranking> = self.rankings.iter().map(spelled).collect();
        let (rows, report) = tokenize_rankings(&rankings, tokenizer, options)?;
        let mut left_out = self.left_out.clone();
        if rows.len() < rankings.len() {
            left_out
                .push(format!("{} pairs of which nothing is left to compare", rankings.len() - rows.len()));
        }
        if report.truncated > 0 {
            left_out.push(format!("the beginnings of {} pairs, cut to fit the model", report.truncated));
        }
        Ok((rows, left_out))
    }
}

/// A policy as a judge: its implicit reward β (log π − log π_ref), or without a reference of the same tokenizer the
/// log-prob per token of each answer.
///
/// # Errors
/// If the pairs cannot be tokenized or a model cannot be run.
pub fn policy_preferences(
    policy: &Policy,
    reference: Option<&Policy>,
    beta: f64,
    pairs: &PairSet,
    seed: u64,
) -> Result<Preferences> {
    let tokenizer = policy.dir().tokenizer();
    let (rows, left_out) = pairs.tokenize(tokenizer, &policy.dir().tokenize_options())?;
    let answers: Vec<TokenizedCandidates> = rows.iter().map(|row| row.answers.clone()).collect();
    let own = policy.log_probs(&answers)?;
    let reference = reference.filter(|reference| reference.shares_tokenizer(policy));
    let (rewards, measure) = match reference {
        Some(reference) => {
            let other = reference.log_probs(&answers)?;
            let reward = |(own, other): (&Vec<f64>, &Vec<f64>)| {
                own.iter().zip(other).map(|(own, other)| beta * (own - other)).collect()
            };
            let measure = format!("implicit reward (beta {beta}, from {})", reference.dir().name());
            (own.iter().zip(&other).map(reward).collect::<Vec<Vec<f64>>>(), measure)
        }
        None => {
            let per_token = |(log_probs, row): (&Vec<f64>, &TokenizedCandidates)| {
                log_probs
                    .iter()
                    .zip(&row.completions)
                    .map(|(sum, ids)| sum / ids.len().max(1) as f64)
                    .collect()
            };
            (own.iter().zip(&answers).map(per_token).collect(), "log-prob per token".to_owned())
        }
    };
    let calibrated = reference.is_some();
    figures(pairs, &rows, rewards, tokenizer, seed, left_out).map(|figures| Preferences {
        model: policy.dir().name().to_owned(),
        measure,
        calibration: figures.calibration.clone().filter(|_| calibrated),
        ..figures
    })
}

/// A reward as a judge. `tokenizer` and `options` are the reward model's: they decide what is cut and how long answers
/// are.
///
/// # Errors
/// As [`Reward::rewards`].
pub fn reward_preferences(
    name: &str,
    reward: &dyn Reward,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
    pairs: &PairSet,
    seed: u64,
) -> Result<Preferences> {
    let has_template = tokenizer.chat_template().is_some();
    let spelled = |answers: &Candidates| spelled_candidates(answers, has_template);
    measured((name, reward), spelled, (tokenizer, options), pairs, seed)
}

/// The same of a reward that reads pairs as the data has them: whose tokens these are says nothing of what it sees.
///
/// # Errors
/// As [`Reward::rewards`].
pub(crate) fn as_written(
    judge: (&str, &dyn Reward),
    tokens: (&Tokenizer, &TokenizeOptions),
    pairs: &PairSet,
    seed: u64,
) -> Result<Preferences> {
    measured(judge, Candidates::clone, tokens, pairs, seed)
}

fn measured(
    (name, reward): (&str, &dyn Reward),
    as_it_reads: impl Fn(&Candidates) -> Candidates,
    (tokenizer, options): (&Tokenizer, &TokenizeOptions),
    pairs: &PairSet,
    seed: u64,
) -> Result<Preferences> {
    let (rows, left_out) = pairs.tokenize(tokenizer, options)?;
    let task = |row: &TokenizedRanking| Task::from(as_it_reads(&pairs.rankings[row.answers.row].answers));
    let rewards = reward.rewards(&rows.iter().map(task).collect::<Vec<_>>())?;
    let figures = figures(pairs, &rows, rewards, tokenizer, seed, left_out)?;
    Ok(Preferences { model: name.to_owned(), measure: "reward".to_owned(), ..figures })
}

fn figures(
    pairs: &PairSet,
    rows: &[TokenizedRanking],
    rewards: Vec<Vec<f64>>,
    tokenizer: &Tokenizer,
    seed: u64,
    left_out: Vec<String>,
) -> Result<Preferences> {
    if rows.is_empty() {
        return Err(Error::Config(format!("{}: no pair is left to compare", pairs.name)));
    }
    // A NaN would count as a wrong answer.
    if let Some((row, reward)) = rows.iter().zip(&rewards).find_map(|(row, rewards)| {
        rewards.iter().find(|reward| !reward.is_finite()).map(|reward| (row, reward))
    }) {
        let origin = &row.answers.origin;
        return Err(Error::Config(format!(
            "{origin}: the reward of an answer is {reward}; rewards must be finite: the model's weights are damaged"
        )));
    }
    let judged: Vec<Judged<'_>> =
        rows.iter().zip(rewards).map(|(row, rewards)| Judged { row, rewards }).collect();
    // What follows from training rows is measured apart, by `without_prompts`: there may be none.
    let quality = Quality::new(&judged, (&[]).into(), tokenizer, seed)?;
    let mut subsets = subsets(
        rows,
        &judged.iter().map(|row| row.rewards[0] - row.rewards[1]).collect::<Vec<_>>(),
        tokenizer,
        seed,
    )?;
    subsets.extend(of_lists(&rows_of(&pairs.places, &judged)));
    let margins: Vec<f64> = judged.iter().map(|row| row.rewards[0] - row.rewards[1]).collect();
    let count = |holds: fn(f64) -> bool| margins.iter().filter(|&&margin| holds(margin)).count();
    let side = |place: usize| spread(&judged.iter().map(|row| row.rewards[place]).collect::<Vec<_>>());
    Ok(Preferences {
        model: String::new(),
        measure: String::new(),
        dataset: pairs.name.clone(),
        rows: pairs.rows,
        pairs: quality.held_out_pairs,
        left_out,
        accuracy: quality.accuracy,
        accuracy_ci95: quality.accuracy_ci95,
        p_value: Some(sign_test(count(|it| it > 0.0), count(|it| it < 0.0))),
        margin: Some(quality.margin),
        baselines: baselines(&quality),
        agreement: pairs.agreement,
        calibration: Some(calibration(&quality.calibration)),
        subsets,
        length_correlation: quality.length_correlation_in_pairs,
        chosen_rewards: side(0),
        rejected_rewards: side(1),
    })
}

pub(crate) fn baseline(name: &str, value: f64, note: &str) -> Baseline {
    Baseline { name: name.to_owned(), model: None, value, reward: None, note: note.to_owned() }
}

fn baselines(quality: &Quality) -> Vec<Baseline> {
    vec![
        baseline("longer wins", quality.baselines.longer, "the answer of more tokens"),
        baseline("shorter wins", quality.baselines.shorter, "the answer of fewer tokens"),
        baseline("first answer", 0.5, "a guess"),
    ]
}

fn calibration(of: &align_stats::Calibration) -> Calibration {
    let bin = |bin: &align_stats::ReliabilityBin| ReliabilityBin {
        from: bin.from,
        to: bin.to,
        pairs: bin.pairs,
        confidence: bin.confidence,
        accuracy: bin.accuracy,
    };
    Calibration {
        ece: of.ece,
        ece_if_calibrated: Some(of.ece_if_calibrated),
        ece_p_value: Some(of.ece_p_value),
        ece_after_temperature: Some(of.ece_after_temperature),
        brier: of.brier,
        temperature: Some(of.temperature),
        reliability: of.reliability.iter().map(bin).collect(),
    }
}

/// Accuracy by subset, in the order in which the file names them first, beside that of the longer answer; and where there are
/// twins, on those and on all other pairs.
fn subsets(
    rows: &[TokenizedRanking],
    margins: &[f64],
    tokenizer: &Tokenizer,
    seed: u64,
) -> Result<Vec<Subset>> {
    let mut subsets: Vec<(&str, Vec<f64>, Vec<f64>)> = Vec::new();
    let twins: Vec<bool> = rows.iter().map(|row| is_twin(row, tokenizer)).collect::<Result<_>>()?;
    let by_words = twins.iter().any(|&twin| twin != twins[0]);
    let named = rows.iter().zip(margins).map(|(row, margin)| (row.source.as_deref(), row, margin));
    let words = twins.iter().map(|&twin| by_words.then_some(if twin { TWINS } else { OTHERS }));
    let cut = words.zip(rows).zip(margins).map(|((name, row), margin)| (name, row, margin));
    for (name, row, &margin) in named.chain(cut) {
        let Some(name) = name else { continue };
        let place = subsets.iter().position(|(other, ..)| *other == name).unwrap_or(subsets.len());
        if place == subsets.len() {
            subsets.push((name, Vec::new(), Vec::new()));
        }
        let tokens = |answer: usize| row.answers.completions[answer].len() as f64;
        subsets[place].1.push(hit(margin));
        subsets[place].2.push(hit(tokens(0) - tokens(1)));
    }
    let mean = |hits: &[f64]| hits.iter().sum::<f64>() / hits.len() as f64;
    let subset = |(name, hits, longer): (&str, Vec<f64>, Vec<f64>)| Subset {
        name: name.to_owned(),
        pairs: hits.len(),
        accuracy: mean(&hits),
        ci95: Some(share_ci95(&hits.iter().map(|&hit| (hit, 1.0)).collect::<Vec<_>>(), seed)),
        longer_wins: Some(mean(&longer)),
    };
    Ok(subsets.into_iter().map(subset).collect())
}

/// Whether few words differ between the two answers.
fn is_twin(row: &TokenizedRanking, tokenizer: &Tokenizer) -> Result<bool> {
    let text = |place: usize| tokenizer.decode(&row.answers.completions[place], true);
    Ok(are_twins(&text(0)?, &text(1)?))
}

/// At most [`KEPT`] of the values, evenly spread over the file.
fn spread(values: &[f64]) -> Vec<f64> {
    values.iter().step_by(values.len().div_ceil(KEPT).max(1)).copied().collect()
}
