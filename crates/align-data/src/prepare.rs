//! A run's records as token ids: checked, tokenized, held-out rows apart.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::checks::{
    DatasetChecks, KnownAnswers, check_demonstrations, check_pairs, check_prompts, check_unpaired,
};
use crate::error::Result;
use crate::record::{
    Demonstration, DemonstrationBody, PreferencePair, PromptTask, Ranking, Text, UnpairedPreference,
};
use crate::records::Records;
use crate::source::{Loaded, SourceReport, allowed};
use crate::tokenize::{
    LearnedPart, TokenizeOptions, TokenizeReport, TokenizedCompletion, TokenizedExample, TokenizedPair,
    TokenizedRanking, TokenizedTask, tokenize_demonstrations, tokenize_pairs, tokenize_rankings,
    tokenize_tasks, tokenize_unpaired,
};
use crate::tokenizer::Tokenizer;

/// The prepared data: token ids to train on and, if there are any, to measure on.
#[derive(Clone, Debug)]
pub struct Prepared<T> {
    /// Rows to train on.
    pub train: Vec<T>,
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
#[derive(Clone, Debug, Serialize)]
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
    let tokenize = |pairs: &[_], options: &_| tokenize_pairs(pairs, tokenizer, options);
    let ids = |pair: &TokenizedPair, hash: &mut Fingerprint| {
        hash.add(&pair.prompt);
        pair.answers().for_each(|ids| hash.add(ids));
        hash.add_some(&pair.unlearned);
        pair.prompt.len() + pair.answers().map(Vec::len).max().unwrap_or(0)
    };
    prepare(records, options, check_pairs, tokenize, ids)
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
    let tokenize = |rows: &[_], options: &_| tokenize_unpaired(rows, tokenizer, options);
    let ids = |row: &TokenizedCompletion, hash: &mut Fingerprint| {
        [&row.prompt, &row.completion, &row.cut_off].into_iter().for_each(|ids| hash.add(ids));
        hash.add(&[u32::from(row.desirable)]);
        hash.add_some(&row.unlearned);
        row.token_count()
    };
    prepare(records, options, check_unpaired, tokenize, ids)
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
    let tokenize = |rows: &[_], options: &_| tokenize_rankings(rows, tokenizer, options);
    let check = |training: &[Ranking], evaluation: Option<&[Ranking]>| {
        let pairs = |rows: &[Ranking]| rows.iter().map(Ranking::extremes).collect::<Vec<_>>();
        check_pairs(&pairs(training), evaluation.map(pairs).as_deref())
    };
    let ids = |row: &TokenizedRanking, hash: &mut Fingerprint| {
        let answers = &row.answers;
        hash.add(&answers.prompt);
        answers.completions.iter().for_each(|ids| hash.add(ids));
        let bits = row.margin.map_or(0, f64::to_bits);
        hash.add(&[bits as u32, (bits >> 32) as u32]);
        answers.prompt.len() + answers.completions.iter().map(Vec::len).max().unwrap_or(0)
    };
    prepare(records, options, check, tokenize, ids)
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
    let tokenize = |rows: &[_], options: &_| tokenize_demonstrations(rows, tokenizer, options, learned);
    let ids = |example: &TokenizedExample, hash: &mut Fingerprint| {
        hash.add(&example.tokens);
        hash.add(&example.mask.iter().map(|&learned| u32::from(learned)).collect::<Vec<_>>());
        example.tokens.len()
    };
    prepare(records, options, check_demonstrations, tokenize, ids)
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
    let tokenize = |rows: &[_], options: &_| tokenize_tasks(rows, tokenizer, options);
    let ids = |row: &TokenizedTask, hash: &mut Fingerprint| {
        hash.add(&row.tokens);
        hash.add(&row.task.reference.iter().flat_map(|text| text.chars()).map(u32::from).collect::<Vec<_>>());
        row.tokens.len()
    };
    prepare(records, options, check_prompts, tokenize, ids)
}

