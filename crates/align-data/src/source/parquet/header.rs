//! The header of a page.

use parquet::basic::Encoding;

use super::Result;
use super::thrift::{Thrift, Type};

/// The header of a page.
pub(super) struct Header {
    /// Bytes of the page in the file.
    pub(super) packed_size: usize,
    /// Bytes of the page when it is unpacked.
    pub(super) size: usize,
    pub(super) kind: Kind,
}

/// What a page holds.
pub(super) enum Kind {
    Dictionary {
        values: u32,
        encoding: Encoding,
        is_sorted: bool,
    },
    Data {
        values: u32,
        encoding: Encoding,
        definitions: Encoding,
        repetitions: Encoding,
    },
    DataV2 {
        values: u32,
        nulls: u32,
        rows: u32,
        encoding: Encoding,
        /// Bytes of the definition levels.
        definitions: u32,
        /// Bytes of the repetition levels.
        repetitions: u32,
        is_packed: bool,
    },
    /// An index, or what a later version may have.
    Other,
}

impl Kind {
    pub(super) fn values(&self) -> u32 {
        match self {
            Self::Dictionary { values, .. } | Self::Data { values, .. } | Self::DataV2 { values, .. } => {
                *values
            }
            Self::Other => 0,
        }
    }
}

/// Fields of the structure that a kind of page has in its header: integers and booleans by their numbers.
#[derive(Default)]
struct Fields {
    numbers: [u32; 8],
    flags: [Option<bool>; 8],
}

impl Header {
    /// Reads a header, and says how many bytes it has.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, usize)> {
        const DATA: u32 = 0;
        const DICTIONARY: u32 = 2;
        const DATA_V2: u32 = 3;
        let (mut top, mut of_kind) = (Fields::default(), Fields::default());
        let mut thrift = Thrift::new(bytes);
        thrift.structure(|thrift, number, kind| match (number, kind) {
            // The checksum, which may have any sign; statistics of a page lie deeper.
            (4, Type::Integer) => thrift.skip(kind),
            (5 | 7 | 8, Type::Struct) => {
                of_kind = Fields::default();
                thrift.structure(|thrift, number, kind| of_kind.take(thrift, number, kind))
            }
            _ => top.take(thrift, number, kind),
        })?;
        let Fields { numbers: [_, page, size, packed_size, ..], .. } = top;
        let Fields { numbers: [_, values, second, third, fourth, fifth, sixth, _], flags } = of_kind;
        let kind = match page {
            DATA => Kind::Data {
                values,
                encoding: encoding(second)?,
                definitions: encoding(third)?,
                repetitions: encoding(fourth)?,
            },
            DICTIONARY => {
                Kind::Dictionary { values, encoding: encoding(second)?, is_sorted: flags[3].unwrap_or(false) }
            }
            DATA_V2 => Kind::DataV2 {
                values,
                nulls: second,
                rows: third,
                encoding: encoding(fourth)?,
                definitions: fifth,
                repetitions: sixth,
                is_packed: flags[7].unwrap_or(true),
            },
            _ => Kind::Other,
        };
        let header = Self { packed_size: packed_size as usize, size: size as usize, kind };
        Ok((header, thrift.position()))
    }
}

impl Fields {
    fn take(&mut self, thrift: &mut Thrift<'_>, number: i64, kind: Type) -> Result<()> {
        let at = usize::try_from(number).ok().filter(|at| *at < self.numbers.len());
        match (at, kind) {
            (Some(at), Type::Integer) => self.numbers[at] = thrift.count()?,
            (Some(at), Type::Bool(flag)) => self.flags[at] = Some(flag),
            _ => thrift.skip(kind)?,
        }
        Ok(())
    }
}

/// The number of lengths that DELTA_LENGTH_BYTE_ARRAY begins with: the third of four numbers.
pub(super) fn lengths(bytes: &[u8]) -> Option<u64> {
    let mut numbers = Numbers(bytes);
    numbers.nth(2)
}

/// Numbers of seven bits a byte.
struct Numbers<'a>(&'a [u8]);

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

fn encoding(number: u32) -> Result<Encoding> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        // Old writers say BIT_PACKED (4) for levels that are not there; where there are some, they are no RLE.
        3 | 4 => Encoding::RLE,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        other => return Err(format!("a page in the unknown encoding {other}")),
    })
}
