//! Parquet files in a program that was built without them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::rows::Row;
use crate::error::{DataError, Result};

/// Refuses the file.
pub(super) fn rows(path: Arc<Path>) -> Result<std::iter::Empty<Result<Row>>> {
    Err(refused(&path))
}

/// Refuses the file.
pub(super) fn count(path: &Path) -> Result<usize> {
    Err(refused(path))
}

fn refused(path: &Path) -> DataError {
    let problem = "this program was built without Parquet; build it with the feature `parquet` of align-data, or convert the \
                   file, in Python: pandas.read_parquet(file).to_json(\"rows.jsonl\", orient=\"records\", lines=True)";
    DataError::Read { path: path.to_path_buf(), source: io::Error::new(io::ErrorKind::Unsupported, problem) }
}
