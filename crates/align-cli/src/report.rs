//! Results on their way out: JSON files that are whole or absent.

use std::io;
use std::path::Path;

use serde::Serialize;

/// Writes `value` as indented JSON. The file appears complete under its name or not at all.
///
/// # Errors
/// The system's, with the path in the message.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    Ok(align_files::write_json(path, value)?)
}
