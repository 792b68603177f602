//! The engine's filters, tests, functions and methods, each behind a payment for what it reads and makes.
//!
//! What a number or a short text can blow up (`indent`, `format`, `batch`, `replace`, `join`, …) is worked out before it
//! is done. `debug`, which prints the whole state, is left out, as transformers does.

mod blow_up;

use std::fmt::Write as _;

use minijinja::value::{DynObject, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value, filters, functions, tests};

use super::meter::{self, glance, walk};
use super::metered::{CONCAT, CYCLE, GLANCE, HAYSTACK, KEEP, PRODUCT, SETTLE, TURN, WALK};

/// What is paid for the values of a call.
type Payment = fn(&[Value]) -> Result<(), Error>;
/// What is paid for its result, which comes back.
type Receipt = fn(Value) -> Result<Value, Error>;

/// Registers all of them.
pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.remove_global("debug");
    environment.set_unknown_method_callback(method);
    add_filters(environment);
    add_tests(environment);
    let dict = Value::from_function(functions::dict);
    environment.add_function("dict", paid(dict, texts, whole));
    let namespace = Value::from_function(functions::namespace);
    environment.add_function("namespace", paid(namespace, wholes, whole));
    add_payments(environment);
}

fn texts(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(glance)
}

fn wholes(values: &[Value]) -> Result<(), Error> {
    values.iter().try_for_each(walk)
}

/// The first is looked at, the others are names in it or are made texts.
fn named(values: &[Value]) -> Result<(), Error> {
    values.first().map_or(Ok(()), glance)?;
    wholes(values.get(1..).unwrap_or_default())
}

/// The first is gone through item by item.
fn list(values: &[Value]) -> Result<(), Error> {
    values.first().map_or(Ok(()), meter::items)?;
    wholes(values.get(1..).unwrap_or_default())
}

fn outside(value: Value) -> Result<Value, Error> {
    glance(&value).map(|()| value)
}

fn whole(value: Value) -> Result<Value, Error> {
    walk(&value).map(|()| value)
}

/// A function of the engine's, with what is paid before and after.
fn paid(
    function: Value,
    before: Payment,
    after: Receipt,
) -> impl Fn(&mut State<'_, '_>, Rest<ValueOrKwargs>) -> Result<Value, Error> + Send + Sync + 'static {
    move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        before(&args)?;
        after(function.call(state, &args)?)
    }
}

fn add_filters(environment: &mut Environment<'static>) {
    // `default` and `bool` take a step each and stay as they are.
    macro_rules! filters {
        ($before:expr, $after:expr, $($name:literal => $filter:path),* $(,)?) => {
            $(environment.add_filter($name, paid(Value::from_function($filter), $before, $after));)*
        };
    }
    filters!(texts, outside,
        "length" => filters::length, "count" => filters::length, "int" => filters::int, "float" => filters::float,
        "abs" => filters::abs, "round" => filters::round);
    filters!(named, outside, "attr" => filters::attr);
    filters!(wholes, outside,
        "safe" => filters::safe, "lower" => filters::lower, "upper" => filters::upper, "title" => filters::title,
        "capitalize" => filters::capitalize, "escape" => filters::escape, "e" => filters::escape, "sort" => filters::sort,
        "dictsort" => filters::dictsort, "unique" => filters::unique, "min" => filters::min,
        "max" => filters::max, "pprint" => filters::pprint);
    filters!(blow_up::strip, outside, "trim" => filters::trim);
    filters!(blow_up::sum, outside, "sum" => filters::sum);
    filters!(wholes, whole, "groupby" => filters::groupby);
    filters!(list, outside,
        "list" => filters::list, "last" => filters::last, "first" => filters::first,
        "select" => filters::select, "reject" => filters::reject, "selectattr" => filters::selectattr,
        "rejectattr" => filters::rejectattr);
    filters!(list, settled, "reverse" => filters::reverse, "chain" => filters::chain);
    filters!(list, |value| whole(settled(value)?), "zip" => filters::zip);
    filters!(list, whole, "items" => filters::items, "map" => filters::map);
    filters!(blow_up::replace, outside, "replace" => filters::replace);
    filters!(blow_up::join, outside, "join" => filters::join);
    filters!(blow_up::indent, outside, "indent" => filters::indent);
    filters!(blow_up::split, outside, "split" => filters::split);
    filters!(blow_up::lines, outside, "lines" => filters::lines);
    filters!(blow_up::printf, outside, "format" => filters::format);
    filters!(blow_up::parts, whole, "batch" => filters::batch, "slice" => filters::slice);
}

