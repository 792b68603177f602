//! A mixture as users write it: `datasets`, `dataset_mixer`, or one `dataset_name`.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Amount, MixedDataset, option_error};
use crate::column_mapping::ColumnMapping;
use crate::error::{DataError, Result};
use crate::guard::shortened;
use crate::options::DataOptions;

/// Data sets of a mixture. Each is opened before a row is read.
const MOST: usize = 1000;
/// What `datasets` has in the place of a data set where `data_files` names files of this kind.
const BUILDERS: [&str; 4] = ["json", "csv", "parquet", "text"];

/// A data set as `datasets` has it, with the names of TRL's `DatasetConfig`; `column_mapping` is ours.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    name: Option<String>,
    data_dir: Option<String>,
    data_files: Option<String>,
    split: Option<String>,
    columns: Option<Vec<String>>,
    column_mapping: Option<Map<String, Value>>,
    fraction: Option<f64>,
}

impl DataOptions {
    /// The data sets to train on.
    pub(crate) fn training_data(&self) -> Result<Vec<MixedDataset>> {
        let Self { dataset_name, datasets, dataset_mixer, dataset_config, dataset_train_split, .. } = self;
        let no_effect = |field, rule: &str, value: &str| {
            Err(DataError::NoEffect { field, rule: rule.to_owned(), value: value.to_owned() })
        };
        let named = dataset_name.as_ref().map(|name| ("dataset_name", name.as_str()));
        if let (Some((field, value)), Some(_), _) | (Some((field, value)), _, Some(_)) =
            (named, datasets, dataset_mixer)
        {
            return no_effect(
                field,
                "has no effect beside a mixture (`datasets`, `dataset_mixer`); keep one",
                value,
            );
        }
        if let (Some(mixer), Some(_)) = (dataset_mixer, datasets) {
            return no_effect("dataset_mixer", "has no effect beside `datasets`; keep one", &mixer.join(","));
        }
        if let (true, Some(config)) = (datasets.is_some() || dataset_mixer.is_some(), dataset_config) {
            return no_effect(
                "dataset_config",
                "has no effect on a mixture; give `name` to each of `datasets`",
                config,
            );
        }
        match (datasets, dataset_mixer) {
            (Some(_), _) if dataset_train_split != "train" => {
                let rule = "has no effect beside `datasets`; give `split` to each of them";
                no_effect("dataset_train_split", rule, dataset_train_split)
            }
            (Some(datasets), _) => MixedDataset::list(datasets),
            (None, Some(mixer)) => MixedDataset::mixer(mixer, dataset_train_split),
            (None, None) => Ok(dataset_name
                .iter()
                .map(|name| MixedDataset {
                    config: dataset_config.clone(),
                    split: dataset_train_split.clone(),
                    ..MixedDataset::new("dataset_name", name)
                })
                .collect()),
        }
    }
}

impl MixedDataset {
    /// Reads `datasets`: a list of objects in JSON.
    ///
    /// # Errors
    /// What is no such list; entries with unknown keys, without a place, with a `fraction` that is none, or in some only; the same set twice.
    pub fn list(json: &str) -> Result<Vec<Self>> {
        let expected = "expected a list of data sets, as [{\"path\": \"a.jsonl\", \"fraction\": 0.5}, …]";
        let wrong = |reason: &dyn fmt::Display| {
            let rule = format!("{expected}: {reason}");
            DataError::Option { field: "datasets", rule, value: shortened(json) }
        };
        let values: Vec<Value> = serde_json::from_str(json).map_err(|error| wrong(&error))?;
        if values.is_empty() || values.len() > MOST {
            return Err(wrong(&format!("there are {}, and there can be 1 to {MOST}", values.len())));
        }
        // The text itself tells keys that are there twice; its values, which entry is wrong.
        for (place, value) in values.iter().enumerate() {
            Entry::deserialize(value).map_err(|error| wrong_entry(place, value, &error))?;
        }
        let entries: Vec<Entry> = serde_json::from_str(json).map_err(|error| wrong(&error))?;
        let entries = entries.into_iter().zip(&values).enumerate();
        let sets = entries.map(|(place, (entry, value))| Self::entry(place, entry, value));
        let sets = sets.collect::<Result<Vec<_>>>()?;
        let given = sets.iter().filter(|set| set.amount != Amount::All).count();
        if let Some(without) = sets.iter().find(|set| given > 0 && set.amount == Amount::All) {
            let rule = format!("expected a `fraction` for all data sets or for none; {without} has none");
            return option_error("datasets", rule, format!("{given} of {}", sets.len()));
        }
        distinct("datasets", sets)
    }

