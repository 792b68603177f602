//! Curves of runs, a panel per measure; and runs that differ in their settings.

use std::collections::BTreeMap;

use serde::Serialize;

use super::charts::{self, Figure, Group, Labels, Line, Point};
use super::table::View;
use crate::format::{number, percent, plain};
use crate::{Run, Sweep, SweepPoint, tables};

/// What a reader wants to see first, with the names that the stages give it. Each metric has a curve for training, and
/// one for held-out rows under the prefix `eval_`.
const PANELS: [(&str, &[&str]); 9] = [
    ("Loss", &["loss"]),
    ("Policy loss", &["loss/policy_avg"]),
    ("Value loss", &["loss/value_avg"]),
    ("Reward", &["objective/scores", "reward", "rewards/chosen", "rewards/rejected", "mean_reward"]),
    ("Margin", &["rewards/margins", "margin"]),
    ("Accuracy", &["rewards/accuracies", "accuracy", "mean_token_accuracy", "exact_match"]),
    ("KL", &["objective/kl", "kl"]),
    ("Entropy", &["objective/entropy", "policy/entropy_avg", "entropy"]),
    ("Learning rate", &["learning_rate", "lr"]),
];

/// Runs that are drawn, and their further metrics: the page stays small.
const DRAWN_RUNS: usize = 16;
const MORE: usize = 24;

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
        (!runs.is_empty())
            .then(|| Self { table: tables::runs(runs).into(), runs: drawn.map(curves).collect() })
    }
}

fn curves((place, run): (usize, &Run)) -> Curves {
    let mut shown = Vec::new();
    let figures = PANELS.iter().filter_map(|(title, metrics)| {
        let held_out = |metric: &&str| format!("eval_{metric}");
        let names = metrics.iter().map(|metric| (*metric).to_owned()).chain(metrics.iter().map(held_out));
        let lines: Vec<Line> = names.filter_map(|metric| line(run, &metric)).collect();
        shown.extend(lines.iter().map(|line| line.name.clone()));
        panel(place, run, title, &lines)
    });
    let figures = figures.collect();
    let rest = run.curves.iter().filter(|curve| !shown.contains(&curve.metric)).take(MORE);
    let more = rest.filter_map(|curve| {
        panel(place, run, &curve.metric, &line(run, &curve.metric).into_iter().collect::<Vec<_>>())
    });
    Curves { name: run.name.clone(), figures, more: more.collect() }
}

/// A metric that was logged more than once.
fn line(run: &Run, metric: &str) -> Option<Line> {
    let points = run.curve(metric).filter(|points| points.len() > 1)?;
    Some(Line { name: metric.to_owned(), points: points.to_vec() })
}

fn panel(place: usize, run: &Run, title: &str, lines: &[Line]) -> Option<Figure> {
    let first = lines.first()?;
    let words = |line: &Line| {
        let (from, to) = (line.points.first()?[1], line.points.last()?[1]);
        Some(format!("{} {} → {}", line.name, number(from), number(to)))
    };
    let described: Vec<String> = lines.iter().filter_map(words).collect();
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
    let groups: Vec<Group> =
        groups.into_iter().map(|(name, points)| Group { name, points, trend: false }).collect();
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