fn add_tests(environment: &mut Environment<'static>) {
    macro_rules! tests {
        ($before:expr, $($name:literal => $test:path),* $(,)?) => {
            $(environment.add_test($name, paid(Value::from_function($test), $before, Ok));)*
        };
    }
    tests!(wholes,
        "eq" => tests::is_eq, "equalto" => tests::is_eq, "==" => tests::is_eq, "ne" => tests::is_ne,
        "!=" => tests::is_ne, "lt" => tests::is_lt, "lessthan" => tests::is_lt, "<" => tests::is_lt,
        "le" => tests::is_le, "<=" => tests::is_le, "gt" => tests::is_gt, "greaterthan" => tests::is_gt,
        ">" => tests::is_gt, "ge" => tests::is_ge, ">=" => tests::is_ge, "sameas" => tests::is_sameas,
        "startingwith" => tests::is_startingwith, "endingwith" => tests::is_endingwith,
        "lower" => tests::is_lower, "upper" => tests::is_upper);
    tests!(|values| {
        values.first().map_or(Ok(()), walk)?;
        values.get(1).map_or(Ok(()), haystack)
    }, "in" => tests::is_in);
}

/// The filters that [`super::metered`] writes into a template.
fn add_payments(environment: &mut Environment<'static>) {
    environment.add_filter(TURN, |cost: u64| meter::spend(cost).map(|()| ""));
    environment.add_filter(CYCLE, |_: Value| -> Result<Value, Error> {
        Err(meter::refused("`loop.cycle()` has no values, expected those to go through in turn"))
    });
    environment.add_filter(GLANCE, outside);
    environment.add_filter(WALK, whole);
    environment.add_filter(KEEP, |value: Value| meter::walk_to_keep(&value).map(|()| value));
    environment.add_filter(HAYSTACK, |value: Value| haystack(&value).map(|()| value));
    environment.add_filter(SETTLE, settled);
    environment.add_filter(CONCAT, |values: Rest<Value>| concatenated(&values));
    environment.add_filter(PRODUCT, product);
}

/// A map is searched by name, a text or a list from its beginning to its end.
fn haystack(value: &Value) -> Result<(), Error> {
    if value.kind() == ValueKind::Map { meter::spend(1) } else { walk(value) }
}

/// A lazy list or a map over other maps as one of its own: laid over each other a thousand times, they would be a
/// thousand calls deep.
fn settled(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()? {
                meter::spend(1)?;
                items.push(item);
            }
            Ok(Value::make_object_iterable(items, |items| Box::new(items.iter().cloned())))
        }
        ValueKind::Map => {
            let mut pairs = Vec::new();
            for pair in value.as_object().and_then(DynObject::try_iter_pairs).into_iter().flatten() {
                meter::spend(1)?;
                pairs.push(pair);
            }
            Ok(Value::from_pairs(pairs))
        }
        _ => outside(value),
    }
}

fn concatenated(values: &[Value]) -> Result<Value, Error> {
    let mut text = String::new();
    for value in values {
        walk(value)?;
        match value.as_str() {
            Some(part) => text.push_str(part),
            None => write!(text, "{value}").map_err(|_| meter::refused("a value that cannot be printed"))?,
        }
        meter::text(text.len())?;
    }
    Ok(Value::from(text))
}

/// `left * right`; of a text or a list only if the result is in proportion.
fn product(state: &State<'_, '_>, left: Value, right: Value) -> Result<Value, Error> {
    let repeated = |value: &Value, times: &Value| -> Result<(), Error> {
        let times = times.as_usize().unwrap_or(0);
        match value.kind() {
            ValueKind::String => meter::text(value.as_str().map_or(0, str::len).saturating_mul(times)),
            ValueKind::Seq | ValueKind::Iterable => {
                meter::spend(value.len().unwrap_or(0).saturating_mul(times) as u64)
            }
            _ => Ok(()),
        }
    };
    repeated(&left, &right)?;
    repeated(&right, &left)?;
    let both = Value::from_pairs([("left", left), ("right", right)]);
    settled(state.env().compile_expression("left * right")?.eval(both)?)
}

/// Python's methods of texts, maps and lists.
fn method(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let all = || -> Vec<Value> { [value].into_iter().chain(args).cloned().collect() };
    match (value.kind(), method) {
        (ValueKind::String, "replace") => blow_up::replace(&all())?,
        (ValueKind::String, "join") => {
            let joined: Vec<Value> = args.iter().chain([value]).cloned().collect();
            blow_up::join(&joined)?;
        }
        (ValueKind::String, "split") => blow_up::split(&all())?,
        (ValueKind::String, "splitlines") => blow_up::lines(&all())?,
        (ValueKind::String, "format") => blow_up::format(&all())?,
        (ValueKind::String, "strip" | "lstrip" | "rstrip") => blow_up::strip(&all())?,
        (ValueKind::String, _) | (_, "count") => wholes(&all())?,
        _ => wholes(args)?,
    }
    outside(minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)?)
}
