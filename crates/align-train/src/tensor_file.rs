//! A safetensors file that is read in parts: a rank needs its share of a state, and a copy of the whole file would be the most that
//! a run ever has in memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::{Error, Result};

/// Bytes of a header that is read: far more than names of parameters take.
const MOST: u64 = 100 << 20;

/// An open file, and where its tensors lie.
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    /// Where the tensors begin.
    start: u64,
}

impl TensorFile {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unreadable = |problem: String| Error::checkpoint(path, format!("cannot be read: {problem}"));
        let io = |error: std::io::Error| unreadable(error.to_string());
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(io)?;
        let size = u64::from_le_bytes(size);
        if size > MOST || size > length {
            return Err(unreadable(format!("its header would have {size} bytes")));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(io)?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { path: path.to_owned(), file, header, start: 8 + size })
    }

    /// Type and shape of a tensor, if there is one of this name.
    pub(crate) fn info(&self, name: &str) -> Option<(Dtype, &Vec<usize>)> {
        self.header.info(name).map(|info| (info.dtype, &info.shape))
    }

    /// Bytes of a tensor from one on, at most so many.
    pub(crate) fn read(&mut self, name: &str, from: usize, most: usize) -> Result<Vec<u8>> {
        let absent = || Error::checkpoint(&self.path, format!("it has no tensor `{name}`"));
        let (start, end) = self.header.info(name).ok_or_else(absent)?.data_offsets;
        let first = end.min(start.saturating_add(from));
        let mut bytes = vec![0; most.min(end - first)];
        let place = SeekFrom::Start(self.start + first as u64);
        let read = self.file.seek(place).and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|error| Error::checkpoint(&self.path, format!("cannot be read: {error}")))?;
        Ok(bytes)
    }
}
