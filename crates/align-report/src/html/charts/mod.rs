//! Charts as SVG, drawn here so that the page needs no library, prints as it is, and can be tested.
//!
//! A chart is [`WIDTH`] units wide and scales with its place. Series differ in colour, in the shape of their points and in
//! their dashes, so that no chart needs colour to be read. Numbers under the pointer are the script's work; it reads the
//! scales off the attributes that [`frame::Frame`] writes.

mod axis;
mod frame;
mod histogram;
mod intervals;
mod lines;
mod marks;
mod reliability;
mod scatter;

pub(super) use histogram::{Values, histogram};
pub(super) use intervals::{Row, intervals};
pub(super) use lines::{Line, lines};
pub(super) use marks::STYLES;
pub(super) use reliability::reliability;
pub(super) use scatter::{Group, Point, scatter};

use minijinja::Value;
use serde::Serialize;

/// Units across a chart. Text is 11 units high: readable where a phone shows the chart at 340 pixels.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 230.0;

/// What a chart is called, for people who see it and for those who do not.
pub(super) struct Labels {
    /// Unique in the page.
    pub(super) id: String,
    pub(super) title: String,
    /// What the chart shows, in a sentence with the figures that matter.
    pub(super) description: String,
    pub(super) x: String,
    pub(super) y: String,
}

/// A chart with its heading and key.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    title: String,
    description: String,
    svg: Value,
    /// Empty where one series needs no key.
    keys: Vec<Key>,
}

/// A series in the key.
#[derive(Debug, Serialize)]
struct Key {
    svg: Value,
    name: String,
}

impl Figure {
    fn new(labels: &Labels, svg: String, keys: Vec<Key>) -> Self {
        let keys = if keys.len() > 1 { keys } else { Vec::new() };
        let (title, description) = (labels.title.clone(), labels.description.clone());
        Self { title, description, svg: Value::from_safe_string(svg), keys }
    }
}

impl Key {
    /// A line.
    fn line(series: usize, name: &str) -> Self {
        Self::drawn(series, name, "")
    }

    /// A line with the point of its series.
    fn marked_line(series: usize, name: &str) -> Self {
        Self::drawn(series, name, &marks::mark(series, 12.0, 6.0, 3.5))
    }

    fn drawn(series: usize, name: &str, mark: &str) -> Self {
        let series = series % marks::STYLES;
        let svg = format!(
            r#"<svg class="key s{series}" viewBox="0 0 24 12" aria-hidden="true"><path class="line d{series}" d="M0 6H24"/>{mark}</svg>"#
        );
        Self { svg: Value::from_safe_string(svg), name: name.to_owned() }
    }

    /// The point of its series alone.
    fn mark(series: usize, name: &str) -> Self {
        let mark = marks::mark(series, 6.0, 6.0, 4.5);
        let series = series % marks::STYLES;
        let svg =
            format!(r#"<svg class="key s{series}" viewBox="0 0 12 12" aria-hidden="true">{mark}</svg>"#);
        Self { svg: Value::from_safe_string(svg), name: name.to_owned() }
    }
}

/// The sign of a series outside charts: its point in its colour.
pub(super) fn sign(series: usize) -> Value {
    Key::mark(series, "").svg
}

/// The signs of all series, to be drawn where the page uses them: thousands of answers have one each.
pub(super) fn signs() -> Vec<Value> {
    (0..STYLES).map(|series| Value::from_safe_string(marks::mark(series, 6.0, 6.0, 4.5))).collect()
}

/// Text inside SVG, or in one of its attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
