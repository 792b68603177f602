//! Runs whose reward and quality may part, and answers held against principles.

use serde::Serialize;

use super::charts::{self, Figure, Labels, Line};
use super::table::View;
use crate::format::count;
use crate::{Critique, CritiqueExample, Hacking, HackingPoint, HackingVerdict, tables, words};

#[derive(Serialize)]
pub(super) struct HackingRun<'a> {
    name: &'a str,
    verdict: &'static str,
    class: &'static str,
    summary: &'a str,
    evidence: &'a [String],
    figures: Vec<Figure>,
    correlations: Option<View>,
    examples: &'a [String],
}

impl<'a> HackingRun<'a> {
    pub(super) fn new((place, run): (usize, &'a Hacking)) -> Self {
        let quality = run.quality_source.as_deref().unwrap_or("quality");
        let figures = [
            series(place, run, "optimised reward", &run.proxy_source, &|point| Some(point.proxy)),
            series(place, run, "true quality", quality, &|point| point.quality),
            series(place, run, "answer length", "tokens per answer", &|point| point.tokens),
        ];
        Self {
            name: &run.run,
            verdict: words::hacking(run.verdict),
            class: match run.verdict {
                HackingVerdict::Healthy => "healthy",
                HackingVerdict::Hacked => "hacked",
                HackingVerdict::Suspicious | HackingVerdict::Undecided => "",
            },
            summary: &run.summary,
            evidence: &run.evidence,
            figures: figures.into_iter().flatten().collect(),
            correlations: (!run.correlations.is_empty()).then(|| tables::correlations(run).into()),
            examples: &run.degenerate_examples,
        }
    }
}

/// A measure over the distance from the reference, which is what over-optimisation goes by (Gao et al. 2023,
/// arXiv:2210.10760); over steps where the distance is not known throughout.
fn series(
    place: usize,
    run: &Hacking,
    title: &str,
    measure: &str,
    value: &dyn Fn(&HackingPoint) -> Option<f64>,
) -> Option<Figure> {
    let by_distance = run.points.iter().all(|point| point.kl.is_some());
    let distance = |kl: f64| kl.max(0.0).sqrt();
    let x = |point: &HackingPoint| if by_distance { point.kl.map(distance) } else { Some(point.step) };
    let mut points: Vec<[f64; 2]> =
        run.points.iter().filter_map(|point| Some([x(point)?, value(point)?])).collect();
    points.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let divergence = run.divergence.as_ref();
    let rule = divergence.and_then(|at| if by_distance { at.kl.map(distance) } else { Some(at.step) });
    let (over, x) = if by_distance { ("√KL", "√KL in nats per answer") } else { ("steps", "step") };
    let labels = Labels {
        id: format!("hacking-{place}-{}", title.replace(' ', "-")),
        title: format!("{title} over {over}"),
        description: match rule {
            Some(_) => format!("{measure}; reward and quality part at the dashed line."),
            None => format!("{measure}."),
        },
        x: x.to_owned(),
        y: title.to_owned(),
    };
    let lines = [Line { name: title.to_owned(), points, series: 1, marked: false }];
    (lines[0].points.len() > 1).then(|| charts::lines(&labels, &lines, false, rule.map(|at| (at, "parting"))))
}

#[derive(Serialize)]
pub(super) struct Criticised<'a> {
    words: String,
    table: View,
    examples: &'a [CritiqueExample],
}

impl<'a> Criticised<'a> {
    pub(super) fn new(critique: &'a Critique) -> Self {
        let mut words = format!(
            "{} criticised {} of {}: {} broke a principle, {} were revised, {} could not be read.",
            critique.critic,
            count(critique.answers, "answer"),
            critique.model,
            critique.violating,
            critique.revised,
            count(critique.unreadable, "critique")
        );
        if let (Some(before), Some(after)) = (critique.reward_before, critique.reward_after) {
            let [before, after] = [before, after].map(crate::format::number);
            words += &format!(" Reward {before} before revision, {after} after.");
        }
        if let Some(file) = &critique.preference_file {
            words += &format!(" {} written to {file}.", count(critique.pairs, "preference pair"));
        }
        Self { words, table: tables::principles(critique).into(), examples: &critique.examples }
    }
}
