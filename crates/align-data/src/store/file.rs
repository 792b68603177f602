//! The file of stored rows: a line that says what it is, then frames, of which each has the length and the checksum (CRC-32C)
//! of what is in it: a training row, a held-out row, the prompt of a held-out record, and at the end the summary. A file
//! that lacks its summary was cut; one in which a frame does not have its checksum is damaged. Either is found when it is
//! opened, for all of it is read then, and again when a row is read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::building::place_of;
use super::bytes::{Bytes, put_usize};
use super::cache::Output;
use super::encode::StoredRow;
use super::rows::{Kind, Rows};
use crate::error::{DataError, Result};
use crate::prepare::Findings;
use crate::record::{Origin, Text};

const MAGIC: &[u8] = b"candle-align tokens 1\n";

/// The file of a row that was made in code.
const IN_CODE: u32 = u32::MAX;

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    Train = 0,
    HeldOut = 1,
    Prompt = 2,
    Summary = 3,
}

/// What is known of all rows; the last frame.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) key: String,
    pub(crate) fingerprint: String,
    pub(crate) longest: usize,
    pub(crate) findings: Findings,
    /// Training pairs, where the rows are the answers of such: they stand pair by pair in the file, and are wanted in another
    /// order.
    pub(crate) pairs: Option<usize>,
}

/// A training row in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    offset: u64,
    bytes: u32,
    tokens: u32,
    pub(super) record: usize,
}

/// Puts the answers of so many pairs, which stand pair by pair in the file, into their order.
pub(super) fn chosen_first(index: &mut [Entry], pairs: usize) {
    index.iter_mut().for_each(|entry| entry.record = place_of(entry.record, pairs));
    index.sort_by_key(|entry| entry.record);
}

/// The training rows of a file that is open.
#[derive(Clone, Debug)]
pub(super) struct StoreFile(Arc<Open>);

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    origins: Vec<Arc<Path>>,
    index: Vec<Entry>,
}

impl StoreFile {
    pub(super) fn new(file: File, path: PathBuf, origins: Vec<Arc<Path>>, index: Vec<Entry>) -> Self {
        Self(Arc::new(Open { file, path, origins, index }))
    }

    pub(super) fn len(&self) -> usize {
        self.0.index.len()
    }

    pub(super) fn lengths(&self) -> Vec<usize> {
        self.0.index.iter().map(|entry| entry.tokens as usize).collect()
    }

    pub(super) fn row<T: StoredRow>(&self, number: usize) -> Result<T> {
        let Open { file, path, origins, index } = &*self.0;
        let entry = index[number];
        let mut frame = vec![0; HEAD + entry.bytes as usize];
        let changed = |found: &str| DataError::Store {
            path: path.clone(),
            problem: format!("{found} since it was opened; remove the file and start the run again"),
        };
        read_at(file, &mut frame, entry.offset)
            .map_err(|error| changed(&format!("cannot be read ({error})")))?;
        let body = body(&frame).ok_or_else(|| changed("was changed"))?;
        decode(&body[1..], origins, |_| entry.record).ok_or_else(|| changed("was changed"))
    }
}

/// Bytes of a frame before its body: length and checksum.
const HEAD: usize = 8;

/// The body of a whole frame, if it is the one that was written.
fn body(frame: &[u8]) -> Option<&[u8]> {
    let mut bytes = Bytes(frame);
    let (length, checksum) = (bytes.u32()?, bytes.u32()?);
    (bytes.0.len() == length as usize && crc32c::crc32c(bytes.0) == checksum).then_some(bytes.0)
}

/// A row from what is behind its tag.
fn decode<T: StoredRow>(
    body: &[u8],
    origins: &[Arc<Path>],
    record: impl FnOnce(usize) -> usize,
) -> Option<T> {
    let mut bytes = Bytes(body);
    let (stored, file, line, _) = (bytes.usize()?, bytes.u32()?, bytes.usize()?, bytes.u32()?);
    let origin = match file {
        IN_CODE => Origin::in_code(line.checked_sub(1)?),
        file => Origin::new(origins.get(file as usize)?.clone(), line),
    };
    let row = T::read(&mut bytes, record(stored), origin)?;
    bytes.0.is_empty().then_some(row)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        offset += read as u64;
    }
    Ok(())
}

/// A file that is being written.
pub(super) struct Writing {
    output: Output,
    at: u64,
    origins: Vec<Arc<Path>>,
    numbers: HashMap<Arc<Path>, u32>,
    pub(super) index: Vec<Entry>,
    body: Vec<u8>,
}

impl Writing {
    /// Begins a file of rows that come from these files, or from others.
    pub(super) fn begin(output: Output, origins: &[Arc<Path>]) -> Result<Self> {
        let numbers = origins.iter().zip(0..).map(|(origin, number)| (origin.clone(), number)).collect();
        let (origins, index, body) = (origins.to_vec(), Vec::new(), Vec::new());
        let mut writing = Self { output, at: 0, origins, numbers, index, body };
        writing.put(MAGIC)?;
        Ok(writing)
    }

    /// Appends a training row.
    pub(super) fn train<T: StoredRow>(&mut self, row: &T) -> Result<()> {
        let offset = self.at;
        let tokens = u32::try_from(row.tokens()).unwrap_or(u32::MAX);
        let bytes = self.row(Tag::Train, row, tokens)?;
        self.index.push(Entry { offset, bytes, tokens, record: row.row() });
        Ok(())
    }

