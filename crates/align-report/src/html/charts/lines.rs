//! Values over steps.

use super::axis::{Axis, extent};
use super::frame::Frame;
use super::{Figure, Key, Labels, escape, marks};

/// Points that a curve is drawn with; between two of them nothing could be seen.
const DRAWN: usize = 160;

/// A curve.
pub(in crate::html) struct Line {
    pub(in crate::html) name: String,
    /// By rising x.
    pub(in crate::html) points: Vec<[f64; 2]>,
    pub(in crate::html) series: usize,
    /// Whether each point is marked: a few measurements rather than a log.
    pub(in crate::html) marked: bool,
}

/// Curves over one axis. `doublings` has x as exponents of two; `rule` marks a place.
pub(in crate::html) fn lines(
    labels: &Labels,
    lines: &[Line],
    doublings: bool,
    rule: Option<(f64, &str)>,
) -> Figure {
    let all = || lines.iter().flat_map(|line| &line.points);
    let xs = all().map(|point| point[0]);
    let x = if doublings { Axis::doublings(xs) } else { tight(xs) };
    let frame = Frame { x, y: Axis::around(all().map(|point| point[1])) };
    let mut svg = frame.open(labels, if doublings { "doublings" } else { "lines" });
    if let Some((at, name)) = rule {
        svg += &frame.rule(at, name);
    }
    for line in lines {
        let points = thinned(&line.points);
        let (style, name, path) = (line.series % marks::STYLES, escape(&line.name), frame.path(&points));
        svg += &format!(r#"<g class="s{style}" data-name="{name}"><path class="line d{style}" d="{path}"/>"#);
        if line.marked {
            for point in points.iter().filter(|point| point[1].is_finite()) {
                let (x, y) = frame.at(*point);
                svg += &marks::mark(line.series, x, y, 2.6);
            }
        }
        svg += "</g>";
    }
    let key = |line: &Line| match line.marked {
        true => Key::marked_line(line.series, &line.name),
        false => Key::line(line.series, &line.name),
    };
    let keys = lines.iter().map(key).collect();
    Figure::new(labels, svg + "</svg>", keys)
}

/// Steps fill the width: the last one is at the end.
fn tight(xs: impl Iterator<Item = f64> + Clone) -> Axis {
    let mut axis = Axis::around(xs.clone());
    // Unless they lie so close that the axis is wider than they are.
    if let Some((low, high)) = extent(xs).filter(|(low, high)| high - low > 0.1 * (axis.high - axis.low)) {
        // From zero, unless the curve begins far from it.
        axis.low = if low >= 0.0 && low < 0.3 * high { 0.0 } else { low };
        axis.high = high;
        axis.ticks.retain(|(place, _)| (axis.low..=axis.high).contains(place));
    }
    axis
}

/// Of each stretch of a long curve the lowest and the highest point, so that no spike is lost.
fn thinned(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    if points.len() <= DRAWN {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(DRAWN / 2);
    let extremes = points.chunks(stretch).flat_map(|chunk| {
        let at = |best: fn(f64, f64) -> bool| {
            (0..chunk.len())
                .reduce(|kept, other| if best(chunk[other][1], chunk[kept][1]) { other } else { kept })
        };
        let (low, high) = (at(|a, b| a < b).unwrap_or(0), at(|a, b| a > b).unwrap_or(0));
        let (first, second) = (low.min(high), low.max(high));
        if first == second { vec![chunk[first]] } else { vec![chunk[first], chunk[second]] }
    });
    extremes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_spikes() {
        let mut points: Vec<[f64; 2]> = (0..10_000).map(|i| [f64::from(i), 1.0]).collect();
        points[7_777][1] = 50.0;
        let thin = thinned(&points);
        assert!(thin.len() <= DRAWN && thin.contains(&[7_777.0, 50.0]), "{}", thin.len());
        assert!(thin.is_sorted_by(|a, b| a[0] < b[0]));
        assert_eq!(thinned(&points[..100]), points[..100]);
    }
}
