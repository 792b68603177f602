//! Where the values of several series lie, on common bins.

use super::axis::Axis;
use super::frame::Frame;
use super::{Figure, Key, Labels, escape, marks};

const BINS: usize = 24;

/// The values of a series.
pub(in crate::html) struct Values {
    pub(in crate::html) name: String,
    pub(in crate::html) values: Vec<f64>,
    pub(in crate::html) series: usize,
}

/// The share of each series' values in each bin, as outlines over each other.
pub(in crate::html) fn histogram(labels: &Labels, all: &[Values]) -> Figure {
    let x = Axis::around(all.iter().flat_map(|series| series.values.iter().copied()));
    let width = (x.high - x.low) / BINS as f64;
    let shares: Vec<[f64; BINS]> = all.iter().map(|series| shares(&series.values, x.low, width)).collect();
    let highest = shares.iter().flatten().copied().fold(0.0, f64::max);
    let mut y = Axis::from_zero([highest]);
    for (place, text) in &mut y.ticks {
        *text = format!("{} %", crate::format::plain(100.0 * *place));
    }
    let frame = Frame { x, y };
    let mut svg = frame.open(labels, "");
    for (shares, series) in shares.iter().zip(all) {
        let left = |bin: usize| frame.x.low + width * bin as f64;
        let mut outline = vec![[left(0), 0.0]];
        for (bin, share) in shares.iter().enumerate() {
            outline.extend([[left(bin), *share], [left(bin + 1), *share]]);
        }
        outline.push([left(BINS), 0.0]);
        let (style, path) = (series.series % marks::STYLES, frame.path(&outline));
        svg += &format!(
            r#"<g class="s{style}" data-name="{}"><path class="area" d="{path}z"/><path class="line d{style}" d="{path}"/></g>"#,
            escape(&series.name)
        );
    }
    let keys = all.iter().map(|series| Key::line(series.series, &series.name)).collect();
    Figure::new(labels, svg + "</svg>", keys)
}

fn shares(values: &[f64], low: f64, width: f64) -> [f64; BINS] {
    let mut shares = [0.0; BINS];
    for value in values.iter().filter(|value| value.is_finite()) {
        shares[(((value - low) / width) as usize).min(BINS - 1)] += 1.0 / values.len() as f64;
    }
    shares
}
