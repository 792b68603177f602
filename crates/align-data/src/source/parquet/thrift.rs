//! Thrift's compact protocol, as far as Parquet's headers need it.
//!
//! Headers of pages are read with it, and footers are walked with it before the library reads them: a list that is said to
//! have two thousand million elements, or a structure in a structure without an end, would end the process there, in a way
//! that nothing can catch.

use super::Result;

/// Structures and lists in each other.
const DEEPEST: usize = 24;
/// Elements of a list: row groups, columns, and what statistics have of them.
const MOST_ELEMENTS: u64 = 1 << 20;

/// The type of a field or element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A boolean; in a field the type is the value.
    Bool(bool),
    Byte,
    /// Any integer but a byte.
    Integer,
    Double,
    Binary,
    /// A list or a set.
    List,
    Map,
    Struct,
}

/// Bytes that are read from the start.
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

/// The error of bytes that end too early, which more bytes may mend.
pub(super) const CUT_OFF: &str = "a header that is cut off";

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Reads a structure: `field` is called for each field with its number and type and reads it, or has it skipped by
    /// [`Self::skip`].
    pub(super) fn structure(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, Type) -> Result<()>,
    ) -> Result<()> {
        self.deeper()?;
        let mut number = 0;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                self.depth -= 1;
                return Ok(());
            }
            number = match i64::from(byte >> 4) {
                0 => self.integer()?,
                step => number + step,
            };
            field(self, number, type_of(byte)?)?;
        }
    }

    /// The beginning of a list: the type of its elements and their number, which the bytes have room for.
    pub(super) fn list(&mut self) -> Result<(Type, u64)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.unsigned()?,
            few => u64::from(few),
        };
        // Some writers give an empty list no type.
        let kind = if byte == 0 { Type::Byte } else { type_of(byte)? };
        self.refuse_many(count)?;
        Ok((kind, count))
    }

    /// An integer.
    pub(super) fn integer(&mut self) -> Result<i64> {
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A 32-bit integer that must not be negative.
    pub(super) fn count(&mut self) -> Result<u32> {
        let found = self.integer()?;
        let count = u32::try_from(found).ok().filter(|count| i32::try_from(*count).is_ok());
        count.ok_or_else(|| format!("a header with the number {found} where a count or a size is expected"))
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, kind: Type) -> Result<()> {
        match kind {
            Type::Bool(_) => Ok(()),
            Type::Byte => self.pass(1),
            Type::Integer => self.unsigned().map(drop),
            Type::Double => self.pass(8),
            Type::Binary => {
                let length = self.unsigned()?;
                self.pass(length)
            }
            Type::List => {
                let (kind, count) = self.list()?;
                self.elements(kind, count)
            }
            Type::Map => {
                let count = self.unsigned()?;
                self.refuse_many(count)?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                self.deeper()?;
                for _ in 0..count {
                    self.element(type_of(kinds >> 4)?)?;
                    self.element(type_of(kinds)?)?;
                }
                self.depth -= 1;
                Ok(())
            }
            Type::Struct => self.structure(|thrift, _, kind| thrift.skip(kind)),
        }
    }

    /// Passes over elements of a list.
    fn elements(&mut self, kind: Type, count: u64) -> Result<()> {
        self.deeper()?;
        for _ in 0..count {
            self.element(kind)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// In lists and maps a boolean has a byte of its own.
    fn element(&mut self, kind: Type) -> Result<()> {
        if matches!(kind, Type::Bool(_)) { self.pass(1) } else { self.skip(kind) }
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST { Err("a header that is nested too deeply".to_owned()) } else { Ok(()) }
    }

    /// Each element has a byte at least.
    fn refuse_many(&self, count: u64) -> Result<()> {
        if count > MOST_ELEMENTS {
            return Err(format!("a header with a list of {count} elements, more than {MOST_ELEMENTS}"));
        }
        if count > (self.bytes.len() - self.at) as u64 { Err(CUT_OFF.to_owned()) } else { Ok(()) }
    }

    fn unsigned(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a header with a number of more than 64 bits".to_owned())
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = *self.bytes.get(self.at).ok_or(CUT_OFF)?;
        self.at += 1;
        Ok(byte)
    }

    fn pass(&mut self, length: u64) -> Result<()> {
        if length > (self.bytes.len() - self.at) as u64 {
            return Err(CUT_OFF.to_owned());
        }
        self.at += length as usize;
        Ok(())
    }
}

fn type_of(byte: u8) -> Result<Type> {
    Ok(match byte & 0x0f {
        1 => Type::Bool(true),
        2 => Type::Bool(false),
        3 => Type::Byte,
        4..=6 => Type::Integer,
        7 => Type::Double,
        8 => Type::Binary,
        9 | 10 => Type::List,
        11 => Type::Map,
        12 => Type::Struct,
        other => return Err(format!("a header with the unknown type {other}")),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skipped(bytes: &[u8]) -> Result<usize> {
        let mut thrift = Thrift::new(bytes);
        thrift.skip(Type::Struct)?;
        Ok(thrift.position())
    }

    #[test]
    fn values_are_passed_over() {
        // {1: 5, 2: true, 3: "ab", 4: [1, 2], 20: {}, 21: {1: 1.0}}
        let mut bytes = vec![0x15, 10, 0x11, 0x18, 2, b'a', b'b', 0x19, 0x25, 2, 4, 0x0c, 40, 0, 0x1c, 0x17];
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 99]);
        assert_eq!(skipped(&bytes).unwrap(), bytes.len() - 1);
        assert_eq!(skipped(&bytes[..9]).unwrap_err(), CUT_OFF);
    }

    #[test]
    fn lists_that_lie_and_nests_without_an_end_are_refused() {
        assert_eq!(skipped(&[0x19, 0xf5, 0xff, 0xff, 3]).unwrap_err(), CUT_OFF);
        assert!(skipped(&[0x19, 0xf5, 0xff, 0xff, 0xff, 7]).unwrap_err().contains("more than 1048576"));
        assert!(skipped(&[0x1c; 100_000]).unwrap_err().contains("nested too deeply"));
        assert!(skipped(&[0x1f; 9]).unwrap_err().contains("unknown type"));
        assert!(skipped(&[0x15; 99]).is_err());
        assert!(skipped(&[[0x15].as_slice(), &[0xff; 20]].concat()).unwrap_err().contains("64 bits"));
    }

    proptest! {
        #[test]
        fn nothing_panics_or_goes_on_beyond_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(end) = skipped(&bytes) {
                prop_assert!(end <= bytes.len());
            }
        }
    }
}
