//! A run's records as token ids: checked, tokenized, held-out rows apart.

mod make;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::checks::{
    DatasetChecks, KnownAnswers, Seen, look_at_answer, look_at_demonstration, look_at_pair, look_at_ranking,
    look_at_task,
};
use crate::error::Result;
use crate::record::{
    Demonstration, PreferencePair, PromptTask, Ranking, Text, UnpairedPreference, are_of_pairs,
};
use crate::records::Records;
use crate::source::SourceReport;
use crate::store::Rows;
use crate::tokenize::{
    LearnedPart, TokenizeOptions, TokenizeReport, TokenizedCompletion, TokenizedExample, TokenizedPair,
    TokenizedRanking, TokenizedTask, demonstrations_tokenized, pairs_tokenized, rankings_tokenized,
    tasks_tokenized, unpaired_tokenized,
};
use crate::tokenizer::Tokenizer;
use make::{Way, prepare};

/// The prepared data: token ids to train on and, if there are any, to measure on.
#[derive(Clone, Debug)]
pub struct Prepared<T> {
    /// Rows to train on.
    pub train: Rows<T>,
    /// Rows to measure on; empty if there are none.
    pub held_out: Vec<T>,
    /// Prompts of the records that held-out rows were made of, by [`TokenizedPair::row`] and its like: what a judge of
    /// texts reads. Empty where rows are demonstrations.
    pub held_out_prompts: Vec<Text>,
    /// A hash of the training rows' token ids and labels, in order: a run can only be resumed on the same rows.
    pub fingerprint: String,
    /// Tokens of the longest sequence in either: a prompt with its longest answer, or a demonstration.
    pub longest: usize,
    /// Findings on the way.
    pub findings: Findings,
}

/// Findings about the data: what a user should know before training on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// How the training rows were read.
    pub read: SourceReport,
    /// How the held-out rows were read.
    pub held_out_read: SourceReport,
    /// Checks of the rows as they were read.
    pub checks: DatasetChecks,
    /// Report on the training rows' token ids.
    pub train: TokenizeReport,
    /// Report on the held-out rows' token ids.
    pub held_out: Option<TokenizeReport>,
    /// Training rows whose prompt is a plain string, which is continued as it stands.
    pub plain_prompts: usize,
}

impl Findings {
    /// Held-out answers that training knows, where there are answers that are better or worse.
    pub fn known_answers(&self) -> Option<KnownAnswers> {
        self.checks.evaluation.as_ref()?.known_answers
    }
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let read = [("training data", &self.read), ("held-out data", &self.held_out_read)];
        for (name, report) in read.into_iter().filter(|(_, report)| report.rows > 0) {
            writeln!(f, "{name}: {report}")?;
        }
        write!(f, "{}\ntraining rows as tokens: {}", self.checks, self.train)?;
        match &self.held_out {
            None => Ok(()),
            Some(report) => write!(f, "\nheld-out rows as tokens: {report}"),
        }
    }
}

/// Preference pairs as token ids.
///
/// # Errors
/// As [`tokenize_pairs`].
pub fn prepare_pairs(
    records: &Records<PreferencePair>,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<Prepared<TokenizedPair>> {
    let way =
        Way { name: "pairs", of: Value::Null, seen: Seen::of_pairs(), look: look_at_pair, of_pairs: no };
    prepare(records, tokenizer, options, way, pairs_tokenized(tokenizer, options)?)
}

/// Labelled answers as token ids.
///
/// # Errors
/// As [`tokenize_unpaired`].
pub fn prepare_unpaired(
    records: &Records<UnpairedPreference>,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<Prepared<TokenizedCompletion>> {
    let way = Way {
        name: "answers",
        of: Value::Null,
        seen: Seen::of_labelled(),
        look: look_at_answer,
        of_pairs: are_of_pairs,
    };
    prepare(records, tokenizer, options, way, unpaired_tokenized(tokenizer, options)?)
}

/// Ranked answers as token ids. What is checked of the rows is of their best and their worst answer.
///
/// # Errors
/// As [`tokenize_rankings`].
pub fn prepare_rankings(
    records: &Records<Ranking>,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<Prepared<TokenizedRanking>> {
    let way = Way {
        name: "rankings",
        of: Value::Null,
        seen: Seen::of_pairs(),
        look: look_at_ranking,
        of_pairs: no,
    };
    prepare(records, tokenizer, options, way, rankings_tokenized(tokenizer, options)?)
}

/// Demonstrations as token ids.
///
/// # Errors
/// As [`tokenize_demonstrations`].
pub fn prepare_demonstrations(
    records: &Records<Demonstration>,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
    learned: &LearnedPart,
) -> Result<Prepared<TokenizedExample>> {
    let of = json!(learned);
    let way =
        Way { name: "demonstrations", of, seen: Seen::default(), look: look_at_demonstration, of_pairs: no };
    prepare(records, tokenizer, options, way, demonstrations_tokenized(tokenizer, options, learned)?)
}

/// Prompts to answer as token ids.
///
/// # Errors
/// As [`tokenize_tasks`].
pub fn prepare_tasks(
    records: &Records<PromptTask>,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<Prepared<TokenizedTask>> {
    let way = Way { name: "tasks", of: Value::Null, seen: Seen::default(), look: look_at_task, of_pairs: no };
    prepare(records, tokenizer, options, way, tasks_tokenized(tokenizer, options)?)
}

fn no<R>(_: &[R]) -> bool {
    false
}
