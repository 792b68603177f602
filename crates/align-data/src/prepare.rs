//! A run's whole data in one call: read, checked, tokenized, held-out rows apart.

use std::path::Path;

use serde::Serialize;

use crate::checks::{DatasetChecks, check_demonstrations, check_pairs};
use crate::error::Result;
use crate::options::DataConfig;
use crate::source::{has_split, load_demonstrations, load_pairs};
use crate::tokenize::{
    TokenizeReport, TokenizedExample, TokenizedPair, tokenize_demonstrations, tokenize_pairs,
};
use crate::tokenizer::Tokenizer;

/// Token ids to train on and, if there are any, to measure on.
#[derive(Clone, Debug)]
pub struct Prepared<T> {
    /// Rows to train on.
    pub train: Vec<T>,
    /// Rows to measure on; empty if there are none.
    pub held_out: Vec<T>,
    /// What was seen on the way.
    pub findings: Findings,
}

/// What a user should know of the data before training on it.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Of the rows as they were read.
    pub checks: DatasetChecks,
    /// Of the training rows' token ids.
    pub train: TokenizeReport,
    /// Of the held-out rows' token ids.
    pub held_out: Option<TokenizeReport>,
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\ntraining rows as tokens: {}", self.checks, self.train)?;
        match &self.held_out {
            None => Ok(()),
            Some(report) => write!(f, "\nheld-out rows as tokens: {report}"),
        }
    }
}

/// Preference pairs of `dataset`; held-out ones from `eval_dataset`, else from the dataset's test split if
/// it has one.
///
/// # Errors
/// As [`load_pairs`] and [`tokenize_pairs`].
pub fn prepare_pairs(
    dataset: &Path,
    eval_dataset: Option<&Path>,
    config: &DataConfig,
    tokenizer: &Tokenizer,
) -> Result<Prepared<TokenizedPair>> {
    let tokenize = |pairs: &[_]| tokenize_pairs(pairs, tokenizer, &config.tokenize);
    let load = |path: &Path, split: &str| load_pairs(path, split);
    prepare(dataset, eval_dataset, config, load, check_pairs, tokenize)
}

/// Demonstrations, as [`prepare_pairs`].
///
/// # Errors
/// As [`load_demonstrations`] and [`tokenize_demonstrations`].
pub fn prepare_demonstrations(
    dataset: &Path,
    eval_dataset: Option<&Path>,
    config: &DataConfig,
    completion_only_loss: Option<bool>,
    tokenizer: &Tokenizer,
) -> Result<Prepared<TokenizedExample>> {
    let tokenize =
        |rows: &[_]| tokenize_demonstrations(rows, tokenizer, &config.tokenize, completion_only_loss);
    let load = |path: &Path, split: &str| load_demonstrations(path, split);
    prepare(dataset, eval_dataset, config, load, check_demonstrations, tokenize)
}

fn prepare<R, T>(
    dataset: &Path,
    eval_dataset: Option<&Path>,
    config: &DataConfig,
    load: impl Fn(&Path, &str) -> Result<Vec<R>>,
    check: impl Fn(&[R], Option<&[R]>) -> DatasetChecks,
    tokenize: impl Fn(&[R]) -> Result<(Vec<T>, TokenizeReport)>,
) -> Result<Prepared<T>> {
    let training = load(dataset, &config.dataset_train_split)?;
    let test_split = &config.dataset_test_split;
    let evaluation = match eval_dataset {
        Some(path) => Some(load(path, test_split)?),
        None if has_split(dataset, test_split) => Some(load(dataset, test_split)?),
        None => None,
    };
    let checks = check(&training, evaluation.as_deref());
    let (train, train_report) = tokenize(&training)?;
    let (held_out, held_out_report) = evaluation.map(|rows| tokenize(&rows)).transpose()?.unzip();
    let findings = Findings { checks, train: train_report, held_out: held_out_report };
    Ok(Prepared { train, held_out: held_out.unwrap_or_default(), findings })
}
