use super::*;
use crate::ReliabilityBin;

fn labels() -> Labels {
    let text = |text: &str| text.to_owned();
    Labels {
        id: text("id"),
        title: text("a < b"),
        description: text("x & y"),
        x: text("step"),
        y: text("\"loss\""),
    }
}

fn line(name: &str, points: Vec<[f64; 2]>) -> Line {
    Line { name: name.to_owned(), points, series: 0, marked: false }
}

fn svg(figure: &Figure) -> String {
    figure.svg.to_string()
}

#[test]
fn labels_are_escaped() {
    let points = vec![[0.0, 1.0], [1.0, 0.5]];
    let figure = lines(&labels(), &[line("<b>", points)], false, None);
    let svg = svg(&figure);
    for text in ["a &lt; b", "x &amp; y", "&quot;loss&quot;", "data-name=\"&lt;b&gt;\""] {
        assert!(svg.contains(text), "{text} in {svg}");
    }
}

#[test]
fn a_curve_runs_from_the_left_end_to_the_right_one() {
    let points = vec![[0.0, 0.0], [50.0, 1.0], [100.0, 2.0]];
    let svg = svg(&lines(&labels(), &[line("loss", points)], false, None));
    assert!(svg.contains("M50.00 192.00L219.00 101.00L388.00 10.00"), "{svg}");
}

#[test]
fn values_that_are_no_numbers_are_left_out() {
    let points = vec![[0.0, 0.0], [1.0, f64::NAN], [2.0, f64::INFINITY], [3.0, 1.0]];
    let svg = svg(&lines(&labels(), &[line("loss", points)], false, Some((1.0, "here"))));
    assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("here"), "{svg}");
}

#[test]
fn series_differ_without_their_colour() {
    let shapes: std::collections::BTreeSet<String> =
        (0..marks::STYLES).map(|series| marks::mark(series, 0.0, 0.0, 4.0)).collect();
    assert_eq!(shapes.len(), marks::STYLES);
}

#[test]
fn a_histogram_shows_shares_of_each_series() {
    let values = |series: usize, values: Vec<f64>| Values { name: series.to_string(), values, series };
    let series = [values(0, vec![0.0, 1.0]), values(1, vec![1.0; 9]), values(2, vec![])];
    let figure = histogram(&labels(), &series);
    assert_eq!(figure.keys.len(), 3);
    assert!(svg(&figure).contains("100 %") && !svg(&figure).contains("NaN"));
}

#[test]
fn a_bar_is_as_long_as_its_rate_and_its_interval_lies_around_it() {
    let row = Row { name: "dpo".to_owned(), rate: 0.75, ci95: [0.5, 1.0], other: None, series: 1 };
    let svg = svg(&intervals(&labels(), &[row]));
    assert!(svg.contains(r#"width="288.0""#) && svg.contains("75.0 % (50.0 to 100.0 %)"), "{svg}");
}

#[test]
fn points_of_reliability_say_what_they_stand_for() {
    let bin = ReliabilityBin { from: 0.9, to: 1.0, pairs: 250, confidence: 0.97, accuracy: 0.9 };
    let svg = svg(&reliability(&labels(), &[bin]));
    assert!(svg.contains("97.0 % sure, 90.0 % right, 250 pairs"), "{svg}");
}
