//! The pages of a column in a row group, one by one, as the library wants them.
//!
//! The library has a reader of its own, which believes what headers say: sizes of pages, of dictionaries and of lists of
//! lengths become memory before anything is compared with the file. Here they are compared first.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::{Arc, Mutex};

use parquet::basic::{Compression, Encoding, Type as Physical};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescPtr;

use super::Result;
use super::budget::Budget;
use super::codec::unpack;
use super::header::{Header, Kind};
use super::thrift::CUT_OFF;

/// Bytes of the largest page, packed or not.
const LARGEST: usize = 256 << 20;
/// Values of the largest page: a few bytes can say that a value comes any number of times.
const MOST_VALUES: u32 = 1 << 24;

/// The pages of a column in a row group.
pub(super) struct Pages {
    file: Arc<Mutex<File>>,
    /// Where the next page begins, and where the last one ends.
    at: u64,
    end: u64,
    /// Values in pages that are still to come.
    left: i64,
    codec: Compression,
    column: ColumnDescPtr,
    budget: Arc<Budget>,
    /// Pages that were looked at before somebody took them.
    seen: VecDeque<Page>,
}

impl Pages {
    /// The pages of a column, which lie before `end` in the file.
    pub(super) fn new(
        file: Arc<Mutex<File>>,
        end: u64,
        chunk: &ColumnChunkMetaData,
        budget: Arc<Budget>,
    ) -> Result<Self> {
        let column = chunk.column_descr_ptr();
        if chunk.file_path().is_some_and(|path| !path.is_empty()) {
            return Err("its columns lie in other files, which is not read".to_owned());
        }
        let data = chunk.data_page_offset();
        // Some writers say 0 where there is no dictionary.
        let start = chunk.dictionary_page_offset().filter(|at| *at > 0 && *at < data).unwrap_or(data);
        let range = u64::try_from(start).ok().zip(u64::try_from(chunk.compressed_size()).ok());
        let range = range.and_then(|(start, size)| Some((start, start.checked_add(size)?)));
        match range {
            Some((at, last)) if at >= 4 && last <= end => {
                let (left, codec, seen) = (chunk.num_values(), chunk.compression(), VecDeque::new());
                Ok(Self { file, at, end: last, left, codec, column, budget, seen })
            }
            _ => Err(format!("column `{}`: it is said to lie outside the file", column.path().string())),
        }
    }

