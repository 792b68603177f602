//! A data set by its place: what every function that loads records takes.

use std::path::{Path, PathBuf};

use crate::column_mapping::ColumnMapping;
use crate::store::TokenCache;

/// A data set: where it lies, which of its configs is meant, what its columns are called, and how many of its rows may be
/// unusable.
///
/// The place is a file, a directory (of files by split, as `datasets` finds them), a pattern
/// of files (`data/*.parquet`), or `-`, standard input. A path alone is a data set in its default config.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The place.
    pub path: PathBuf,
    /// A config that the card of the directory names; none is the default.
    pub config: Option<String>,
    /// Columns that are called otherwise than those that are read.
    pub columns: ColumnMapping,
    /// The only columns that are read, by the data set's own names; none is all.
    pub selected: Option<Vec<String>>,
    /// Share of rows that may be left out because they cannot be used, 0 to 1. A path alone allows none: the first such row
    /// is an error.
    pub max_bad_rows: f64,
    /// Where its rows are kept as token ids, if they are many.
    pub cache: TokenCache,
}

impl Dataset {
    /// The data set with another config, or with its default one.
    #[must_use]
    pub fn with_config(self, config: Option<String>) -> Self {
        Self { config, ..self }
    }

    /// Whether it has splits: a directory has some, everything else is one.
    pub(crate) fn has_splits(&self) -> bool {
        self.path.is_dir()
    }

    /// Whether it is standard input, which can be read once.
    pub(crate) fn is_standard_input(&self) -> bool {
        self.path == Path::new("-")
    }
}

impl<P: AsRef<Path>> From<P> for Dataset {
    fn from(path: P) -> Self {
        let (path, columns) = (path.as_ref().to_path_buf(), ColumnMapping::default());
        Self { path, config: None, columns, selected: None, max_bad_rows: 0.0, cache: TokenCache::default() }
    }
}

impl From<&Self> for Dataset {
    fn from(dataset: &Self) -> Self {
        dataset.clone()
    }
}
