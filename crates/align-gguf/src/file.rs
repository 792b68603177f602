//! A model in a GGUF file, or in the several files that it was split into.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};

use crate::error::shown;
use crate::header::{self, Header, TensorInfo};
use crate::{Error, Kind, Metadata, Result};

/// The extension.
pub const EXTENSION: &str = "gguf";

/// A file whose header was read and whose tensors were not.
#[derive(Clone, Debug)]
pub struct GgufFile {
    files: Vec<PathBuf>,
    metadata: Metadata,
    tensors: BTreeMap<String, TensorInfo>,
}

impl GgufFile {
    /// True for the name of a file that is to be opened as one.
    pub fn is_at(path: &Path) -> bool {
        path.extension().is_some_and(|it| it.eq_ignore_ascii_case(EXTENSION)) && !path.is_dir()
    }

    /// Opens a file and reads its header; of the first file of a split model those of all.
    ///
    /// # Errors
    /// A file that is damaged, not whole, or has blocks of a type that is not read; a part that is missing.
    pub fn open(path: &Path) -> Result<Self> {
        let Header { metadata, mut tensors } = header::read(path, 0)?;
        let count = metadata.optional_size("split.count")?.unwrap_or(1);
        let mut files = vec![path.to_owned()];
        if count > 1 {
            files = parts(path, count)?;
            for (number, part) in files.iter().enumerate().skip(1) {
                for (name, info) in header::read(part, number)?.tensors {
                    if tensors.insert(name.clone(), info).is_some() {
                        return Err(Error::invalid(
                            part,
                            format!("tensor `{}` is in another part too", shown(&name)),
                        ));
                    }
                }
            }
        }
        Ok(Self { files, metadata, tensors })
    }

    /// What the file says of the model.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The tensors, by name.
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        self.metadata.path()
    }

    /// The bytes of a tensor.
    ///
    /// # Errors
    /// If the file ends before the tensor does.
    pub fn bytes(&self, tensor: &TensorInfo) -> Result<Vec<u8>> {
        let path = &self.files[tensor.file];
        let mut file = File::open(path).map_err(Error::io(path))?;
        file.seek(SeekFrom::Start(tensor.start)).map_err(Error::io(path))?;
        let mut bytes = vec![0; tensor.length as usize];
        file.read_exact(&mut bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::invalid(path, "became shorter while it was read; is it still being written?")
            }
            _ => Error::io(path)(error),
        })?;
        Ok(bytes)
    }
}

/// The numbers in the bytes of a tensor; none if they are in blocks of few bits.
pub fn numbers(kind: Kind, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match kind {
        Kind::F32 => bytes.as_chunks().0.iter().map(|&at| f32::from_le_bytes(at)).collect(),
        Kind::F16 => bytes.as_chunks().0.iter().map(|&at| f16::from_le_bytes(at).to_f32()).collect(),
        Kind::BF16 => bytes.as_chunks().0.iter().map(|&at| bf16::from_le_bytes(at).to_f32()).collect(),
        _ => return None,
    })
}

/// The files of a split model, by the name of its first.
fn parts(first: &Path, count: usize) -> Result<Vec<PathBuf>> {
    let wrong = |problem: String| Error::invalid(first, problem);
    let name = first.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = format!("-00001-of-{count:05}.{EXTENSION}");
    let Some(stem) = name.strip_suffix(&ending).filter(|_| count < 100_000) else {
        return Err(wrong(format!("is one of {count} parts; name the first, which ends in `{ending}`")));
    };
    let part = |number: usize| {
        let part = first.with_file_name(format!("{stem}-{number:05}-of-{count:05}.{EXTENSION}"));
        if part.is_file() { Ok(part) } else { Err(wrong(format!("its part {} is missing", part.display()))) }
    };
    (1..=count).map(part).collect()
}
