//! The functions and filters that transformers gives to chat templates, with Python's output.
//!
//! `tojson` is Python's `json.dumps` (no HTML escaping, `", "` and `": "` between items, keys in their own
//! order), `strftime_now` is `datetime.now().strftime`, `raise_exception` stops with the template's own words,
//! `true`, `false` and `none` print as Python prints them, and `none` cannot be iterated.

use std::fmt::Write as _;
use std::io;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use serde::Serialize as _;
use serde_json::ser::Formatter;

use super::meter::{self, refused, walk};
use crate::guard::shortened;

/// Widest `indent` of `tojson`.
const WIDEST: usize = 1000;

/// Registers them.
pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |value: &Value| -> Result<String, Error> {
        walk(value)?;
        Ok(constant(value).map_or_else(|| value.to_string(), str::to_owned))
    });
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.set_formatter(|out, state, value| match constant(value) {
        Some(name) => Ok(out.write_str(name)?),
        None => {
            walk(value)?;
            minijinja::escape_formatter(out, state, value)
        }
    });
}

/// Python's name for a constant.
fn constant(value: &Value) -> Option<&'static str> {
    match (value.kind(), value.is_true()) {
        (ValueKind::Bool, true) => Some("True"),
        (ValueKind::Bool, false) => Some("False"),
        (ValueKind::None, _) => Some("None"),
        _ => None,
    }
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    // A conversion writes at most thirty characters.
    meter::text(format.len().saturating_mul(16))?;
    let mut text = String::new();
    write!(text, "{}", chrono::Local::now().format(format))
        .map_err(|_| refused(format!("strftime_now: bad format `{}`", shortened(format))))?;
    Ok(text)
}

#[expect(clippy::needless_pass_by_value, reason = "minijinja hands keyword arguments over by value")]
fn to_json(value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let wrong =
        |error: &dyn std::fmt::Display| Error::new(ErrorKind::InvalidOperation, format!("tojson: {error}"));
    let ensure_ascii: Option<bool> = arguments.get("ensure_ascii")?;
    let sort_keys: Option<bool> = arguments.get("sort_keys")?;
    let indent: Option<usize> = arguments.get("indent")?;
    let separators: Option<Vec<String>> = arguments.get("separators")?;
    arguments.assert_all_used()?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(wrong(&"separators must be a pair")),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    walk(value)?;
    if indent.is_some_and(|indent| indent > WIDEST) {
        return Err(wrong(&format!("`indent` must be at most {WIDEST}")));
    }
    let mut json = serde_json::to_value(value).map_err(|error| wrong(&error))?;
    if sort_keys == Some(true) {
        json.sort_all_objects();
    }
    let style = PythonJson { item, key, indent, depth: 0, empty: true, ascii: ensure_ascii == Some(true) };
    let mut out = Paid(Vec::new());
    json.serialize(&mut serde_json::Serializer::with_formatter(&mut out, style))
        .map_err(|error| wrong(&error))?;
    String::from_utf8(out.0).map_err(|error| wrong(&error))
}

/// Text that is paid for while it grows: deep JSON is mostly indentation.
struct Paid(Vec<u8>);

impl io::Write for Paid {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.0.len() + bytes.len()) >> 12 > self.0.len() >> 12 {
            meter::text(self.0.len() + bytes.len()).map_err(|error| io::Error::other(error.to_string()))?;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `json.dumps`' layout.
struct PythonJson {
    item: String,
    key: String,
    indent: Option<usize>,
    depth: usize,
    empty: bool,
    ascii: bool,
}

impl PythonJson {
    fn open<W: ?Sized + io::Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        out.write_all(bracket)
    }

    fn close<W: ?Sized + io::Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.empty {
            self.break_line(out)?;
        }
        self.empty = false;
        out.write_all(bracket)
    }

    fn next<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(self.item.as_bytes())?;
        }
        self.empty = false;
        self.break_line(out)
    }

    fn break_line<W: ?Sized + io::Write>(&self, out: &mut W) -> io::Result<()> {
        match self.indent {
            Some(indent) => {
                out.write_all(b"\n")?;
                (0..self.depth).try_for_each(|_| write!(out, "{:indent$}", ""))
            }
            None => Ok(()),
        }
    }
}

impl Formatter for PythonJson {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.key.as_bytes())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        // Rust and Python print the same shortest digits, but Python writes 1e-05 and 1e+16.
        let text = format!("{value:?}");
        match text.split_once('e') {
            Some((digits, exponent)) => match exponent.strip_prefix('-') {
                Some(exponent) => write!(out, "{digits}e-{exponent:0>2}"),
                None => write!(out, "{digits}e+{exponent:0>2}"),
            },
            None => out.write_all(text.as_bytes()),
        }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        if !self.ascii {
            // Python escapes DEL neither; control characters never reach a fragment.
            return out.write_all(text.as_bytes());
        }
        for c in text.chars() {
            if c.is_ascii() {
                write!(out, "{c}")?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, json: &str) -> String {
        let mut environment = Environment::new();
        add_to(&mut environment);
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        let x = Value::from(minijinja::value::Serde(value));
        meter::within(1, || environment.render_str(source, Value::from_pairs([("x", x)]))).unwrap()
    }

    // The expectations are what Python's json.dumps(…, ensure_ascii=False) prints.
    #[test]
    fn tojson_is_pythons() {
        let json = r#"{"b":[1,2.5,1e16,1e-5,true,null,"<é&'>"],"a":{},"c":[]}"#;
        assert_eq!(
            render("{{ x|tojson }}", json),
            r#"{"b": [1, 2.5, 1e+16, 1e-05, true, null, "<é&'>"], "a": {}, "c": []}"#
        );
        assert_eq!(
            render("{{ x|tojson(indent=2) }}", r#"{"b":[1],"a":{}}"#),
            "{\n  \"b\": [\n    1\n  ],\n  \"a\": {}\n}"
        );
        assert_eq!(render("{{ x|tojson(sort_keys=true) }}", r#"{"b":1,"a":2}"#), r#"{"a": 2, "b": 1}"#);
        assert_eq!(render("{{ x|tojson(ensure_ascii=true) }}", r#""é😀""#), r#""\u00e9\ud83d\ude00""#);
        assert_eq!(render("{{ x|tojson(separators=[',', ':']) }}", r#"{"b":[1,2]}"#), r#"{"b":[1,2]}"#);
    }

    #[test]
    fn constants_print_as_in_python() {
        assert_eq!(
            render("{{ true }} {{ x }} {{ 1 == 2 }} {{ 'a' + x|string }}", "null"),
            "True None False aNone"
        );
    }

    #[test]
    fn none_is_not_iterable() {
        assert_eq!(
            render("{{ x is iterable }} {{ [] is iterable }} {{ 'a' is iterable }}", "null"),
            "False True True"
        );
    }

    #[test]
    fn a_bad_date_format_is_an_error_not_a_panic() {
        let mut environment = Environment::new();
        add_to(&mut environment);
        assert!(environment.render_str("{{ strftime_now('%Q') }}", ()).is_err());
        let year = meter::within(1, || environment.render_str("{{ strftime_now('%Y')|length }}", ()));
        assert_eq!(year.unwrap(), "4");
    }
}
