//! The comparison: a card per model, the tables, and the charts.

use minijinja::Value;
use serde::Serialize;

use super::charts::{self, Figure, Group, Labels, Point, Row, Values};
use super::table::View;
use crate::format::{interval, number, p_value, percent, percent_interval, signed};
use crate::words::Standing;
use crate::{Answer, Comparison, ModelFigures, WinRate, tables};

/// Answers per model that a scatter plot shows.
const SCATTERED: usize = 400;

#[derive(Serialize)]
pub(super) struct Compared {
    cards: Vec<Card>,
    models: View,
    how: String,
    figures: Vec<Figure>,
    baselines: Option<View>,
    behaviour: View,
    sets: Option<View>,
}

/// A model against the baseline, at a glance.
#[derive(Serialize)]
struct Card {
    mark: Value,
    name: String,
    standing: &'static str,
    rate: String,
    words: String,
    interval: String,
    wins: usize,
    ties: usize,
    losses: usize,
    facts: Vec<String>,
    warning: Option<String>,
}

impl Compared {
    pub(super) fn new(comparison: &Comparison) -> Self {
        let models = comparison.models.iter().enumerate();
        let others = models.filter(|(_, model)| model.name != comparison.baseline);
        let figures =
            [win_rates(comparison), frontier(comparison), rewards(comparison), by_length(comparison)];
        let sets = tables::prompt_sets(comparison);
        Self {
            cards: others
                .filter_map(|(series, model)| Some(card(comparison, series, model, model.win_rate.as_ref()?)))
                .collect(),
            models: View::from(tables::models(comparison)).with_marks(),
            how: how(comparison),
            figures: figures.into_iter().flatten().collect(),
            baselines: (!comparison.baselines.is_empty())
                .then(|| tables::baselines(&comparison.baselines).into()),
            behaviour: View::from(tables::behaviour(comparison)).with_marks(),
            sets: (!sets.rows.is_empty()).then(|| sets.into()),
        }
    }
}

fn card(comparison: &Comparison, series: usize, model: &ModelFigures, wins: &WinRate) -> Card {
    let standing = Standing::of(wins);
    let p = wins.p_value.map(|p| format!(", {}", p_value(p))).unwrap_or_default();
    let baseline = comparison.models.iter().find(|model| model.name == comparison.baseline);
    let before = baseline.and_then(|model| model.reward.as_ref());
    let mut facts = Vec::new();
    if let Some(reward) = &model.reward {
        let gain = before
            .map(|before| format!(", {} to {}", signed(reward.mean - before.mean), comparison.baseline));
        facts.push(format!("reward {}{}", number(reward.mean), gain.unwrap_or_default()));
    }
    facts.extend(model.kl_per_sequence.map(|kl| {
        let ci95 = model.kl_ci95.map(|ci95| format!(" ({})", interval(ci95))).unwrap_or_default();
        format!("KL {}{ci95} nats per answer", number(kl))
    }));
    facts.extend(wins.length_controlled.map(|rate| format!("{} at equal length", percent(rate))));
    let by_length = wins.length_controlled.filter(|rate| (*rate > 0.5) != (wins.rate > 0.5));
    Card {
        mark: charts::sign(series),
        name: model.name.clone(),
        standing: standing.name(),
        rate: percent(wins.rate),
        words: standing.words(&comparison.baseline),
        interval: format!("95 % interval {}{p}", percent_interval(wins.ci95)),
        wins: wins.wins,
        ties: wins.ties,
        losses: wins.losses,
        facts,
        warning: by_length
            .filter(|_| standing != Standing::Undecided)
            .map(|_| "At equal length the verdict turns: length decided.".to_owned()),
    }
}

fn how(comparison: &Comparison) -> String {
    let judge = &comparison.judge;
    let mut text = format!("Judged by {} ({}).", judge.name, judge.kind.replace('_', " "));
    if !judge.note.is_empty() {
        text += &format!(" {}", judge.note);
    }
    if let Some(source) = &comparison.reward_source {
        text += &format!(" Reward: {source}.");
    }
    text + &format!(" {} of {}; {}.", comparison.compared(), comparison.prompt_source, comparison.sampling)
}

