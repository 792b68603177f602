//! The header of a GGUF file: its metadata, and where its tensors lie.
//!
//! Not candle's reader, which takes 32 bytes of memory for each byte of an array, lets a name that occurs twice win silently,
//! divides by an alignment of 0, and calls a type of blocks that it does not know by its number alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::error::shown;
use crate::{Error, Kind, Metadata, Result, Value};

/// "GGUF".
const MAGIC: u32 = 0x4655_4747;
/// Bytes of a header: several times those of the largest vocabularies.
const LONGEST: u64 = 512 << 20;
/// Elements of an array: more than the largest vocabulary and its merges.
const LONGEST_ARRAY: u64 = 1 << 24;
const MOST_DIMENSIONS: u32 = 4;
const ALIGNMENT: &str = "general.alignment";

/// A tensor of a file.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// Rows first, as everywhere but in the file.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub kind: Kind,
    /// Its first byte in the file.
    pub(crate) start: u64,
    /// Its bytes.
    pub(crate) length: u64,
    /// The file of a split model.
    pub(crate) file: usize,
}

impl TensorInfo {
    /// Its bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.length
    }
}

/// What a header says.
pub(crate) struct Header {
    pub(crate) metadata: Metadata,
    pub(crate) tensors: BTreeMap<String, TensorInfo>,
}

/// Reads the header of the file that is number `number` of a split model.
pub(crate) fn read(path: &Path, number: usize) -> Result<Header> {
    let file = align_files::open(path)?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    let mut reader = Reader { path, inner: BufReader::new(file), at: 0, length };
    if reader.u32()? != MAGIC {
        return Err(Error::invalid(path, "is no GGUF file: it does not begin with `GGUF`"));
    }
    match reader.u32()? {
        2 | 3 => {}
        1 => return Err(Error::invalid(path, "is of version 1 of GGUF, expected 2 or 3; convert it again")),
        found if found & 0xffff == 0 => {
            return Err(Error::invalid(path, "is a big-endian GGUF file; only little-endian ones are read"));
        }
        found => return Err(Error::invalid(path, format!("is of version {found} of GGUF, expected 2 or 3"))),
    }
    let (tensors, entries) = (reader.u64()?, reader.u64()?);
    let mut metadata = BTreeMap::new();
    for _ in 0..entries {
        let name = reader.text()?;
        let kind = reader.u32()?;
        let value = reader.value(kind, &name)?;
        if metadata.insert(name.clone(), value).is_some() {
            return Err(Error::invalid(path, format!("names `{}` twice", shown(&name))));
        }
    }
    let metadata = Metadata::new(path, metadata);
    let infos = (0..tensors).map(|_| reader.tensor(number)).collect::<Result<Vec<_>>>()?;
    let alignment = metadata.optional_size(ALIGNMENT)?.unwrap_or(32) as u64;
    if !alignment.is_power_of_two() || alignment > 1 << 20 {
        return Err(Error::invalid(path, format!("`{ALIGNMENT}`: expected a power of 2, found {alignment}")));
    }
    let data = reader.at.next_multiple_of(alignment);
    let mut tensors = BTreeMap::new();
    for (name, info) in infos {
        let start = data.saturating_add(info.start);
        let end = start.saturating_add(info.length);
        if end > length {
            let name = shown(&name);
            return Err(Error::invalid(
                path,
                format!(
                    "has {length} bytes, its tensor `{name}` ends at {end}; was it copied or downloaded in full?"
                ),
            ));
        }
        if tensors.insert(name.clone(), TensorInfo { start, ..info }).is_some() {
            return Err(Error::invalid(path, format!("has two tensors called `{}`", shown(&name))));
        }
    }
    Ok(Header { metadata, tensors })
}

struct Reader<'a> {
    path: &'a Path,
    inner: BufReader<File>,
    at: u64,
    length: u64,
}

