//! Points by two measures: answers by length and reward, models by distance and reward.

use super::axis::Axis;
use super::frame::Frame;
use super::{Figure, Key, Labels, escape, marks};

/// Points of one series.
pub(in crate::html) struct Group {
    pub(in crate::html) name: String,
    pub(in crate::html) points: Vec<Point>,
    pub(in crate::html) series: usize,
    /// Whether the least-squares line is drawn through them.
    pub(in crate::html) trend: bool,
}

/// A point.
pub(in crate::html) struct Point {
    pub(in crate::html) at: [f64; 2],
    /// 95 % interval of the second value.
    pub(in crate::html) ci95: Option<[f64; 2]>,
    /// Written beside it; empty for none.
    pub(in crate::html) label: String,
    /// Shown under the pointer.
    pub(in crate::html) tip: String,
}

/// Points on two scales. `frontier` is a line through the points that nothing beats.
pub(in crate::html) fn scatter(labels: &Labels, groups: &[Group], frontier: &[[f64; 2]]) -> Figure {
    let all = || groups.iter().flat_map(|group| &group.points);
    let ys = all().flat_map(|point| point.ci95.unwrap_or([point.at[1]; 2]).into_iter().chain([point.at[1]]));
    let frame = Frame {
        x: Axis::from_zero(all().map(|point| point.at[0])).with_room(),
        y: Axis::around(ys).with_room(),
    };
    let mut svg = frame.open(labels, "points");
    if frontier.len() > 1 {
        svg += &format!(r#"<path class="frontier" d="{}"/>"#, frame.path(frontier));
    }
    let is_crowded = all().count() > 60;
    let radius = if is_crowded { 2.4 } else { 4.5 };
    for group in groups {
        let series = group.series;
        let crowd = if is_crowded { " crowd" } else { "" };
        svg += &format!(r#"<g class="s{}{crowd}">"#, series % marks::STYLES);
        if let Some(ends) = group.trend.then(|| trend(&group.points)).flatten() {
            let style = series % marks::STYLES;
            svg += &format!(r#"<path class="line d{style}" d="{}"/>"#, frame.path(&ends));
        }
        for point in group.points.iter().filter(|point| point.at.iter().all(|value| value.is_finite())) {
            svg += &drawn(&frame, series, point, radius);
        }
        svg += "</g>";
    }
    let key = |group: &Group| match group.trend {
        true => Key::marked_line(group.series, &group.name),
        false => Key::mark(group.series, &group.name),
    };
    let keys = groups.iter().map(key).collect();
    Figure::new(labels, svg + "</svg>", keys)
}

fn drawn(frame: &Frame, series: usize, point: &Point, radius: f64) -> String {
    let (x, y) = frame.at(point.at);
    let mut svg = String::new();
    if let Some([low, high]) = point.ci95 {
        let (low, high) = (frame.y(low), frame.y(high));
        svg += &format!(r#"<path class="whisker" d="M{x:.1} {low:.1}V{high:.1}"/>"#);
    }
    svg += &format!(
        r#"<g data-tip="{}" data-at="{x:.1} {y:.1}">{}</g>"#,
        escape(&point.tip),
        marks::mark(series, x, y, radius)
    );
    if !point.label.is_empty() {
        let is_right = frame.x.share(point.at[0]) > 0.72;
        let (anchor, x) = if is_right { ("end", x - 8.0) } else { ("start", x + 8.0) };
        svg += &format!(
            r#"<text class="label" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
            escape(&point.label),
            y = y + 14.0
        );
    }
    svg
}

/// Both ends of the least-squares line; none where it has no slope.
fn trend(points: &[Point]) -> Option<[[f64; 2]; 2]> {
    let finite: Vec<[f64; 2]> =
        points.iter().map(|point| point.at).filter(|at| at.iter().all(|v| v.is_finite())).collect();
    let count = finite.len() as f64;
    let mean = |axis: usize| finite.iter().map(|at| at[axis]).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(0), mean(1));
    let spread: f64 = finite.iter().map(|at| (at[0] - mean_x).powi(2)).sum();
    if finite.len() < 3 || spread == 0.0 {
        return None;
    }
    let slope = finite.iter().map(|at| (at[0] - mean_x) * (at[1] - mean_y)).sum::<f64>() / spread;
    let low = finite.iter().map(|at| at[0]).fold(f64::INFINITY, f64::min);
    let high = finite.iter().map(|at| at[0]).fold(f64::NEG_INFINITY, f64::max);
    Some([low, high].map(|x| [x, mean_y + slope * (x - mean_x)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trend_of_points_on_a_line_is_that_line() {
        let point =
            |x: f64| Point { at: [x, 2.0 * x + 1.0], ci95: None, label: String::new(), tip: String::new() };
        assert_eq!(trend(&[point(0.0), point(1.0), point(3.0)]), Some([[0.0, 1.0], [3.0, 7.0]]));
        assert_eq!(trend(&[point(1.0), point(1.0), point(1.0)]), None);
    }
}