    /// Reads `dataset_mixer`: data sets with the shares of their own rows, `PATH=SHARE`, of one split.
    ///
    /// # Errors
    /// Entries that are none; shares that are not above 0 and at most 1; the same set twice.
    pub fn mixer(entries: &[String], split: &str) -> Result<Vec<Self>> {
        let set = |(place, entry): (usize, &String)| {
            let (name, share) =
                entry.rsplit_once('=').map_or((entry.as_str(), None), |(name, share)| (name, Some(share)));
            let share: Option<f64> = share.and_then(|share| share.trim().parse().ok());
            let rule = "expected a data set and the share of its rows that is taken, above 0 and at most 1, as `a.jsonl=0.5`";
            match share.filter(|share| *share > 0.0 && *share <= 1.0 && !name.trim().is_empty()) {
                None => option_error("dataset_mixer", rule.to_owned(), shortened(entry)),
                Some(share) => Ok(Self {
                    split: split.to_owned(),
                    amount: Amount::OfItself(share),
                    ..Self::new(format!("dataset_mixer[{place}]"), name.trim())
                }),
            }
        };
        distinct("dataset_mixer", entries.iter().enumerate().map(set).collect::<Result<_>>()?)
    }

    /// The data set of an entry, which stands at this place of the list as this value.
    fn entry(place: usize, entry: Entry, value: &Value) -> Result<Self> {
        let option = format!("datasets[{place}]");
        let wrong = |reason: String| Err(wrong_entry(place, value, &reason));
        let Entry { path, name, data_dir, data_files, split, columns, column_mapping, fraction } = entry;
        let texts = [Some(&path), name.as_ref(), data_dir.as_ref(), data_files.as_ref(), split.as_ref()];
        if texts.into_iter().flatten().any(|text| text.trim().is_empty()) {
            return wrong("expected names that are not empty".to_owned());
        }
        if columns.as_ref().is_some_and(Vec::is_empty) {
            return wrong("expected `columns` to name some, or to be left out for all".to_owned());
        }
        if let Some(fraction) = fraction.filter(|it| !(it.is_finite() && *it > 0.0)) {
            let reason = format!(
                "expected a `fraction` above 0, found {fraction}; leave the data set out where none of it is wanted"
            );
            return wrong(reason);
        }
        let mapped =
            |(ours, theirs): (&String, &Value)| theirs.as_str().map(|theirs| format!("{ours}={theirs}"));
        let column_mapping =
            match column_mapping.as_ref().map(|it| it.iter().map(mapped).collect::<Option<Vec<_>>>()) {
                None => None,
                Some(None) => return wrong("expected names of columns in `column_mapping`".to_owned()),
                Some(Some(entries)) => Some(ColumnMapping::parse(&entries)?),
            };
        Ok(Self {
            name: below(path, data_dir, data_files),
            config: name,
            split: split.unwrap_or_else(|| "train".to_owned()),
            column_mapping,
            columns,
            amount: fraction.map_or(Amount::All, Amount::OfMixture),
            ..Self::new(option, "")
        })
    }
}

fn wrong_entry(place: usize, value: &Value, reason: &dyn fmt::Display) -> DataError {
    let (rule, value) = (format!("[{place}]: {reason}"), shortened(&value.to_string()));
    DataError::Option { field: "datasets", rule, value }
}

/// The place that `load_dataset` means: a folder, or files, of the data set; files of their own where a kind of files stands for it.
fn below(path: String, data_dir: Option<String>, data_files: Option<String>) -> String {
    let is_kind = BUILDERS.contains(&path.as_str()) && !Path::new(&path).exists();
    let base = match (is_kind, data_dir) {
        (true, None) if data_files.is_some() => return data_files.unwrap_or_default(),
        (true, Some(dir)) => dir,
        (false, Some(dir)) => format!("{}/{dir}", path.trim_end_matches('/')),
        (_, None) => path,
    };
    match data_files {
        Some(files) if files.starts_with('/') => files,
        Some(files) => format!("{}/{files}", base.trim_end_matches('/')),
        None => base,
    }
}

/// The same, if no set is there twice: its rows would be.
fn distinct(field: &'static str, sets: Vec<MixedDataset>) -> Result<Vec<MixedDataset>> {
    let place = |set: &MixedDataset| (set.name.clone(), set.config.clone(), set.split.clone());
    for (at, set) in sets.iter().enumerate() {
        if sets[..at].iter().any(|earlier| place(earlier) == place(set)) {
            let rule = "expected each data set once; another split, or a part of one (`train[:100]`), is another set";
            return option_error(field, rule.to_owned(), set.to_string());
        }
    }
    Ok(sets)
}
