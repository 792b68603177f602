//! The records of a run: those to train on, and those held out. They come from files, which are read when
//! rows are made of them, or from a caller's own code.

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
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
    /// of `dataset`; held-out ones of `eval_dataset`, else of the dataset's test split if it has one.
    ///
    /// # Errors
    /// What `open` returns; a split or a config that is named although there is only a file.
    pub fn open(
        dataset: &Dataset,
        eval_dataset: Option<&Dataset>,
        config: &DataConfig,
        open: impl Fn(&Dataset, &str) -> Result<Source<R>>,
    ) -> Result<Self> {
        let DataConfig { dataset_train_split, dataset_test_split, .. } = config;
        let evaluated = eval_dataset.unwrap_or(dataset);
        refuse_split_of_a_file(dataset, "dataset_train_split", dataset_train_split, "train")?;
        refuse_split_of_a_file(evaluated, "dataset_test_split", dataset_test_split, "test")?;
        let train = open(dataset, dataset_train_split)?;
        let held_out = match eval_dataset {
            Some(dataset) => open(dataset, dataset_test_split)?,
            None if has_split(dataset, dataset_test_split) => open(dataset, dataset_test_split)?,
            None => Source::default(),
        };
        Ok(Self { train, held_out })
    }
}

/// Refuses a split of a file, where choosing one would do nothing. A part of the file is another matter.
fn refuse_split_of_a_file(dataset: &Dataset, field: &'static str, split: &str, default: &str) -> Result<()> {
    let split = Slice::parse(split)?.split();
    match &dataset.config {
        _ if dataset.has_splits() => Ok(()),
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