    fn read_page(&mut self) -> Result<Option<Page>> {
        while self.left > 0 && self.at < self.end {
            let header = self.header()?;
            let packed = self.bytes(header.packed_size)?;
            let page = self.page(header, packed)?;
            if let Some(page) = page {
                if page.is_data_page() {
                    self.left -= i64::from(page.num_values());
                }
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// The next header, which says nowhere how long it is.
    fn header(&mut self) -> Result<Header> {
        let mut window = 4096;
        loop {
            let size = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(window);
            let bytes = self.bytes(size)?;
            self.at -= size as u64;
            match Header::read(&bytes) {
                Ok((header, length)) => {
                    self.at += length as u64;
                    return Ok(header);
                }
                Err(problem) if problem == CUT_OFF && size == window && window < LARGEST / 16 => window *= 16,
                Err(problem) => return Err(problem),
            }
        }
    }

    fn bytes(&mut self, size: usize) -> Result<Vec<u8>> {
        if size > LARGEST {
            return Err(format!("a page of {size} bytes, more than the {LARGEST} that are read"));
        }
        if size as u64 > self.end - self.at {
            return Err(format!("a page of {size} bytes, where its column has {} left", self.end - self.at));
        }
        let mut bytes = vec![0; size];
        let mut file = self.file.lock().unwrap_or_else(|broken| broken.into_inner());
        let read = file.seek(SeekFrom::Start(self.at)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|error| error.to_string())?;
        self.at += size as u64;
        Ok(bytes)
    }

    /// The page of these bytes; none if it holds no values.
    fn page(&self, header: Header, packed: Vec<u8>) -> Result<Option<Page>> {
        let Header { size, kind, .. } = header;
        if size > LARGEST || kind.values() > MOST_VALUES {
            let values = kind.values();
            return Err(format!("a page of {values} values in {size} bytes, more than is read"));
        }
        self.budget.spend(size as u64 + 8 * u64::from(kind.values()))?;
        let page = match kind {
            Kind::Other => return Ok(None),
            Kind::Dictionary { values, encoding, is_sorted } => {
                let buffer = unpack(self.codec, packed, size)?;
                let width = width(&self.column);
                if buffer.len() / width < values as usize {
                    return Err(format!("a dictionary of {values} values in {size} bytes"));
                }
                Page::DictionaryPage { buf: buffer.into(), num_values: values, encoding, is_sorted }
            }
            Kind::Data { values, encoding, definitions, repetitions } => {
                let buffer = unpack(self.codec, packed, size)?;
                self.check_encoding(
                    encoding,
                    values,
                    || {
                        let levels = [self.column.max_rep_level(), self.column.max_def_level()];
                        levels.iter().filter(|most| **most > 0).try_fold(0, |at, _| after_levels(&buffer, at))
                    },
                    &buffer,
                )?;
                Page::DataPage {
                    buf: buffer.into(),
                    num_values: values,
                    encoding,
                    def_level_encoding: definitions,
                    rep_level_encoding: repetitions,
                    statistics: None,
                }
            }
            Kind::DataV2 { values, nulls, rows, encoding, definitions, repetitions, is_packed } => {
                let levels = definitions as usize + repetitions as usize;
                if levels > packed.len() || levels > size || nulls > values {
                    return Err("a page whose levels are larger than itself".to_owned());
                }
                let mut buffer = packed;
                if is_packed && self.codec != Compression::UNCOMPRESSED {
                    let rest = buffer.split_off(levels);
                    // A page without values has nothing that could be unpacked.
                    let rest = if rest.is_empty() { rest } else { unpack(self.codec, rest, size - levels)? };
                    buffer.extend(rest);
                }
                self.check_encoding(encoding, values, || Some(levels), &buffer)?;
                Page::DataPageV2 {
                    buf: buffer.into(),
                    num_values: values,
                    encoding,
                    num_nulls: nulls,
                    num_rows: rows,
                    def_levels_byte_len: definitions,
                    rep_levels_byte_len: repetitions,
                    is_compressed: false,
                    statistics: None,
                }
            }
        };
        Ok(Some(page))
    }

    /// Refuses what the library would believe: how many lengths there are before strings.
    fn check_encoding(
        &self,
        encoding: Encoding,
        values: u32,
        start: impl FnOnce() -> Option<usize>,
        buffer: &[u8],
    ) -> Result<()> {
        match encoding {
            Encoding::DELTA_BYTE_ARRAY => {
                let column = self.column.path().string();
                Err(format!(
                    "column `{column}`: the encoding DELTA_BYTE_ARRAY, which is not read; write the file again, in Python: \
                     pandas.read_parquet(file).to_parquet(file)"
                ))
            }
            Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                let lengths = start().and_then(|at| super::header::lengths(buffer.get(at..)?));
                match lengths {
                    Some(lengths) if lengths <= u64::from(values) => Ok(()),
                    _ => Err(format!("a page of {values} values with another number of lengths")),
                }
            }
            _ => Ok(()),
        }
    }
}

/// Where levels of a page of the first version end, which begin at `at` with their length.
fn after_levels(page: &[u8], at: usize) -> Option<usize> {
    let length = page.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok()?;
    at.checked_add(4)?.checked_add(length as usize)
}

/// Bytes of the smallest value in a dictionary.
fn width(column: &ColumnDescPtr) -> usize {
    match column.physical_type() {
        Physical::BOOLEAN => 1,
        Physical::INT32 | Physical::FLOAT | Physical::BYTE_ARRAY => 4,
        Physical::INT64 | Physical::DOUBLE => 8,
        Physical::INT96 => 12,
        Physical::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.type_length()).unwrap_or(1).max(1),
    }
}

impl Iterator for Pages {
    type Item = parquet::errors::Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> parquet::errors::Result<Option<Page>> {
        match self.seen.pop_front() {
            Some(page) => Ok(Some(page)),
            None => self.read_page().map_err(ParquetError::General),
        }
    }

    fn peek_next_page(&mut self) -> parquet::errors::Result<Option<PageMetadata>> {
        if self.seen.is_empty() {
            let next = self.read_page().map_err(ParquetError::General)?;
            self.seen.extend(next);
        }
        Ok(self.seen.front().map(|page| PageMetadata {
            num_rows: match page {
                Page::DataPageV2 { num_rows, .. } => Some(*num_rows as usize),
                _ => None,
            },
            num_levels: page.is_data_page().then(|| page.num_values() as usize),
            is_dict: page.is_dictionary_page(),
        }))
    }

    fn skip_next_page(&mut self) -> parquet::errors::Result<()> {
        self.get_next_page().map(drop)
    }
}