    fn row<T: StoredRow>(&mut self, tag: Tag, row: &T, tokens: u32) -> Result<u32> {
        let file = match row.origin().file() {
            None => IN_CODE,
            Some(file) => match self.numbers.get(file) {
                Some(number) => *number,
                None => {
                    let number = self.origins.len() as u32;
                    self.origins.push(file.clone());
                    self.numbers.insert(file.clone(), number);
                    number
                }
            },
        };
        self.frame(tag, |body| {
            put_usize(body, row.row());
            body.extend(file.to_le_bytes());
            put_usize(body, row.origin().line());
            body.extend(tokens.to_le_bytes());
            row.write(body);
        })
    }

    /// The rows so far; no more training rows come.
    pub(super) fn rows(&mut self) -> Result<StoreFile> {
        let path = self.output.path().to_path_buf();
        let file = self.output.reader().map_err(|error| unwritten(&path, &error))?;
        Ok(StoreFile::new(file, path, self.origins.clone(), std::mem::take(&mut self.index)))
    }

    /// Appends what a run needs beside its training rows, and gives the file its name, if it is kept.
    pub(super) fn finish<T: StoredRow>(
        mut self,
        held_out: &[T],
        prompts: &[Text],
        summary: &Summary,
    ) -> Result<()> {
        if !self.output.is_kept() {
            return Ok(());
        }
        for row in held_out {
            self.row(Tag::HeldOut, row, 0)?;
        }
        for prompt in prompts {
            let prompt = serde_json::to_vec(prompt).expect("texts are plain JSON");
            self.frame(Tag::Prompt, |body| body.extend(prompt))?;
        }
        let summary = serde_json::to_vec(summary).expect("findings are plain JSON");
        self.frame(Tag::Summary, |body| body.extend(summary))?;
        self.output.finish()
    }

    fn frame(&mut self, tag: Tag, fill: impl FnOnce(&mut Vec<u8>)) -> Result<u32> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        body.push(tag as u8);
        fill(&mut body);
        let Ok(length) = u32::try_from(body.len()) else {
            let problem = "a row has more than 4 GiB of tokens; give `--max-length`".to_owned();
            return Err(DataError::Store { path: self.output.path().to_path_buf(), problem });
        };
        self.put(&length.to_le_bytes())?;
        self.put(&crc32c::crc32c(&body).to_le_bytes())?;
        self.put(&body)?;
        self.body = body;
        Ok(length)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.output.write_all(bytes).map_err(|error| unwritten(self.output.path(), &error))
    }
}

fn unwritten(path: &Path, error: &io::Error) -> DataError {
    DataError::Store { path: path.to_path_buf(), problem: format!("cannot be written: {error}") }
}

/// What was stored by a run with the same key.
pub(crate) struct Stored<T> {
    pub(crate) rows: Rows<T>,
    pub(crate) held_out: Vec<T>,
    pub(crate) prompts: Vec<Text>,
    pub(crate) summary: Summary,
}

/// Opens a file of this key, whose rows come from these files, and reads all of it.
///
/// # Errors
/// The reason why it is not the file that was written.
pub(crate) fn open<T: StoredRow>(
    path: &Path,
    key: &str,
    origins: Vec<Arc<Path>>,
) -> std::result::Result<Stored<T>, String> {
    let said = |error: io::Error| error.to_string();
    let cut = |_| "it is cut off".to_owned();
    let damaged = || "it is damaged".to_owned();
    let file = align_files::open(path).map_err(|error| error.source.to_string())?;
    let size = file.metadata().map_err(said)?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file.try_clone().map_err(said)?);
    let mut start = [0; MAGIC.len()];
    reader.read_exact(&mut start).map_err(cut)?;
    if start != MAGIC {
        return Err("it is no file of this version".to_owned());
    }
    let (mut at, mut index, mut held_out, mut prompts) =
        (MAGIC.len() as u64, Vec::new(), Vec::new(), Vec::new());
    let mut frame = Vec::new();
    loop {
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(cut)?;
        let bytes = u32::from_le_bytes(length);
        if HEAD as u64 + u64::from(bytes) > size - at {
            return Err("it is cut off".to_owned());
        }
        frame.clear();
        frame.extend(length);
        frame.resize(HEAD + bytes as usize, 0);
        reader.read_exact(&mut frame[4..]).map_err(cut)?;
        let (tag, body) = body(&frame).and_then(<[u8]>::split_first).ok_or_else(damaged)?;
        match *tag {
            tag if tag == Tag::Train as u8 => {
                let mut fields = Bytes(body);
                let (record, _, _) = (fields.usize(), fields.u32(), fields.usize());
                let (Some(record), Some(tokens)) = (record, fields.u32()) else { return Err(damaged()) };
                index.push(Entry { offset: at, bytes, tokens, record });
            }
            tag if tag == Tag::HeldOut as u8 => {
                held_out.push(decode::<T>(body, &origins, |record| record).ok_or_else(damaged)?);
            }
            tag if tag == Tag::Prompt as u8 => {
                prompts.push(serde_json::from_slice(body).map_err(|_| damaged())?);
            }
            _ => {
                let summary: Summary = serde_json::from_slice(body).map_err(|_| damaged())?;
                if at + frame.len() as u64 != size || summary.key != key {
                    return Err(damaged());
                }
                if let Some(pairs) = summary.pairs {
                    chosen_first(&mut index, pairs);
                }
                let file = StoreFile::new(file, path.to_path_buf(), origins, index);
                return Ok(Stored { rows: Rows(Kind::Stored(file)), held_out, prompts, summary });
            }
        }
        at += frame.len() as u64;
    }
}
