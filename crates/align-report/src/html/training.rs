//! Curves of runs, a panel per measure; and runs that differ in their settings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::charts::{self, Figure, Group, Labels, Line, Point};
use super::table::View;
use crate::format::{number, percent, plain};
use crate::{Run, Sweep, SweepPoint, tables};

/// What a reader wants to see first, with the names that the stages give it. Each metric has a curve for training, and
/// one for held-out rows under the prefix `eval_`.
const PANELS: [(&str, &[&str]); 10] = [
    ("Loss", &["loss"]),
    ("Policy loss", &["loss/policy_avg"]),
    ("Value loss", &["loss/value_avg"]),
    ("Reward", &["objective/scores", "reward", "rewards/chosen", "rewards/rejected", "mean_reward"]),
    ("Margin", &["rewards/margins", "margin"]),
    ("Accuracy", &["rewards/accuracies", "accuracy", "mean_token_accuracy", "exact_match"]),
    ("KL", &["objective/kl", "kl"]),
    ("Entropy", &["objective/entropy", "entropy"]),
    ("Answer length", &["completions/mean_length"]),
    ("Learning rate", &["learning_rate", "lr"]),
];

/// Runs that are drawn, and further metrics of all of them: the page stays small.
const DRAWN_RUNS: usize = 12;
const MORE: usize = 96;

/// Curves whose ends are written above their panel.
const DESCRIBED: usize = 2;

#[derive(Serialize)]
pub(super) struct Training {
    table: View,
    runs: Vec<Curves>,
}

#[derive(Serialize)]
struct Curves {
    name: String,
    figures: Vec<Figure>,
    more: Vec<Figure>,
}

impl Training {
    pub(super) fn new(runs: &[Run]) -> Option<Self> {
        let drawn = runs.iter().take(DRAWN_RUNS).enumerate();
        (!runs.is_empty()).then(|| Self {
            table: tables::runs(runs).into(),
            runs: drawn.map(|(place, run)| curves(place, run, MORE / runs.len().min(DRAWN_RUNS))).collect(),
        })
    }
}

fn curves(place: usize, run: &Run, most_more: usize) -> Curves {
    let mut shown = Vec::new();
    let figures = PANELS.iter().filter_map(|(title, metrics)| {
        let lines: Vec<Line> = metrics
            .iter()
            .filter(|metric| has(run, metric))
            .enumerate()
            .flat_map(|(place, metric)| {
                let held_out = line(run, &format!("eval_{metric}"), place + 1, true);
                line(run, metric, place + 1, false).into_iter().chain(held_out)
            })
            .collect();
        shown.extend(lines.iter().map(|line| line.name.clone()));
        panel(place, run, title, &lines)
    });
    let figures = figures.collect();
    let rest = run.curves.iter().filter(|curve| !shown.contains(&curve.metric)).take(most_more);
    let more = rest.filter_map(|curve| {
        let line = line(run, &curve.metric, 1, curve.metric.starts_with("eval_"))?;
        panel(place, run, &curve.metric, &[line])
    });
    Curves { name: run.name.clone(), figures, more: more.collect() }
}

/// Whether there is a curve of a metric, in training or on held-out rows.
fn has(run: &Run, metric: &str) -> bool {
    run.curve(metric).is_some() || run.curve(&format!("eval_{metric}")).is_some()
}

/// A metric that was logged more than once. Training and held-out rows have one colour; held-out points are marked.
fn line(run: &Run, metric: &str, series: usize, marked: bool) -> Option<Line> {
    let points = run.curve(metric).filter(|points| points.len() > 1)?;
    Some(Line { name: metric.to_owned(), points: points.to_vec(), series, marked })
}

fn panel(place: usize, run: &Run, title: &str, lines: &[Line]) -> Option<Figure> {
    let first = lines.first()?;
    let words = |line: &Line| {
        let (from, to) = (line.points.first()?[1], line.points.last()?[1]);
        Some(format!("{} {} → {}", line.name, number(from), number(to)))
    };
    let described: Vec<String> = lines.iter().take(DESCRIBED).filter_map(words).collect();
    let labels = Labels {
        id: format!("run-{place}-{}", first.name.replace(['/', ' '], "-")),
        title: title.to_owned(),
        description: described.join(", "),
        x: "step".to_owned(),
        y: String::new(),
    };
    (!run.curves.is_empty()).then(|| charts::lines(&labels, lines, false, None))
}

#[derive(Serialize)]
pub(super) struct SweepRuns {
    figures: Vec<Figure>,
    table: View,
}

impl SweepRuns {
    pub(super) fn new(sweep: &Sweep) -> Self {
        Self { figures: frontier(sweep).into_iter().collect(), table: tables::sweep(sweep).into() }
    }
}

/// Accuracy against distance. A series per value of the first setting that differs.
fn frontier(sweep: &Sweep) -> Option<Figure> {
    let mut groups: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for point in &sweep.points {
        let Some((accuracy, kl)) = point.accuracy.zip(point.kl) else { continue };
        let first = point.settings.iter().next();
        let name = first.map_or("run".to_owned(), |(name, value)| format!("{name} {}", plain(*value)));
        let tip = format!("{}: {} at KL {}", tables::settings(point), percent(accuracy), number(kl));
        groups.entry(name).or_default().push(Point {
            at: [kl, 100.0 * accuracy],
            ci95: None,
            label: if point.on_frontier { other_settings(point) } else { String::new() },
            tip,
        });
    }
    let groups: Vec<Group> = groups
        .into_iter()
        .enumerate()
        .map(|(place, (name, points))| Group { name, points, series: place + 1, trend: false })
        .collect();
    let mut best: Vec<[f64; 2]> = sweep
        .points
        .iter()
        .filter(|point| point.on_frontier)
        .filter_map(|point| Some([point.kl?, 100.0 * point.accuracy?]))
        .collect();
    best.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let labels = Labels {
        id: "sweep-frontier".to_owned(),
        title: "Accuracy against KL".to_owned(),
        description: "A point per run; the dashed line joins those that no other beats.".to_owned(),
        x: "KL in nats per answer".to_owned(),
        y: "held-out accuracy in %".to_owned(),
    };
    (!groups.is_empty()).then(|| charts::scatter(&labels, &groups, &best))
}

/// What the key does not say.
fn other_settings(point: &SweepPoint) -> String {
    let others: Vec<String> = point
        .settings
        .iter()
        .skip(1)
        .map(|(name, value)| format!("{} {}", short(name), plain(*value)))
        .collect();
    others.join(", ")
}

/// The names that everybody shortens.
fn short(name: &str) -> &str {
    match name {
        "learning_rate" => "lr",
        "num_train_epochs" => "epochs",
        other => other,
    }
}