fn labels(id: &str, title: &str, description: String, x: &str, y: &str) -> Labels {
    let (id, title) = (id.to_owned(), title.to_owned());
    Labels { id, title, description, x: x.to_owned(), y: y.to_owned() }
}

fn win_rates(comparison: &Comparison) -> Option<Figure> {
    let others = comparison.models.iter().enumerate().filter(|(_, model)| model.name != comparison.baseline);
    let rows: Vec<Row> = others
        .filter_map(|(series, model)| {
            let wins = model.win_rate.as_ref()?;
            Some(Row {
                name: model.name.clone(),
                rate: wins.rate,
                ci95: wins.ci95,
                other: wins.length_controlled,
                series,
            })
        })
        .collect();
    let title = format!("Win rate against {}", comparison.baseline);
    let description = "Bars with their 95 % interval; the dashed line is even odds.".to_owned();
    (!rows.is_empty()).then(|| charts::intervals(&labels("wins", &title, description, "", ""), &rows))
}

/// Reward against distance: what each method paid for what it got.
fn frontier(comparison: &Comparison) -> Option<Figure> {
    let group = |model: &ModelFigures| {
        let reward = model.reward.as_ref()?;
        let is_reference = model.name == comparison.baseline;
        let kl = model.kl_per_sequence.or(is_reference.then_some(0.0))?;
        let tip = format!("{}: reward {} at KL {}", model.name, number(reward.mean), number(kl));
        Some(Point { at: [kl, reward.mean], ci95: Some(reward.ci95), label: model.name.clone(), tip })
    };
    let groups: Vec<Group> = comparison
        .models
        .iter()
        .enumerate()
        .map(|(series, model)| Group {
            name: model.name.clone(),
            points: group(model).into_iter().collect(),
            series,
            trend: false,
        })
        .collect();
    let measured = groups.iter().filter(|group| !group.points.is_empty()).count();
    let description =
        "Higher is better, further right is further from the reference. Bars are 95 % intervals.";
    let labels = labels(
        "frontier",
        "Reward against KL",
        description.to_owned(),
        "KL in nats per answer",
        "mean reward",
    );
    (measured > 1).then(|| charts::scatter(&labels, &groups, &[]))
}

/// A model's answers in the order of the prompts.
fn answers<'a>(comparison: &'a Comparison, model: &'a str) -> impl Iterator<Item = &'a Answer> {
    comparison
        .samples
        .iter()
        .filter_map(move |sample| sample.answers.iter().find(|answer| answer.model == model))
}

fn rewards(comparison: &Comparison) -> Option<Figure> {
    let of_model = |(series, model): (usize, &ModelFigures)| Values {
        name: model.name.clone(),
        values: answers(comparison, &model.name).filter_map(|answer| answer.reward).collect(),
        series,
    };
    let series: Vec<Values> = comparison.models.iter().enumerate().map(of_model).collect();
    let description = "The share of each model's answers by their reward.".to_owned();
    let labels = labels("rewards", "Rewards", description, "reward", "share of answers");
    series.iter().any(|series| !series.values.is_empty()).then(|| charts::histogram(&labels, &series))
}

fn by_length(comparison: &Comparison) -> Option<Figure> {
    let group = |(series, model): (usize, &ModelFigures)| {
        let all: Vec<Point> = answers(comparison, &model.name)
            .filter_map(|answer| {
                let reward = answer.reward?;
                let tip = format!("{}: {} tokens, reward {}", model.name, answer.tokens, number(reward));
                Some(Point { at: [answer.tokens as f64, reward], ci95: None, label: String::new(), tip })
            })
            .collect();
        let every = all.len().div_ceil(SCATTERED).max(1);
        Group {
            name: model.name.clone(),
            points: all.into_iter().step_by(every).collect(),
            series,
            trend: true,
        }
    };
    let groups: Vec<Group> = comparison.models.iter().enumerate().map(group).collect();
    let description = "A point per answer. A rising line says that the reward likes length.".to_owned();
    let labels = labels("by-length", "Reward against length", description, "tokens", "reward");
    groups.iter().any(|group| !group.points.is_empty()).then(|| charts::scatter(&labels, &groups, &[]))
}
