//! Stated confidence against what comes true, with the number of pairs behind each point.

use super::axis::Axis;
use super::frame::Frame;
use super::{Figure, Labels};
use crate::ReliabilityBin;
use crate::format::{count, percent};

/// A reliability diagram: on the diagonal a model is as sure as it is right.
pub(in crate::html) fn reliability(labels: &Labels, bins: &[ReliabilityBin]) -> Figure {
    let low = if bins.iter().all(|bin| bin.from >= 0.499) { 0.5 } else { 0.0 };
    let (x, y) = (Axis::percent(low, 1.0), Axis::percent(0.0, 1.0));
    let frame = Frame { x: x.with_room(), y: y.with_room() };
    let mut svg = frame.open(labels, "points");
    let most = bins.iter().map(|bin| bin.pairs).max().unwrap_or(1).max(1) as f64;
    svg += r#"<g class="pairs" aria-hidden="true">"#;
    for bin in bins {
        let (left, right) = (frame.x(bin.from), frame.x(bin.to));
        let height = 46.0 * bin.pairs as f64 / most;
        let (x, y, width) = (left + 1.0, frame.y(0.0) - height, right - left - 2.0);
        svg += &format!(r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#);
    }
    let (from, to) = (frame.at([low, low]), frame.at([1.0, 1.0]));
    svg += &format!(
        r#"</g><path class="even" d="M{:.1} {:.1}L{:.1} {:.1}"/><g class="s1">"#,
        from.0, from.1, to.0, to.1
    );
    let points: Vec<[f64; 2]> = bins.iter().map(|bin| [bin.confidence, bin.accuracy]).collect();
    svg += &format!(r#"<path class="line" d="{}"/>"#, frame.path(&points));
    for bin in bins {
        let (x, y) = frame.at([bin.confidence, bin.accuracy]);
        let radius = 2.5 + 5.0 * (bin.pairs as f64 / most).sqrt();
        let tip = format!(
            "{} sure, {} right, {}",
            percent(bin.confidence),
            percent(bin.accuracy),
            count(bin.pairs, "pair")
        );
        svg += &format!(r#"<circle class="mark" data-tip="{tip}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}"/>"#);
    }
    Figure::new(labels, svg + "</g></svg>", Vec::new())
}