fn prepare<R: Prompted, T>(
    records: &Records<R>,
    options: &TokenizeOptions,
    check: impl Fn(&[R], Option<&[R]>) -> DatasetChecks,
    tokenize: impl Fn(&[R], &TokenizeOptions) -> Result<(Vec<T>, TokenizeReport)>,
    ids: impl Fn(&T, &mut Fingerprint) -> usize,
) -> Result<Prepared<T>> {
    let evaluation = Some(&*records.held_out).filter(|rows| !rows.is_empty());
    let checks = check(&records.train, evaluation);
    let prompts = records.held_out.iter().filter_map(|row| row.prompt().cloned()).collect();
    let tokenized = |rows: &Loaded<R>| tokenize(rows, &beside(options, &rows.report));
    let (train, train_report) = tokenized(&records.train)?;
    let (held_out, held_out_report) = evaluation.map(|_| tokenized(&records.held_out)).transpose()?.unzip();
    let is_plain = |row: &&R| matches!(row.prompt(), Some(Text::Plain(_)));
    let plain_prompts = records.train.iter().filter(is_plain).count();
    let findings = Findings {
        read: records.train.report.clone(),
        held_out_read: records.held_out.report.clone(),
        checks,
        train: train_report,
        held_out: held_out_report,
        plain_prompts,
    };
    let held_out = held_out.unwrap_or_default();
    let longest =
        |rows: &[T], hash: &mut Fingerprint| rows.iter().map(|row| ids(row, hash)).max().unwrap_or(0);
    let mut fingerprint = Fingerprint::default();
    let longest = longest(&train, &mut fingerprint).max(longest(&held_out, &mut Fingerprint::default()));
    Ok(Prepared {
        train,
        held_out,
        held_out_prompts: prompts,
        fingerprint: fingerprint.hex(),
        longest,
        findings,
    })
}

/// The options with what is left of the share of unusable rows: those that were left out when the rows were read count too.
fn beside(options: &TokenizeOptions, read: &SourceReport) -> TokenizeOptions {
    let left = allowed(options.max_bad_rows, read.rows).saturating_sub(read.bad);
    let max_bad_rows =
        if read.rows == 0 { options.max_bad_rows } else { left as f64 / read.used.max(1) as f64 };
    TokenizeOptions { max_bad_rows, ..options.clone() }
}

/// A record that answers a prompt, or is one.
trait Prompted {
    fn prompt(&self) -> Option<&Text>;
}

impl Prompted for PreferencePair {
    fn prompt(&self) -> Option<&Text> {
        Some(&self.prompt)
    }
}

impl Prompted for UnpairedPreference {
    fn prompt(&self) -> Option<&Text> {
        Some(&self.prompt)
    }
}

impl Prompted for Ranking {
    fn prompt(&self) -> Option<&Text> {
        Some(&self.answers.prompt)
    }
}

impl Prompted for PromptTask {
    fn prompt(&self) -> Option<&Text> {
        Some(&self.prompt.prompt)
    }
}

impl Prompted for Demonstration {
    fn prompt(&self) -> Option<&Text> {
        match &self.body {
            DemonstrationBody::PromptCompletion { prompt, .. } => Some(prompt),
            DemonstrationBody::Text { .. } | DemonstrationBody::Messages { .. } => None,
        }
    }
}

/// Hashes runs of token ids and their lengths.
#[derive(Default)]
struct Fingerprint(Sha256);

impl Fingerprint {
    fn add(&mut self, ids: &[u32]) {
        self.0.update((ids.len() as u64).to_le_bytes());
        ids.iter().for_each(|id| self.0.update(id.to_le_bytes()));
    }

    /// The same of what most rows have none of, as if it were not there then.
    fn add_some(&mut self, ids: &[u32]) {
        if !ids.is_empty() {
            self.add(ids);
        }
    }

    fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
