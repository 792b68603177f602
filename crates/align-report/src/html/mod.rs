//! `report.html`: one file that needs no network, to look at.
//!
//! Tables, charts and texts are written here, so that the page can be read, printed and tested without its script; the
//! script adds numbers under the pointer, search, filters and the choice of a theme. Everything that comes from outside
//! is escaped by the template or by the charts, and a content security policy forbids the page to load anything.

mod charts;
mod compared;
mod hacking;
mod judging;
mod samples;
mod table;
mod training;

use minijinja::{Environment, Value};
use serde::Serialize;

use crate::format::{count, duration, memory};
use crate::{Report, Result};
use compared::Compared;
use hacking::{Criticised, HackingRun};
use judging::{BestOfCurve, Judging};
use samples::Samples;
use training::{SweepRuns, Training};

/// What the template is filled with.
#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    meta: Vec<String>,
    style: Value,
    script: Value,
    notes: &'a [String],
    sections: Vec<Section>,
    compared: Option<Compared>,
    judging: Option<Judging>,
    best_of: Vec<BestOfCurve>,
    hacking: Vec<HackingRun<'a>>,
    critique: Option<Criticised<'a>>,
    training: Option<Training>,
    sweep: Option<SweepRuns>,
    samples: Option<Samples>,
    signs: Vec<Value>,
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct Section {
    id: &'static str,
    title: &'static str,
}

#[derive(Serialize)]
struct Setting {
    name: String,
    value: String,
}

/// The report as a page.
///
/// # Errors
/// None that a report can cause.
pub fn html(report: &Report) -> Result<String> {
    let page = Page {
        title: &report.title,
        meta: meta(report),
        style: Value::from_safe_string(include_str!("style.css").to_owned()),
        script: Value::from_safe_string(include_str!("script.js").to_owned()),
        notes: &report.notes,
        sections: Vec::new(),
        compared: report.comparison.as_ref().map(Compared::new),
        judging: Judging::new(&report.preferences),
        best_of: report.best_of.iter().enumerate().map(BestOfCurve::new).collect(),
        hacking: report.hacking.iter().enumerate().map(HackingRun::new).collect(),
        critique: report.critique.as_ref().map(Criticised::new),
        training: Training::new(&report.runs),
        sweep: report.sweep.as_ref().map(SweepRuns::new),
        samples: report.comparison.as_ref().and_then(Samples::new),
        signs: charts::signs(),
        settings: report.settings.iter().map(setting).collect(),
    };
    let page = Page { sections: sections(&page), ..page };
    let mut environment = Environment::new();
    environment.add_template("page.html", include_str!("page.html"))?;
    Ok(environment.get_template("page.html")?.render(minijinja::value::Serde(page))?)
}

fn meta(report: &Report) -> Vec<String> {
    let mut meta = vec![report.created.clone()];
    if let Some(comparison) = &report.comparison {
        meta.push(format!(
            "{}, {}",
            count(comparison.models.len(), "model"),
            count(comparison.prompts, "prompt")
        ));
    }
    meta.extend(report.seconds.map(|seconds| format!("measured in {}", duration(seconds))));
    meta.extend(report.peak_memory_mb.map(memory));
    meta.retain(|part| !part.is_empty());
    meta
}

fn setting((name, value): (&String, &serde_json::Value)) -> Setting {
    let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    Setting { name: name.clone(), value }
}

/// The sections that are there, in the page's order.
fn sections(page: &Page<'_>) -> Vec<Section> {
    let sections = [
        (page.compared.is_some(), "result", "Result"),
        (page.judging.is_some(), "preferences", "Preferences"),
        (!page.best_of.is_empty(), "best-of", "Best of N"),
        (!page.hacking.is_empty(), "hacking", "Reward hacking"),
        (page.critique.is_some(), "critique", "Critique"),
        (page.training.is_some(), "training", "Training"),
        (page.sweep.is_some(), "sweep", "Sweep"),
        (page.samples.is_some(), "answers", "Answers"),
        (true, "about", "How"),
    ];
    sections
        .into_iter()
        .filter(|(is_there, ..)| *is_there)
        .map(|(_, id, title)| Section { id, title })
        .collect()
}

#[cfg(test)]
mod tests;
