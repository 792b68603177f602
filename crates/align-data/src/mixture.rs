//! A mixture: the data sets that a run is trained on, each with how much of it is taken.
//!
//! There is one design, and one data set is the mixture of one: rows of each set are taken from its beginning, the sets follow each
//! other, and the seeded order of training mixes the whole. What is taken is decided before anything is trained; nothing is drawn at
//! random twice, and no row is there twice. Users write it as TRL does (`datasets`: a list, with `fraction`, the share of the
//! mixture) or as the alignment handbook does (`dataset_mixer`: sets with the share of their own rows).

mod written;

use std::fmt;

use serde::Serialize;

use crate::column_mapping::ColumnMapping;
use crate::error::{DataError, Result};
use crate::guard::shortened;

/// A data set that a run is trained on, alone or with others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MixedDataset {
    /// The option that names it, with its place where that is a list: `datasets[1]`.
    pub option: String,
    /// A path or a hub id.
    pub name: String,
    /// One of its configs; none is the default one.
    pub config: Option<String>,
    /// Split to train on, or a part of one.
    pub split: String,
    /// Columns that are called otherwise; none where those of the run hold.
    pub column_mapping: Option<ColumnMapping>,
    /// The only columns that are read, by the data set's own names.
    pub columns: Option<Vec<String>>,
    /// How much of it is taken.
    pub amount: Amount,
}

/// How much of a data set is taken, always from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Amount {
    /// All rows.
    All,
    /// A share of the mixture, in proportion to those of the other sets: the mixture is as large as the set that is used up first allows.
    OfMixture(f64),
    /// A share of its own rows, above 0 and at most 1.
    OfItself(f64),
}

impl MixedDataset {
    /// A data set, all rows of its split `train` in its default config.
    pub(crate) fn new(option: impl Into<String>, name: impl Into<String>) -> Self {
        let (option, name, split) = (option.into(), name.into(), "train".to_owned());
        Self { option, name, config: None, split, column_mapping: None, columns: None, amount: Amount::All }
    }
}

/// How many of so many rows of each data set are taken, as TRL's `get_dataset` has it; the counts are those before any row is left out.
///
/// # Errors
/// A data set of which nothing is left.
pub(crate) fn rows(sets: &[MixedDataset], counts: &[usize]) -> Result<Vec<usize>> {
    let fraction =
        |set: &MixedDataset| if let Amount::OfMixture(fraction) = set.amount { fraction } else { 0.0 };
    let sum: f64 = sets.iter().map(fraction).sum();
    let weights: Vec<f64> = sets.iter().map(|set| fraction(set) / sum).collect();
    let sizes = counts.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0);
    let size = sizes.map(|(count, weight)| *count as f64 / weight).fold(f64::INFINITY, f64::min);
    let taken = sets.iter().zip(counts).zip(&weights).map(|((set, &count), weight)| {
        let rows = match set.amount {
            Amount::All => return Ok(count),
            // Ties go to the even number, as in Python.
            Amount::OfMixture(_) => (weight * size).round_ties_even() as usize,
            Amount::OfItself(share) => (share * count as f64) as usize,
        };
        match rows.min(count) {
            0 => {
                let rule = format!("expected at least one row of {set}, which has {count}: so small a share of it rounds to nothing");
                option_error(set.field(), rule, "0 rows".to_owned())
            }
            rows => Ok(rows),
        }
    });
    taken.collect()
}

impl MixedDataset {
    /// The option that names it.
    pub(crate) fn field(&self) -> &'static str {
        ["datasets", "dataset_mixer"]
            .into_iter()
            .find(|it| self.option.starts_with(it))
            .unwrap_or("dataset_name")
    }
}

impl fmt::Display for MixedDataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.option, shortened(&self.name))
    }
}

pub(crate) fn option_error<T>(field: &'static str, rule: String, value: String) -> Result<T> {
    Err(DataError::Option { field, rule, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(amounts: &[Amount], counts: &[usize]) -> Result<Vec<usize>> {
        let set = |amount: &Amount| MixedDataset { amount: *amount, ..MixedDataset::new("datasets[0]", "d") };
        rows(&amounts.iter().map(set).collect::<Vec<_>>(), counts)
    }

    #[test]
    fn as_many_rows_are_taken_as_trl_takes() {
        // trl.scripts.utils.get_dataset of TRL 1.x, on files of as many rows.
        let check = |fractions: &[f64], counts: &[usize], expected: &[usize]| {
            let amounts: Vec<_> = fractions.iter().map(|fraction| Amount::OfMixture(*fraction)).collect();
            assert_eq!(taken(&amounts, counts).unwrap(), expected, "{fractions:?} of {counts:?}");
        };
        check(&[0.5, 0.3, 0.2], &[100, 40, 70], &[67, 40, 27]);
        check(&[1.0, 1.0, 1.0], &[7, 100, 9], &[7, 7, 7]);
        check(&[5.0, 2.5], &[5, 5], &[5, 2]);
        check(&[0.1], &[10], &[10]);
    }

    #[test]
    fn a_share_of_a_set_is_rounded_down() {
        let shares = [Amount::OfItself(0.5), Amount::OfItself(1.0)];
        assert_eq!(taken(&shares, &[7, 3]).unwrap(), [3, 3]);
        assert_eq!(taken(&[Amount::All, Amount::All], &[7, 3]).unwrap(), [7, 3]);
        let error = taken(&[Amount::OfItself(0.1)], &[9]).unwrap_err().to_string();
        assert!(error.starts_with("datasets: expected at least one row"), "{error}");
    }
}
