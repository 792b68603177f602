//! A split, or a part of one: `train`, `train[:10%]`, `train[100:200]`, `train[-50:]`, as `datasets` writes and rounds them.

use std::ops::Range;

use crate::error::{DataError, Result};

/// A split, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice<'a> {
    split: &'a str,
    from: Option<i64>,
    to: Option<i64>,
    unit: Unit,
}

/// What the bounds count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Rows,
    /// A percent of the rows, rounded to the closest row.
    Percent,
    /// A percent, as many rows for each: those that are left over at the end are dropped.
    EvenPercent,
}

impl<'a> Slice<'a> {
    /// Reads what a user wrote.
    ///
    /// # Errors
    /// What is no split, with an example of what is.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        Self::read(text.trim()).map_err(|reason| DataError::Split { split: text.to_owned(), reason })
    }

    /// The split without the part.
    pub(crate) fn split(&self) -> &'a str {
        self.split
    }

    /// Whether it is less than the split.
    pub(crate) fn is_part(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }

    /// Whether the number of rows has to be known to tell which are meant.
    pub(super) fn needs_total(&self) -> bool {
        self.unit != Unit::Rows || [self.from, self.to].into_iter().flatten().any(|bound| bound < 0)
    }

    /// The rows that are meant, of as many as there are.
    ///
    /// # Errors
    /// Even percents of fewer than 100 rows, which are none.
    pub(super) fn range(&self, rows: usize) -> Result<Range<usize>> {
        let total = i64::try_from(rows).unwrap_or(i64::MAX);
        let hundredth = total / 100;
        if self.unit == Unit::EvenPercent && hundredth == 0 {
            let reason = format!("pct1_dropremainder has no effect on {rows} rows: it takes at least 100");
            return Err(DataError::Split { split: self.split.to_owned(), reason });
        }
        let place = |bound: i64| {
            let at = match self.unit {
                Unit::Rows => bound,
                // Ties go to the even row, as in Python.
                Unit::Percent => (bound as f64 * total as f64 / 100.0).round_ties_even() as i64,
                Unit::EvenPercent => bound * hundredth,
            };
            let at = if at < 0 { (total.saturating_add(at)).max(0) } else { at.min(total) };
            usize::try_from(at).unwrap_or(0)
        };
        Ok(self.from.map_or(0, place)..self.to.map_or(rows, place))
    }

    fn read(text: &'a str) -> std::result::Result<Self, String> {
        const EXPECTED: &str = "expected a name such as `train`, or a part such as `train[:10%]`, `train[100:200]`, \
                                `train[-50:]`";
        let (text, even) = match text.strip_suffix("](pct1_dropremainder)") {
            Some(part) => (&text[..=part.len()], true),
            None => (text.strip_suffix("(closest)").unwrap_or(text), false),
        };
        let Some((split, part)) = text.split_once('[') else {
            let is_name = |part: &str| {
                !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "_-".contains(c))
            };
            if !text.split('.').all(is_name) {
                return Err(EXPECTED.to_owned());
            }
            return Ok(Self { split: text, from: None, to: None, unit: Unit::Rows });
        };
        let (from, to) = part.strip_suffix(']').and_then(|part| part.split_once(':')).ok_or(EXPECTED)?;
        let is_percent = from.ends_with('%') || to.ends_with('%');
        let bound = |text: &str| -> std::result::Result<Option<i64>, String> {
            let digits = text.trim().trim_end_matches('%').replace('_', "");
            if text.trim().is_empty() {
                return Ok(None);
            }
            let bound: i64 = digits.parse().map_err(|_| EXPECTED.to_owned())?;
            if is_percent && bound.abs() > 100 {
                return Err(format!("expected at most 100 %, found {bound} %"));
            }
            Ok(Some(bound))
        };
        let unit = match (is_percent, even) {
            (false, _) => Unit::Rows,
            (true, false) => Unit::Percent,
            (true, true) => Unit::EvenPercent,
        };
        let whole = Self::read(split)?;
        Ok(Self { from: bound(from)?, to: bound(to)?, unit, ..whole })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str, rows: usize) -> Range<usize> {
        Slice::parse(text).unwrap().range(rows).unwrap()
    }

    #[test]
    fn parts_are_rounded_as_in_datasets() {
        // ReadInstruction.from_spec(text).to_absolute({"train": rows}) of datasets 5.2.
        let check = |text: &str, rows, expected: Range<usize>| {
            assert_eq!(range(text, rows), expected, "{text} of {rows}")
        };
        check("train", 7, 0..7);
        check("train[:10%]", 25, 0..2);
        check("train[:10%]", 35, 0..4);
        check("train[10%:]", 45, 4..45);
        check("train[:10%](pct1_dropremainder)", 199, 0..10);
        check("train[-10%:]", 99, 89..99);
        check("train[100:200]", 150, 100..150);
        check("train[100:200]", 50, 50..50);
        check("train[-50:]", 60, 10..60);
        check("train[-50:]", 20, 0..20);
        check("train[:-5]", 20, 0..15);
        check("train[10:20%]", 50, 5..10);
        check("train[1_0:2_0]", 50, 10..20);
        check("train[:]", 5, 0..5);
        check("train.a[:33%](closest)", 100, 0..33);
        assert_eq!(Slice::parse("train_prefs[:1]").unwrap().split(), "train_prefs");
        assert!(!Slice::parse("train[1:5]").unwrap().needs_total());
        assert!(Slice::parse("train[:5%]").unwrap().needs_total());
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in [
            "",
            "train[",
            "train[1]",
            "train[1:2",
            "train[a:b]",
            "train[:101%]",
            "a b",
            "train+test",
            "[1:2]",
            "train[1:2][3:4]",
            "train[:99999999999999999999]",
            "../train",
        ] {
            assert!(Slice::parse(text).is_err(), "{text}");
        }
        let error = Slice::parse("train[1]").unwrap_err().to_string();
        assert!(error.starts_with("split `train[1]`: expected a name such as `train`"), "{error}");
        let few = Slice::parse("train[:1%](pct1_dropremainder)").unwrap().range(99).unwrap_err();
        assert!(few.to_string().contains("at least 100"));
    }

    proptest! {
        #[test]
        fn a_part_lies_within_its_split(from in -300i64..300, to in -300i64..300, percent: bool, rows in 0usize..500) {
            let unit = if percent { "%" } else { "" };
            let (from, to) = if percent { (from.clamp(-100, 100), to.clamp(-100, 100)) } else { (from, to) };
            let range = range(&format!("train[{from}{unit}:{to}{unit}]"), rows);
            prop_assert!(range.start <= rows && range.end <= rows);
        }
    }
}
