//! The part that charts with two scales share: grid, ticks, titles.

use std::fmt::Write as _;

use super::axis::Axis;
use super::{HEIGHT, Labels, WIDTH, escape};

const LEFT: f64 = 50.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;

/// Two scales on their place.
pub(super) struct Frame {
    pub(super) x: Axis,
    pub(super) y: Axis,
}

impl Frame {
    /// Where a value lies, in units of the chart.
    pub(super) fn x(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// The place of a point.
    pub(super) fn at(&self, [x, y]: [f64; 2]) -> (f64, f64) {
        (self.x(x), self.y(y))
    }

    /// The beginning of the SVG. `hover` is what the script does under the pointer: `lines`, `doublings` (lines
    /// whose x are exponents of two), `points` or nothing.
    pub(super) fn open(&self, labels: &Labels, hover: &str) -> String {
        let id = escape(&labels.id);
        let (title, description) = (escape(&labels.title), escape(&labels.description));
        let (x_label, y_label) = (escape(&labels.x), escape(&labels.y));
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let focus = if matches!(hover, "lines" | "doublings") { r#" tabindex="0""# } else { "" };
        let mut svg = format!(
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{id}-t {id}-d" data-hover="{hover}" data-x="{x0} {x1} {LEFT} {right}" data-y="{y0} {y1} {bottom} {TOP}" data-names="{x_label}"{focus}><title id="{id}-t">{title}</title><desc id="{id}-d">{description}</desc>"#,
            x0 = self.x.low,
            x1 = self.x.high,
            y0 = self.y.low,
            y1 = self.y.high,
        );
        svg += r#"<g class="grid" aria-hidden="true">"#;
        for (place, text) in &self.y.ticks {
            let y = self.y(*place);
            let _ = write!(svg, r#"<path d="M{LEFT} {y:.1}H{right}"/>"#);
            let _ = write!(svg, r#"<text x="{x}" y="{y:.1}" class="ty">{text}</text>"#, x = LEFT - 6.0);
        }
        for (place, text) in &self.x.ticks {
            let x = self.x(*place);
            let _ = write!(svg, r#"<path d="M{x:.1} {bottom}v4"/>"#);
            let _ = write!(svg, r#"<text x="{x:.1}" y="{y}" class="tx">{text}</text>"#, y = bottom + 16.0);
        }
        let middle = (LEFT + right) / 2.0;
        let _ = write!(svg, r#"<path class="base" d="M{LEFT} {bottom}H{right}"/>"#);
        let _ = write!(svg, r#"<text x="{middle}" y="{y}" class="lx">{x_label}</text>"#, y = HEIGHT - 5.0);
        if !labels.y.is_empty() {
            let centre = (TOP + bottom) / 2.0;
            let _ = write!(
                svg,
                r#"<text x="11" y="{centre}" class="lx" transform="rotate(-90 11 {centre})">{y_label}</text>"#
            );
        }
        svg + "</g>"
    }

    /// A path through points that are finite, in units of the chart.
    pub(super) fn path(&self, points: &[[f64; 2]]) -> String {
        let mut path = String::new();
        for point in points.iter().filter(|point| point.iter().all(|value| value.is_finite())) {
            let (x, y) = self.at(*point);
            let _ = write!(path, "{}{x:.2} {y:.2}", if path.is_empty() { "M" } else { "L" });
        }
        path
    }

    /// A vertical line with its name.
    pub(super) fn rule(&self, x: f64, name: &str) -> String {
        let (at, bottom) = (self.x(x), HEIGHT - BOTTOM);
        let anchor = if self.x.share(x) > 0.7 { ("end", at - 4.0) } else { ("start", at + 4.0) };
        format!(
            r#"<g class="rule"><path d="M{at:.1} {TOP}V{bottom}"/><text x="{x:.1}" y="{y}" text-anchor="{anchor}">{name}</text></g>"#,
            x = anchor.1,
            y = TOP + 9.0,
            anchor = anchor.0,
            name = escape(name),
        )
    }
}
