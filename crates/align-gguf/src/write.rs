//! Files written tensor by tensor, so that no more than one needs to be in memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Kind, Result};

/// A value of the metadata of a file that is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// A whole number.
    U32(u32),
    /// A number.
    F32(f32),
    /// True or false.
    Flag(bool),
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// Several whole numbers.
    I32s(Vec<i32>),
    /// Several numbers.
    F32s(Vec<f32>),
}

/// Names and values.
pub type Fields = Vec<(String, Field)>;

/// Bytes that a tensor begins at a multiple of.
const ALIGNMENT: usize = 32;

/// A file that is being written.
#[derive(Debug)]
pub struct GgufWriter {
    path: PathBuf,
    to: BufWriter<File>,
    /// Bytes of the tensors that are still to come, the next last.
    left: Vec<usize>,
}

impl GgufWriter {
    /// Creates the file and writes its header: tensors by name, kind and shape, in the order in which they will come.
    ///
    /// # Errors
    /// A file that is there already or cannot be written; a shape that its blocks do not fit.
    pub fn create(
        path: &Path,
        fields: &[(String, Field)],
        tensors: &[(String, Kind, Vec<usize>)],
    ) -> Result<Self> {
        let to = BufWriter::new(File::create_new(path).map_err(Error::io(path))?);
        let mut writer = Self { path: path.to_owned(), to, left: Vec::new() };
        let mut bytes = Vec::from(*b"GGUF");
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend((fields.len() as u64).to_le_bytes());
        for (name, field) in fields {
            text(&mut bytes, name);
            field.append(&mut bytes);
        }
        let mut offset = 0;
        for (name, kind, shape) in tensors {
            let length = kind.bytes(shape).ok_or_else(|| {
                Error::invalid(
                    path,
                    format!("tensor `{name}`: rows of {shape:?} are not made of blocks of {kind}"),
                )
            })?;
            text(&mut bytes, name);
            bytes.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|size| bytes.extend((*size as u64).to_le_bytes()));
            bytes.extend(kind.number().to_le_bytes());
            bytes.extend((offset as u64).to_le_bytes());
            writer.left.push(length);
            offset += length.next_multiple_of(ALIGNMENT);
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        writer.left.reverse();
        writer.append(&bytes)?;
        Ok(writer)
    }

    /// Writes the next tensor.
    ///
    /// # Errors
    /// If it has not as many bytes as its shape needs, or the file cannot be written.
    pub fn tensor(&mut self, bytes: &[u8]) -> Result<()> {
        let expected = self.left.pop();
        if expected != Some(bytes.len()) {
            let problem = format!("expected a tensor of {expected:?} bytes, got {}", bytes.len());
            return Err(Error::invalid(&self.path, problem));
        }
        self.append(bytes)?;
        let padding = bytes.len().next_multiple_of(ALIGNMENT) - bytes.len();
        self.append(&[0; ALIGNMENT][..padding])
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If a tensor did not come, or the file cannot be written.
    pub fn finish(self) -> Result<()> {
        let Self { path, to, left } = self;
        if !left.is_empty() {
            return Err(Error::invalid(&path, format!("{} tensors are missing", left.len())));
        }
        let file = to.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        file.sync_all().map_err(Error::io(&path))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written: io::Result<()> = self.to.write_all(bytes);
        written.map_err(Error::io(&self.path))
    }
}

impl Field {
    fn append(&self, to: &mut Vec<u8>) {
        let kind =
            |to: &mut Vec<u8>, kinds: &[u32]| kinds.iter().for_each(|kind| to.extend(kind.to_le_bytes()));
        match self {
            Self::U32(number) => kind(to, &[4, *number]),
            Self::F32(number) => {
                kind(to, &[6]);
                to.extend(number.to_le_bytes());
            }
            Self::Flag(flag) => {
                kind(to, &[7]);
                to.push((*flag).into());
            }
            Self::Text(own) => {
                kind(to, &[8]);
                text(to, own);
            }
            Self::Texts(all) => {
                kind(to, &[9, 8]);
                to.extend((all.len() as u64).to_le_bytes());
                all.iter().for_each(|own| text(to, own));
            }
            Self::I32s(all) => {
                kind(to, &[9, 5]);
                to.extend((all.len() as u64).to_le_bytes());
                all.iter().for_each(|number| to.extend(number.to_le_bytes()));
            }
            Self::F32s(all) => {
                kind(to, &[9, 6]);
                to.extend((all.len() as u64).to_le_bytes());
                all.iter().for_each(|number| to.extend(number.to_le_bytes()));
            }
        }
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}
