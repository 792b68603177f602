//! What a rendering may cost: a budget of work that grows with the conversation, from which everything is paid that a
//! template can repeat, and a bound on the longest text and the deepest nesting.
//!
//! Chat templates are programs that come with downloaded models. A unit is about one step of the engine or 64 bytes of
//! text written, so a budget bounds time and memory at once. What is paid before it is done: a list is walked, and its
//! weight paid, before it is printed, compared or sorted, because values may share parts and print a thousand times
//! longer than they are.

use std::cell::Cell;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// Units for a conversation of nothing: no real template comes near it, an endless one is stopped in a second.
const BASE: u64 = 1_000_000;
/// Units for each unit of the conversation, for templates that look at every message from every message.
const FOR_EACH: u64 = 512;
/// Bytes of the longest text, beside four times the conversation.
const LONGEST: usize = 16 << 20;
/// Deepest nesting of lists and maps; JSON that was read has at most 128.
const DEEPEST: usize = 150;
/// Bytes of text for a unit.
pub(super) const UNIT: usize = 64;

/// What is left of a budget.
#[derive(Clone, Copy, Default)]
struct Meter {
    left: u64,
    longest: usize,
}

thread_local! {
    static METER: Cell<Meter> = Cell::new(Meter::default());
}

/// Renders with a budget for a conversation of this many units.
pub(super) fn within<T>(units: u64, render: impl FnOnce() -> T) -> T {
    let before = METER.replace(Meter {
        left: BASE.saturating_add(units.saturating_mul(FOR_EACH)),
        longest: LONGEST.saturating_add((units as usize).saturating_mul(4 * UNIT)),
    });
    let result = render();
    METER.set(before);
    result
}

/// The units of a text.
pub(super) fn units_of(text: &str) -> u64 {
    1 + (text.len() / UNIT) as u64
}

/// The units of a JSON value.
pub(super) fn units_of_json(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::String(text) => units_of(text),
        serde_json::Value::Array(items) => 1 + items.iter().map(units_of_json).sum::<u64>(),
        serde_json::Value::Object(map) => {
            1 + map.iter().map(|(key, value)| units_of(key) + units_of_json(value)).sum::<u64>()
        }
        _ => 1,
    }
}

/// An error of the template's, in its own words.
pub(super) fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// Pays.
pub(super) fn spend(units: u64) -> Result<(), Error> {
    let mut meter = METER.get();
    let Some(left) = meter.left.checked_sub(units) else {
        meter.left = 0;
        METER.set(meter);
        return Err(refused("does far more work than the conversation calls for; it may never end"));
    };
    meter.left = left;
    METER.set(meter);
    Ok(())
}

/// Pays for a text of this many bytes.
pub(super) fn text(bytes: usize) -> Result<(), Error> {
    let longest = METER.get().longest;
    if bytes > longest {
        return Err(refused(format!("makes a text of {bytes} bytes, expected at most {longest}")));
    }
    spend(1 + (bytes / UNIT) as u64)
}

/// Pays for looking at a value from outside: its text, or its number of items.
pub(super) fn glance(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Bytes => text(value.as_bytes().map_or(0, <[u8]>::len)),
        ValueKind::Seq | ValueKind::Iterable => spend(1 + value.len().unwrap_or(0) as u64 / 8),
        _ => spend(1),
    }
}

/// Pays for each item of a value, characters of a text included.
pub(super) fn items(value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::String => spend(value.as_str().map_or(0, str::len) as u64),
        _ => spend(1 + value.len().unwrap_or(0) as u64),
    }
}

/// Pays for all that a value holds.
pub(super) fn walk(value: &Value) -> Result<(), Error> {
    walk_from(value, 0, true)
}

/// As [`walk`], for what is to be kept in a namespace. It may hold no namespace: those can be changed, so one could come
/// to hold itself.
pub(super) fn walk_to_keep(value: &Value) -> Result<(), Error> {
    walk_from(value, 0, false)
}

fn walk_from(value: &Value, depth: usize, namespaces: bool) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(refused(format!("nests values more than {DEEPEST} deep")));
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            spend(1)?;
            value.try_iter()?.try_for_each(|item| walk_from(&item, depth + 1, namespaces))
        }
        ValueKind::Map => {
            spend(1)?;
            let Some(object) = value.as_object() else { return Ok(()) };
            if !namespaces && object.type_name().ends_with("::Namespace") {
                return Err(refused("keeps a namespace in a namespace"));
            }
            object.try_iter_pairs().into_iter().flatten().try_for_each(|(key, value)| {
                walk_from(&key, depth + 1, namespaces)?;
                walk_from(&value, depth + 1, namespaces)
            })
        }
        _ => glance(value),
    }
}