impl Reader<'_> {
    fn take(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.need(bytes.len() as u64)?;
        self.inner.read_exact(bytes).map_err(Error::io(self.path))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Refuses to read more than there is.
    fn need(&self, bytes: u64) -> Result<()> {
        if bytes > self.length.min(LONGEST).saturating_sub(self.at) {
            let (at, length) = (self.at, self.length);
            let problem = format!(
                "its header asks for {bytes} bytes at {at} of {length}; is it damaged, or not whole?"
            );
            return Err(Error::invalid(self.path, problem));
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn text(&mut self) -> Result<String> {
        let length = self.u64()?;
        self.need(length)?;
        let mut bytes = vec![0; length as usize];
        self.take(&mut bytes)?;
        // A few files have tokens that are no UTF-8; llama.cpp takes them as they are.
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn value(&mut self, kind: u32, name: &str) -> Result<Value> {
        Ok(match kind {
            7 => Value::Flag(self.bytes::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            9 => self.array(name)?,
            _ => self.number(kind, name)?,
        })
    }

    fn number(&mut self, kind: u32, name: &str) -> Result<Value> {
        Ok(match kind {
            0 => Value::Integer(u8::from_le_bytes(self.bytes()?).into()),
            1 => Value::Integer(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.bytes()?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Integer(self.u32()?.into()),
            5 => Value::Integer(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(shortest(f32::from_le_bytes(self.bytes()?))),
            10 => Value::Integer(i64::try_from(self.u64()?).unwrap_or(i64::MAX)),
            11 => Value::Integer(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            found => {
                return Err(Error::invalid(
                    self.path,
                    format!("`{}` is of the unknown type {found}", shown(name)),
                ));
            }
        })
    }

    fn array(&mut self, name: &str) -> Result<Value> {
        let (kind, length) = (self.u32()?, self.u64()?);
        if length > LONGEST_ARRAY {
            let problem =
                format!("`{}` has {length} elements, expected at most {LONGEST_ARRAY}", shown(name));
            return Err(Error::invalid(self.path, problem));
        }
        match kind {
            8 => Ok(Value::Texts((0..length).map(|_| self.text()).collect::<Result<_>>()?)),
            9 => Err(Error::invalid(self.path, format!("`{}` is an array of arrays", shown(name)))),
            7 => {
                let flag = |reader: &mut Self| Ok(f64::from(reader.bytes::<1>()?[0]));
                Ok(Value::Numbers((0..length).map(|_| flag(self)).collect::<Result<_>>()?))
            }
            _ => {
                let mut number = || match self.number(kind, name)? {
                    Value::Integer(number) => Ok(number as f64),
                    Value::Float(number) => Ok(number),
                    _ => Ok(f64::NAN),
                };
                Ok(Value::Numbers((0..length).map(|_| number()).collect::<Result<_>>()?))
            }
        }
    }

    fn tensor(&mut self, file: usize) -> Result<(String, TensorInfo)> {
        let name = self.text()?;
        let wrong =
            |problem: String| Error::invalid(self.path, format!("tensor `{}`: {problem}", shown(&name)));
        let dimensions = u32::from_le_bytes(self.bytes()?);
        if dimensions > MOST_DIMENSIONS {
            return Err(wrong(format!("has {dimensions} dimensions, expected at most {MOST_DIMENSIONS}")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        let (kind, start) = (self.u32()?, self.u64()?);
        let wrong =
            |problem: String| Error::invalid(self.path, format!("tensor `{}`: {problem}", shown(&name)));
        let kind = Kind::numbered(kind).map_err(wrong)?;
        match kind.bytes(&shape) {
            Some(length) => Ok((name, TensorInfo { shape, kind, start, length: length as u64, file })),
            None => Err(wrong(format!("its shape {shape:?} is not made of blocks of {kind}"))),
        }
    }
}

/// The number that was meant: 1e-5, and not what 32 bits make of it in 64.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(number.into())
}
