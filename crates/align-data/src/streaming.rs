//! Streaming: of a source that is read once, as many rows as a run trains on, each once and in their order.

use crate::error::{DataError, Result};
use crate::mixture::{Amount, MixedDataset};
use crate::options::DataConfig;
use crate::order::SamplingStrategy;
use crate::source::slice::Slice;

impl DataConfig {
    /// Takes the first `rows` of the data set in their order, and reads no more: the source may have no end.
    ///
    /// # Errors
    /// Several data sets, or part of one.
    pub fn stream(&mut self, rows: usize) -> Result<()> {
        let refuse = |rule: &str| {
            let (field, rule, value) = ("dataset_streaming", rule.to_owned(), "true".to_owned());
            Err(DataError::Option { field, rule, value })
        };
        let [MixedDataset { split, amount: Amount::All, .. }] = self.datasets.as_mut_slice() else {
            return refuse(
                "needs one data set, `dataset_name`: a share of a source asks for its number of rows",
            );
        };
        if Slice::parse(split)?.is_part() {
            return refuse(
                "needs a whole split: as many rows are read as the run trains on; remove the part",
            );
        }
        *split = format!("{split}[:{rows}]");
        self.train_sampling_strategy = SamplingStrategy::Sequential;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::options::DataOptions;

    #[test]
    fn as_many_rows_are_read_as_are_trained_on() {
        let options = |name: &str, split: &str| DataOptions {
            dataset_name: Some(name.to_owned()),
            dataset_train_split: split.to_owned(),
            ..DataOptions::default()
        };
        let mut data = options("d", "train_prefs").check().unwrap();
        data.stream(12).unwrap();
        assert_eq!(data.datasets[0].split, "train_prefs[:12]");
        let error = options("d", "train[5:]").check().unwrap().stream(12).unwrap_err().to_string();
        assert!(error.starts_with("dataset_streaming: needs a whole split"), "{error}");
        let mixer = Some(vec!["a=1.0".to_owned(), "b=0.5".to_owned()]);
        let mixed = DataOptions { dataset_mixer: mixer, ..DataOptions::default() };
        let error = mixed.check().unwrap().stream(12).unwrap_err().to_string();
        assert!(error.starts_with("dataset_streaming: needs one data set"), "{error}");
    }
}
