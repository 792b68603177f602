//! The footer of a Parquet file: its schema, and where its columns lie. Checked before the library reads it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::Result;
use super::thrift::{Thrift, Type};
use crate::guard::{guarded, shortened};

const MAGIC: &[u8] = b"PAR1";
/// What stands behind the footer: its length, and the magic.
const TAIL: u64 = 8;
/// Bytes of the longest footer.
const LONGEST: u64 = 64 << 20;
/// Columns and the groups around them.
const MOST_ELEMENTS: u64 = 10_000;
/// Groups in each other.
const DEEPEST: usize = 64;

/// Reads the footer, and the place where it begins, which no page reaches.
pub(super) fn read(file: &mut File) -> Result<(ParquetMetaData, u64)> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    if size < MAGIC.len() as u64 + TAIL {
        return Err(format!("{size} bytes, too few for a Parquet file; is it cut off?"));
    }
    let mut tail = [0; TAIL as usize];
    file.seek(SeekFrom::Start(size - TAIL))
        .and_then(|_| file.read_exact(&mut tail))
        .map_err(|error| error.to_string())?;
    match &tail[4..] {
        b"PARE" => return Err("it is encrypted, which is not read".to_owned()),
        end if end != MAGIC => {
            return Err("it does not end as a Parquet file (`PAR1`); is it cut off?".to_owned());
        }
        _ => {}
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    let Some(start) = (size - TAIL).checked_sub(length).filter(|start| *start >= MAGIC.len() as u64) else {
        return Err(format!("its footer is said to have {length} bytes, the whole file has {size}"));
    };
    if length > LONGEST {
        return Err(format!("its footer has {length} bytes, more than the {LONGEST} that are read"));
    }
    let mut bytes = vec![0; length as usize];
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|error| error.to_string())?;
    check(&bytes).map_err(|problem| format!("its footer: {problem}"))?;
    let metadata = guarded(|| ParquetMetaDataReader::decode_metadata(&bytes))?;
    let metadata = metadata.map_err(|error| format!("its footer: {}", shortened(&error.to_string())))?;
    Ok((metadata, start))
}

/// Walks the footer: every list is as long as it says, and the schema is a tree of the size and depth of those that people
/// use.
fn check(bytes: &[u8]) -> Result<()> {
    const SCHEMA: i64 = 2;
    let mut thrift = Thrift::new(bytes);
    thrift.structure(|thrift, number, kind| match (number, kind) {
        (SCHEMA, Type::List) => check_schema(thrift),
        _ => thrift.skip(kind),
    })
}

/// The schema is a list of nodes, each before its children.
fn check_schema(thrift: &mut Thrift<'_>) -> Result<()> {
    let (kind, count) = thrift.list()?;
    if kind != Type::Struct || count > MOST_ELEMENTS {
        return Err(format!("a schema of {count} elements, where at most {MOST_ELEMENTS} are read"));
    }
    // Children that are still to come, of each group that has begun.
    let mut open: Vec<u64> = Vec::new();
    for left in (0..count).rev() {
        let children = check_node(thrift)?;
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(siblings) = open.last_mut() {
            *siblings -= 1;
        }
        if children > left {
            return Err(format!("a group of {children} columns, where {left} are left"));
        }
        if children > 0 {
            open.push(children);
        }
        if open.len() > DEEPEST {
            return Err(format!("columns nested more than {DEEPEST} deep"));
        }
    }
    Ok(())
}

/// The number of a node's children.
fn check_node(thrift: &mut Thrift<'_>) -> Result<u64> {
    const CHILDREN: i64 = 5;
    let mut children = 0;
    thrift.structure(|thrift, number, kind| match (number, kind) {
        (CHILDREN, Type::Integer) => {
            children = u64::from(thrift.count()?);
            Ok(())
        }
        _ => thrift.skip(kind),
    })?;
    Ok(children)
}
