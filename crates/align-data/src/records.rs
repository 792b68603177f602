//! The records of a run: those to train on, and those held out. They come from files, which are read when
//! rows are made of them, or from a caller's own code.

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::mixture::{Amount, MixedDataset, rows};
use crate::options::DataConfig;
use crate::source::slice::Slice;
use crate::source::{Source, has_split};

/// Records of one kind, such as [`PreferencePair`](crate::PreferencePair).
#[derive(Clone, Debug)]
pub struct Records<R> {
    /// Records to train on.
    pub train: Source<R>,
    /// Held-out records to measure on; empty if there are none.
    pub held_out: Source<R>,
}

impl<R> Records<R> {
    /// Finds records with `open`, a function of a data set and a split such as [`open_pairs`](crate::open_pairs): training records
    /// of `datasets`, which are those of `config`, found; held-out ones of `eval_dataset`, else of the test splits of those data sets
    /// that have one.
    ///
    /// # Errors
    /// What `open` returns; a split or a config that is named although there is only a file; a data set of which no row is taken.
    pub fn open(
        datasets: &[Dataset],
        eval_dataset: Option<&Dataset>,
        config: &DataConfig,
        open: impl Fn(&Dataset, &str) -> Result<Source<R>>,
    ) -> Result<Self> {
        let DataConfig { datasets: sets, dataset_test_split, .. } = config;
        for (dataset, set) in datasets.iter().zip(sets) {
            let field = if set.field() == "datasets" { "datasets" } else { "dataset_train_split" };
            refuse_split_of_a_file(dataset, field, &set.split, "train")?;
        }
        let has_splits = datasets.iter().find(|dataset| dataset.has_splits());
        if let Some(evaluated) = eval_dataset.or(has_splits).or(datasets.first()) {
            refuse_split_of_a_file(evaluated, "dataset_test_split", dataset_test_split, "test")?;
        }
        let train = datasets.iter().zip(sets).map(|(dataset, set)| open(dataset, &set.split));
        let train = mixed(sets, train.collect::<Result<Vec<_>>>()?)?;
        let tested = |dataset: &&Dataset| has_split(*dataset, dataset_test_split);
        let held_out = match eval_dataset {
            Some(dataset) => open(dataset, dataset_test_split)?,
            None => Source::concatenated(
                datasets
                    .iter()
                    .filter(tested)
                    .map(|dataset| open(dataset, dataset_test_split))
                    .collect::<Result<_>>()?,
            )?,
        };
        Ok(Self { train, held_out })
    }
}

/// As much of each source as its data set says, one after the other.
fn mixed<R>(sets: &[MixedDataset], sources: Vec<Source<R>>) -> Result<Source<R>> {
    if sets.iter().all(|set| set.amount == Amount::All) {
        return Source::concatenated(sources);
    }
    let counts = sources.iter().map(|source| source.count()).collect::<Result<Vec<_>>>()?;
    let taken = rows(sets, &counts)?;
    Source::concatenated(sources.into_iter().zip(taken).map(|(source, rows)| source.first(rows)).collect())
}

/// Refuses a split of a file, where choosing one would do nothing. A part of the file is another matter.
fn refuse_split_of_a_file(dataset: &Dataset, field: &'static str, split: &str, default: &str) -> Result<()> {
    let split = Slice::parse(split)?.split();
    match &dataset.config {
        _ if dataset.has_splits() => Ok(()),
        Some(config) if field == "datasets" => no_effect(dataset, "datasets", config),
        Some(config) => no_effect(dataset, "dataset_config", config),
        None if split == default => Ok(()),
        None => no_effect(dataset, field, split),
    }
}

fn no_effect(dataset: &Dataset, field: &'static str, value: &str) -> Result<()> {
    let rule = format!("has no effect on {}, a file, which is read whole; remove it", dataset.path.display());
    no_effect_here(field, &rule, value)
}

pub(crate) fn no_effect_here<T>(field: &'static str, rule: &str, value: &str) -> Result<T> {
    Err(DataError::NoEffect { field, rule: rule.to_owned(), value: value.to_owned() })
}
