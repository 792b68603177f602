//! Win rates as bars, with their intervals and the line of even odds.

use super::{Figure, Key, Labels, WIDTH, escape, marks};
use crate::format::{percent, percent_interval};

/// A bar.
pub(in crate::html) struct Row {
    pub(in crate::html) name: String,
    pub(in crate::html) rate: f64,
    pub(in crate::html) ci95: [f64; 2],
    /// Another figure of the same thing: the rate at equal length.
    pub(in crate::html) other: Option<f64>,
    pub(in crate::html) series: usize,
}

const HEIGHT_OF_ROW: f64 = 46.0;
const LEFT: f64 = 8.0;
const SPAN: f64 = WIDTH - 2.0 * LEFT;

/// Bars from 0 to 100 %.
pub(in crate::html) fn intervals(labels: &Labels, rows: &[Row]) -> Figure {
    let bottom = HEIGHT_OF_ROW * rows.len() as f64 + 8.0;
    let height = bottom + 24.0;
    let x = |share: f64| LEFT + SPAN * share.clamp(0.0, 1.0);
    let (id, title, description) = (escape(&labels.id), escape(&labels.title), escape(&labels.description));
    let mut svg = format!(
        r#"<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{title}</title><desc id="{id}-d">{description}</desc><g class="grid" aria-hidden="true">"#
    );
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (at, anchor) = (
            x(tick),
            if tick == 0.0 {
                "start"
            } else if tick == 1.0 {
                "end"
            } else {
                "middle"
            },
        );
        svg += &format!(
            r#"<path d="M{at:.1} 4V{bottom}"/><text x="{at:.1}" y="{y}" text-anchor="{anchor}">{tick:.0} %</text>"#,
            y = bottom + 16.0,
            tick = 100.0 * tick,
        );
    }
    svg += "</g>";
    for (place, row) in rows.iter().enumerate() {
        let top = HEIGHT_OF_ROW * place as f64 + 6.0;
        let [low, high] = row.ci95;
        let (bar, middle) = (top + 16.0, top + 24.0);
        svg += &format!(
            r#"<g class="s{style}"><text class="name" x="{LEFT}" y="{text}">{name}</text><text class="value" x="{right}" y="{text}">{rate}</text><rect class="fill" x="{LEFT}" y="{bar}" width="{width:.1}" height="16" rx="2"/><path class="whisker" d="M{low:.1} {a}v10M{low:.1} {middle}H{high:.1}M{high:.1} {a}v10"/>"#,
            style = row.series % marks::STYLES,
            text = top + 10.0,
            name = escape(&row.name),
            right = WIDTH - LEFT,
            rate = escape(&format!("{} ({})", percent(row.rate), percent_interval(row.ci95))),
            width = x(row.rate) - LEFT,
            low = x(low),
            high = x(high),
            a = middle - 5.0,
        );
        if let Some(other) = row.other {
            let at = x(other);
            svg += &format!(r#"<path class="diamond" d="M{at:.1} {y}l6 7-6 7-6-7z"/>"#, y = middle - 7.0);
        }
        svg += "</g>";
    }
    svg += &format!(r#"<path class="even" d="M{at} 2V{bottom}"/></svg>"#, at = x(0.5));
    let mut keys = Vec::new();
    if rows.iter().any(|row| row.other.is_some()) {
        let key = |path: &str, name: &str| Key {
            svg: minijinja::Value::from_safe_string(format!(
                r#"<svg class="key s0" viewBox="0 0 24 12" aria-hidden="true">{path}</svg>"#
            )),
            name: name.to_owned(),
        };
        keys.push(key(r#"<path class="whisker" d="M4 2v8M4 6H20M20 2v8"/>"#, "95 % interval"));
        keys.push(key(r#"<path class="diamond" d="M12 0l5 6-5 6-5-6z"/>"#, "at equal length"));
    }
    Figure::new(labels, svg, keys)
}
