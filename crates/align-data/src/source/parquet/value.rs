//! Values of columns as JSON, as if the row had been a line of a file.
//!
//! Dates, times and timestamps stay the numbers that they are stored as, and bytes that are no text become an object
//! that says how many there are: nothing is learned from either.

use parquet::basic::{ConvertedType, LogicalType};
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::schema::types::ColumnDescriptor;
use serde_json::{Number, Value, json};

use super::Result;

/// How the numbers and bytes of a column are meant.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// As they are.
    Plain,
    /// Integers that are never negative.
    Unsigned,
    /// Text; bytes that are none are an error.
    Text,
    /// Integers in units of a power of ten.
    Decimal(i32),
    /// A number of 16 bits.
    Half,
}

/// How a column is meant, by its schema.
pub(super) fn meaning(column: &ColumnDescriptor) -> Meaning {
    match column.logical_type_ref() {
        Some(LogicalType::String | LogicalType::Json | LogicalType::Enum) => return Meaning::Text,
        Some(LogicalType::Float16) => return Meaning::Half,
        Some(LogicalType::Integer(kind)) if !kind.is_signed => return Meaning::Unsigned,
        Some(LogicalType::Decimal(kind)) => return Meaning::Decimal(kind.scale),
        _ => {}
    }
    match column.converted_type() {
        ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM => Meaning::Text,
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
            Meaning::Unsigned
        }
        ConvertedType::DECIMAL => Meaning::Decimal(column.type_scale()),
        _ => Meaning::Plain,
    }
}

/// A value of a column.
pub(super) trait Json {
    /// Bytes that it takes, about.
    fn size(&self) -> usize {
        16
    }

    /// The value as JSON.
    fn json(&self, meaning: Meaning) -> Result<Value>;
}

impl Json for bool {
    fn json(&self, _: Meaning) -> Result<Value> {
        Ok(Value::Bool(*self))
    }
}

impl Json for i32 {
    fn json(&self, meaning: Meaning) -> Result<Value> {
        match meaning {
            Meaning::Unsigned => Ok(self.cast_unsigned().into()),
            Meaning::Decimal(scale) => Ok(decimal(i128::from(*self), scale)),
            _ => Ok((*self).into()),
        }
    }
}

impl Json for i64 {
    fn json(&self, meaning: Meaning) -> Result<Value> {
        match meaning {
            Meaning::Unsigned => Ok(self.cast_unsigned().into()),
            Meaning::Decimal(scale) => Ok(decimal(i128::from(*self), scale)),
            _ => Ok((*self).into()),
        }
    }
}

impl Json for Int96 {
    fn json(&self, _: Meaning) -> Result<Value> {
        Ok(self.to_millis().into())
    }
}

impl Json for f32 {
    fn json(&self, _: Meaning) -> Result<Value> {
        Ok(number(f64::from(*self)))
    }
}

impl Json for f64 {
    fn json(&self, _: Meaning) -> Result<Value> {
        Ok(number(*self))
    }
}

impl Json for ByteArray {
    fn size(&self) -> usize {
        self.data().len()
    }

    fn json(&self, meaning: Meaning) -> Result<Value> {
        bytes(self.data(), meaning)
    }
}

impl Json for FixedLenByteArray {
    fn size(&self) -> usize {
        self.data().len()
    }

    fn json(&self, meaning: Meaning) -> Result<Value> {
        bytes(self.data(), meaning)
    }
}

/// Text without a mark that it is some is text all the same: old writers had none.
fn bytes(bytes: &[u8], meaning: Meaning) -> Result<Value> {
    match (meaning, bytes) {
        (Meaning::Decimal(scale), bytes) => {
            Ok(big_endian(bytes).map_or(Value::Null, |it| decimal(it, scale)))
        }
        (Meaning::Half, [low, high]) => Ok(number(half(u16::from_le_bytes([*low, *high])))),
        (meaning, bytes) => match (std::str::from_utf8(bytes), meaning) {
            (Ok(text), _) => Ok(Value::String(text.to_owned())),
            (Err(_), Meaning::Text) => Err("expected text, found bytes that are not UTF-8".to_owned()),
            (Err(_), _) => Ok(json!({ "bytes": bytes.len() })),
        },
    }
}

/// What is no number, which writers of tables write for a missing one, is null.
fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn decimal(units: i128, scale: i32) -> Value {
    number(units as f64 / 10f64.powi(scale))
}

fn big_endian(bytes: &[u8]) -> Option<i128> {
    let (first, rest) = bytes.split_first().filter(|(_, rest)| rest.len() < 16)?;
    let first = i128::from(first.cast_signed());
    Some(rest.iter().fold(first, |value, byte| (value << 8) | i128::from(*byte)))
}

/// IEEE 754's 16 bits.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from((bits >> 10) & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_a_line_would_say() {
        assert_eq!((-1i32).json(Meaning::Unsigned).unwrap(), json!(4294967295u32));
        assert_eq!((-1i64).json(Meaning::Unsigned).unwrap(), json!(u64::MAX));
        assert_eq!(12345i32.json(Meaning::Decimal(2)).unwrap(), json!(123.45));
        assert_eq!(f64::NAN.json(Meaning::Plain).unwrap(), Value::Null);
        assert_eq!(bytes(b"\xff\xfe", Meaning::Plain).unwrap(), json!({ "bytes": 2 }));
        assert!(bytes(b"\xff", Meaning::Text).unwrap_err().contains("not UTF-8"));
        assert_eq!(bytes(&[0xff, 0x85], Meaning::Decimal(1)).unwrap(), json!(-12.3));
        assert_eq!(bytes(&[1; 17], Meaning::Decimal(1)).unwrap(), Value::Null);
        assert_eq!(bytes(&[0x00, 0x3e], Meaning::Half).unwrap(), json!(1.5));
        assert_eq!(bytes(&[0x00, 0xc0], Meaning::Half).unwrap(), json!(-2.0));
        assert_eq!(bytes(&[0x01, 0x00], Meaning::Half).unwrap(), json!(2f64.powi(-24)));
    }
}
