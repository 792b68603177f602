//! Models as judges of pairs, and the best of N.

use serde::Serialize;

use super::charts::{self, Figure, Labels, Line, Values};
use super::table::View;
use crate::format::{count, number, percent};
use crate::preferences::left_out;
use crate::{BestOf, BestOfPoint, Preferences, tables};

#[derive(Serialize)]
pub(super) struct Judging {
    table: View,
    figures: Vec<Figure>,
    subsets: Vec<View>,
    left_out: Vec<String>,
}

impl Judging {
    pub(super) fn new(judges: &[Preferences]) -> Option<Self> {
        let figures = judges.iter().enumerate().flat_map(|(place, judge)| {
            [reliability(place, judge), rewards(place, judge)].into_iter().flatten().collect::<Vec<_>>()
        });
        (!judges.is_empty()).then(|| Self {
            table: tables::preferences(judges).into(),
            figures: figures.collect(),
            subsets: tables::subsets(judges).into_iter().map(View::from).collect(),
            left_out: left_out(judges),
        })
    }
}

fn reliability(place: usize, judge: &Preferences) -> Option<Figure> {
    let calibration = judge.calibration.as_ref()?;
    let labels = Labels {
        id: format!("reliability-{place}"),
        title: format!("Reliability: {}", judge.model),
        description: format!(
            "On the dashed line it is as sure as it is right. Expected calibration error {}{}; grey bars: pairs.",
            number(calibration.ece),
            calibration
                .ece_if_calibrated
                .map(|usual| format!(" ({} if it were calibrated)", number(usual)))
                .unwrap_or_default()
        ),
        x: "how sure".to_owned(),
        y: "how often right".to_owned(),
    };
    Some(charts::reliability(&labels, &calibration.reliability))
}

fn rewards(place: usize, judge: &Preferences) -> Option<Figure> {
    let labels = Labels {
        id: format!("pair-rewards-{place}"),
        title: format!("Rewards of pairs: {}", judge.model),
        description: format!(
            "The better answers should lie to the right: they do in {} of {}.",
            percent(judge.accuracy),
            count(judge.pairs, "pair")
        ),
        x: judge.measure.clone(),
        y: "share of answers".to_owned(),
    };
    let series = [
        Values { name: "worse answers".to_owned(), values: judge.rejected_rewards.clone(), series: 2 },
        Values { name: "better answers".to_owned(), values: judge.chosen_rewards.clone(), series: 1 },
    ];
    series.iter().all(|series| !series.values.is_empty()).then(|| charts::histogram(&labels, &series))
}

/// What N answers gain.
#[derive(Serialize)]
pub(super) struct BestOfCurve {
    words: String,
    figures: Vec<Figure>,
    table: View,
}

impl BestOfCurve {
    pub(super) fn new((place, curve): (usize, &BestOf)) -> Self {
        let gain = curve.points.first().zip(curve.points.last()).map(|(first, last)| {
            let (before, after) = (number(first.reward), number(last.reward));
            format!(" From {before} with one answer to {after} with {}.", last.n)
        });
        let chart = |name: &str, id: &str, value: &dyn Fn(&BestOfPoint) -> Option<f64>| {
            let points: Vec<[f64; 2]> = curve
                .points
                .iter()
                .filter_map(|point| Some([(point.n.max(1) as f64).log2(), value(point)?]))
                .collect();
            let labels = Labels {
                id: format!("best-of-{place}-{id}"),
                title: format!("{name} of the best of N"),
                description: format!("{} answers, {} picks.", curve.model, curve.reward_source),
                x: "N".to_owned(),
                y: name.to_owned(),
            };
            let lines = [Line { name: name.to_owned(), points, series: 1, marked: true }];
            (!lines[0].points.is_empty()).then(|| charts::lines(&labels, &lines, true, None))
        };
        let quality = curve.quality_source.as_deref().unwrap_or("quality");
        Self {
            words: format!(
                "{} answers, {} picks the best of N, on {}.{}",
                curve.model,
                curve.reward_source,
                count(curve.prompts, "prompt"),
                gain.unwrap_or_default()
            ),
            figures: [
                chart("reward", "reward", &|point| Some(point.reward)),
                chart(quality, "quality", &|point| point.quality),
            ]
            .into_iter()
            .flatten()
            .collect(),
            table: tables::best_of(curve).into(),
        }
    }
}
