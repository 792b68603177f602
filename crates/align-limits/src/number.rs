//! Readers of numbers within a range. clap takes each as a value parser, so a number outside never reaches a program,
//! whether it stands on the command line or in a file.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A text that is no number of the range. Says what was expected; who shows it knows the option and the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct OutOfRange(String);

/// A whole number from one end of the range to the other, both included.
pub fn whole(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, OutOfRange> + Clone {
    integer(range)
}

/// As [`whole`], where a number below 0 has a meaning.
pub fn signed(range: RangeInclusive<i64>) -> impl Fn(&str) -> Result<i64, OutOfRange> + Clone {
    integer(range)
}

/// A seed: any number that fits into 63 bits, as TOML has them.
pub fn seed() -> impl Fn(&str) -> Result<u64, OutOfRange> + Clone {
    integer(0..=i64::MAX.unsigned_abs())
}

fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, OutOfRange> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| {
        let found = text.parse().ok().filter(|value| range.contains(value));
        found.ok_or_else(|| OutOfRange(format!("a whole number from {} to {}", range.start(), range.end())))
    }
}

/// The range of things that are worked on together: examples, micro-batches, completions of a prompt, passes. Up to
/// 65,536, far above what memory holds and far below where products of a few of them overflow.
pub fn count() -> impl Fn(&str) -> Result<usize, OutOfRange> + Clone {
    whole(0..=65_536)
}

/// Tokens of a text: up to 16,777,216.
pub fn tokens() -> impl Fn(&str) -> Result<usize, OutOfRange> + Clone {
    whole(0..=1 << 24)
}

/// The number of a token in its vocabulary: up to 16,777,215.
pub fn token_id() -> impl Fn(&str) -> Result<usize, OutOfRange> + Clone {
    whole(0..=(1 << 24) - 1)
}

/// Rows of data: up to 10⁹.
pub fn rows() -> impl Fn(&str) -> Result<usize, OutOfRange> + Clone {
    whole(0..=1_000_000_000)
}

/// Updates of a run: up to 10⁹.
pub fn steps() -> impl Fn(&str) -> Result<usize, OutOfRange> + Clone {
    whole(0..=1_000_000_000)
}

/// An amount of memory: a number and its unit, `512MB`, `1.5GiB`, in bytes. From 1 MB to 1 PB; without a unit nobody can tell what
/// was meant.
pub fn memory_size() -> impl Fn(&str) -> Result<u64, OutOfRange> + Clone {
    const UNITS: [(&str, f64); 9] = [
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
        ("kB", 1e3),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
    ];
    |text| {
        let bytes = in_units(text, &UNITS).filter(|bytes| (1e6..=1e15).contains(bytes));
        bytes.map(|bytes| bytes as u64).ok_or_else(|| {
            OutOfRange("a number with its unit from 1MB to 1000TB, such as 8GiB or 1500MB".to_owned())
        })
    }
}

/// A rate of sending: a number and its unit, `12.5GB/s`, `100Gbit/s`, in bytes a second. From 1 kB to 1 PB a second.
pub fn bandwidth() -> impl Fn(&str) -> Result<u64, OutOfRange> + Clone {
    const UNITS: [(&str, f64); 9] = [
        ("MiB/s", 1_048_576.0),
        ("GiB/s", 1_073_741_824.0),
        ("kB/s", 1e3),
        ("MB/s", 1e6),
        ("GB/s", 1e9),
        ("TB/s", 1e12),
        ("Mbit/s", 1e6 / 8.0),
        ("Gbit/s", 1e9 / 8.0),
        ("Tbit/s", 1e12 / 8.0),
    ];
    |text| {
        let bytes = in_units(text, &UNITS).filter(|bytes| (1e3..=1e15).contains(bytes));
        bytes.map(|bytes| bytes as u64).ok_or_else(|| {
            OutOfRange(
                "a number with its unit from 1kB/s to 1000TB/s, such as 12.5GB/s or 100Gbit/s".to_owned(),
            )
        })
    }
}

/// A plain number and one of these units, times what the unit stands for.
fn in_units(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    units.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?.trim_end();
        // `1e3GB`, `infGB` and `-1GB` are no sizes that anybody writes.
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        Some(number.parse::<f64>().ok().filter(|_| is_plain)? * factor)
    })
}

/// A number from one end of the range to the other, both included; NaN is in none.
pub fn number(range: RangeInclusive<f64>) -> impl Fn(&str) -> Result<f64, OutOfRange> + Clone {
    move |text| {
        let found = text.trim().parse().ok().filter(|value| range.contains(value));
        found.ok_or_else(|| {
            OutOfRange(format!("a number from {} to {}", Plain(*range.start()), Plain(*range.end())))
        })
    }
}

/// Any number that f32, in which models compute, can hold: neither NaN nor infinite, nor larger than 3.4 · 10³⁸.
pub fn finite() -> impl Fn(&str) -> Result<f64, OutOfRange> + Clone {
    number(f64::from(f32::MIN)..=f64::from(f32::MAX))
}

/// As short as it can be: `1e6` and not a one with six zeros.
struct Plain(f64);

impl Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            size if size != 0.0 && !(1e-3..1e5).contains(&size) => write!(f, "{:.4e}", self.0),
            _ => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_belong_to_a_range_and_nothing_beyond_them() {
        let few = whole(1..=3);
        assert_eq!((few("1"), few("3")), (Ok(1), Ok(3)));
        for text in ["0", "4", "-1", "1.0", "", "x", "18446744073709551616"] {
            assert_eq!(few(text).unwrap_err().to_string(), "expected a whole number from 1 to 3", "{text}");
        }
        assert_eq!((signed(-1..=9)("-1"), seed()("9223372036854775807")), (Ok(-1), Ok(i64::MAX as u64)));
    }

    #[test]
    fn a_size_has_a_unit() {
        let read = memory_size();
        assert_eq!((read("8GiB"), read(" 1.5 GB ")), (Ok(8 << 30), Ok(1_500_000_000)));
        assert_eq!(
            (read("512MiB"), read("2000KB"), read("1TB")),
            (Ok(512 << 20), Ok(2_000_000), Ok(10u64.pow(12)))
        );
        for text in [
            "8", "8G", "8gib", "GiB", "-1GB", "1e3GB", "infGB", "nanMB", "1KB", "2000TB", "1.2.3GB", "",
            "8 GiB x",
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with("expected a number with its unit from 1MB"), "{text}: {error}");
        }
    }

    #[test]
    fn a_bandwidth_has_a_unit() {
        let read = bandwidth();
        assert_eq!((read("12.5GB/s"), read("100 Gbit/s")), (Ok(12_500_000_000), Ok(12_500_000_000)));
        assert_eq!((read("1MiB/s"), read("8Mbit/s")), (Ok(1 << 20), Ok(1_000_000)));
        for text in ["1", "1GB", "1Gb/s", "0GB/s", "-1GB/s", "infGB/s", "2000TB/s", "1e3GB/s", ""] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with("expected a number with its unit from 1kB/s"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_finite_number_is_refused() {
        assert_eq!((finite()("1e-6"), finite()(" -3 ")), (Ok(1e-6), Ok(-3.0)));
        for text in ["nan", "NaN", "inf", "-inf", "infinity", "1e39", "1e999", "", "one"] {
            let error = finite()(text).unwrap_err().to_string();
            assert_eq!(error, "expected a number from -3.4028e38 to 3.4028e38", "{text}");
        }
        assert_eq!(number(0.0..=1e6)("1e7").unwrap_err().to_string(), "expected a number from 0 to 1.0000e6");
    }
}
