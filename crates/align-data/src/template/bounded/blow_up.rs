//! What calls would make that a number or a short text can blow up, paid for before they are made.

use std::borrow::Cow;

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, Value};

use crate::template::meter::{self, refused, walk};

/// Largest width, precision and number of parts.
const WIDEST: usize = 10_000;

fn text(values: &[Value], index: usize) -> Option<&str> {
    values.get(index).and_then(Value::as_str)
}

/// A value as the engine prints it. What is printed has been paid for by `walk`.
fn printed(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::Borrowed)
}

/// Text, what is replaced, by what; all of them as text.
pub(super) fn replace(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)?;
    let [before, old, new] = values else { return Ok(()) };
    let (before, old, new) = (printed(before), printed(old), printed(new));
    if new.len() > old.len() {
        let grown = before.matches(&*old).count().saturating_mul(new.len());
        meter::text(grown.saturating_add(before.len()))?;
    }
    Ok(())
}

/// List, what is put between its items (also by its name, `d`), as text.
pub(super) fn join(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)?;
    let (values, options): (&[Value], Kwargs) = from_args(values)?;
    let Some(list) = values.first() else { return Ok(()) };
    let named = options.get::<Option<Value>>("d")?;
    let between = values.get(1).or(named.as_ref()).map_or(0, |between| printed(between).len());
    let items = list.as_str().map_or_else(|| list.len().unwrap_or(0), str::len);
    meter::text(items.saturating_mul(between))
}

/// Text, the characters that are taken off its ends: each of the text is looked for among all of those.
pub(super) fn strip(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)?;
    let [whole, characters, ..] = values else { return Ok(()) };
    if characters.is_none() || characters.is_undefined() {
        return Ok(());
    }
    let (whole, characters) = (printed(whole).len() as u64, printed(characters).len() as u64);
    meter::spend(whole.saturating_mul(characters) / meter::UNIT as u64)
}

/// List; what is added to is a number: lists and texts would be copied for each item.
pub(super) fn sum(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)?;
    let (_, options): (&[Value], Kwargs) = from_args(values)?;
    match options.get::<Option<Value>>("start")?.filter(|start| start.kind() != ValueKind::Number) {
        Some(start) => Err(refused(format!("sums from a {}, expected a number", start.kind()))),
        None => Ok(()),
    }
}

/// Text, width.
pub(super) fn indent(values: &[Value]) -> Result<(), Error> {
    let (values, options): (&[Value], Kwargs) = from_args(values)?;
    values.iter().try_for_each(walk)?;
    let width = match values.get(1).filter(|width| !width.is_none()) {
        Some(width) => width.as_usize(),
        None => options.get::<Option<usize>>("width")?,
    };
    let width = width.unwrap_or(4);
    narrow(width)?;
    let lines = text(values, 0).map_or(0, |text| text.matches('\n').count());
    meter::text(width.saturating_mul(lines + 1))
}

/// Text, what stands between the parts.
pub(super) fn split(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)?;
    let Some(whole) = text(values, 0) else { return Ok(()) };
    let parts = match text(values, 1) {
        Some(separator) => whole.matches(separator).count(),
        None => whole.split_whitespace().count(),
    };
    meter::spend(parts as u64)
}

/// Text.
pub(super) fn lines(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)?;
    meter::spend(text(values, 0).map_or(0, |text| text.matches('\n').count()) as u64)
}

/// List, number of parts or of items in one.
pub(super) fn parts(values: &[Value]) -> Result<(), Error> {
    values.first().map_or(Ok(()), meter::items)?;
    narrow(values.get(1).and_then(Value::as_usize).unwrap_or(0))
}

/// A format of C's and what is put into it.
pub(super) fn printf(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)?;
    let Some(format) = text(values, 0) else { return Ok(()) };
    let mut fields = 0;
    for field in format.split('%').skip(1) {
        // `(name)`, flags, width and precision stand before the letter of the type.
        let spec =
            field.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(field, |(_, spec)| spec);
        let end = spec.find(|c: char| !(c.is_ascii_digit() || " #+-.".contains(c))).unwrap_or(spec.len());
        widths(&spec[..end])?;
        fields += 1;
    }
    all_fields(values, fields)
}

/// A format of Python's and what is put into it.
pub(super) fn format(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)?;
    let Some(format) = text(values, 0) else { return Ok(()) };
    let mut fields = 0;
    for field in format.replace("{{", "").split('{').skip(1) {
        let field = field.split_once('}').map_or(field, |(field, _)| field);
        if let Some((_, spec)) = field.rsplit_once(':') {
            widths(spec)?;
        }
        fields += 1;
    }
    all_fields(values, fields)
}

/// Each field may print the longest of the values, or be as wide as is allowed.
fn all_fields(values: &[Value], fields: usize) -> Result<(), Error> {
    let longest = values.iter().filter_map(Value::as_str).map(str::len).max().unwrap_or(0);
    let others = values.iter().skip(1).filter(|value| value.kind() != ValueKind::String);
    for _ in 0..fields {
        others.clone().try_for_each(walk)?;
    }
    meter::text(fields.saturating_mul(longest))
}

/// The numbers in a field's specification.
fn widths(spec: &str) -> Result<(), Error> {
    for digits in spec.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()) {
        narrow(digits.parse().unwrap_or(usize::MAX))?;
    }
    Ok(())
}

fn narrow(width: usize) -> Result<(), Error> {
    if width > WIDEST {
        return Err(refused(format!("asks for a width or a number of {width}, expected at most {WIDEST}")));
    }
    meter::text(width)
}
