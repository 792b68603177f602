//! Tables of the other sections.

use super::{cell, figure, name};
use crate::format::{UNKNOWN, duration, memory, number, p_value, percent, percent_interval, plain, signed};
use crate::table::{Cell, Table};
use crate::{BestOf, Critique, Hacking, Preferences, Run, Subset, Sweep};

/// The rule that learns the words of answers and reads no prompt, if it was asked.
pub(crate) const ANSWERS_ALONE: &str = "answers alone";

/// Accuracy of each judge on each file.
pub(crate) fn preferences(judges: &[Preferences]) -> Table {
    Table::new(
        "Accuracy on preference pairs",
        [
            "model",
            "measure",
            "file",
            "pairs",
            "accuracy",
            "best rule",
            "answers alone",
            "people agree",
            "margin",
            "ECE",
            "cooled",
            "Brier",
            "with length",
        ],
        judges.iter().map(|judge| {
            let sure = judge.calibration.as_ref();
            let rules = judge.baselines.iter().filter(|it| it.name != ANSWERS_ALONE);
            let best = rules.max_by(|a, b| a.value.total_cmp(&b.value));
            let alone = judge.baselines.iter().find(|it| it.name == ANSWERS_ALONE);
            let note = match judge.p_value {
                Some(p) => format!("{}, {}", percent_interval(judge.accuracy_ci95), p_value(p)),
                None => percent_interval(judge.accuracy_ci95),
            };
            [
                name(&judge.model),
                name(&judge.measure),
                name(&judge.dataset),
                Some(Cell::new(plain(judge.pairs as f64))),
                Some(Cell::new(percent(judge.accuracy)).with_note(note).with_bar(judge.accuracy)),
                best.map(|rule| Cell::new(percent(rule.value)).with_note(&rule.name)),
                alone.map(|words| Cell::new(percent(words.value))),
                cell(judge.agreement, percent),
                cell(judge.margin, signed),
                sure.map(|sure| {
                    let cell = Cell::new(number(sure.ece));
                    match (sure.ece_if_calibrated, sure.ece_p_value) {
                        (Some(usual), Some(p)) => {
                            cell.with_note(format!("calibrated: {}, {}", number(usual), p_value(p)))
                        }
                        _ => cell,
                    }
                }),
                sure.and_then(|sure| {
                    let cell = Cell::new(number(sure.ece_after_temperature?));
                    Some(match sure.temperature {
                        Some(temperature) => cell.with_note(format!("T = {}", number(temperature))),
                        None => cell,
                    })
                }),
                figure(sure.map(|sure| sure.brier)),
                cell(judge.length_correlation, |r| format!("r = {}", number(r))),
            ]
        }),
    )
}

/// Accuracy by subset, a table per file: a row per subset, a column per model.
pub(crate) fn subsets(judges: &[Preferences]) -> Vec<Table> {
    let mut files: Vec<&str> = Vec::new();
    for judge in judges.iter().filter(|judge| !judge.subsets.is_empty()) {
        if !files.contains(&judge.dataset.as_str()) {
            files.push(&judge.dataset);
        }
    }
    let of_file = |file: &&str| {
        let judges: Vec<&Preferences> = judges.iter().filter(|judge| judge.dataset == **file).collect();
        subsets_of(file, &judges)
    };
    files.iter().map(of_file).collect()
}

fn subsets_of(file: &str, judges: &[&Preferences]) -> Table {
    let mut names: Vec<&Subset> = Vec::new();
    for subset in judges.iter().flat_map(|judge| &judge.subsets) {
        if names.iter().all(|known| known.name != subset.name) {
            names.push(subset);
        }
    }
    let accuracy = |subset: &Subset| {
        let cell = Cell::new(percent(subset.accuracy)).with_bar(subset.accuracy);
        subset.ci95.map_or(cell.clone(), |ci95| cell.with_note(percent_interval(ci95)))
    };
    let row = |subset: &&Subset| {
        let of_judge =
            |judge: &&Preferences| judge.subsets.iter().find(|own| own.name == subset.name).map(accuracy);
        let first = [
            name(&subset.name),
            Some(Cell::new(plain(subset.pairs as f64))),
            cell(subset.longer_wins, percent),
        ];
        first.into_iter().chain(judges.iter().map(of_judge)).collect()
    };
    let columns =
        ["subset", "pairs", "longer wins"].into_iter().chain(judges.iter().map(|judge| judge.model.as_str()));
    Table {
        caption: format!("By subset of {file}"),
        columns: columns.map(ToOwned::to_owned).collect(),
        rows: names.iter().map(row).collect(),
    }
}

/// What the best of N gains.
pub(crate) fn best_of(curve: &BestOf) -> Table {
    let quality = curve.quality_source.as_deref().unwrap_or("quality");
    Table::new(
        "Best of N",
        ["N", "reward", quality, "KL at most"],
        curve.points.iter().map(|point| {
            [
                Some(Cell::new(plain(point.n as f64))),
                figure(Some(point.reward)),
                figure(point.quality),
                figure(Some(point.kl)),
            ]
        }),
    )
}

/// How far two series go together, over stretches of a run.
pub(crate) fn correlations(run: &Hacking) -> Table {
    Table::new(
        "Correlations",
        ["between", "steps", "r"],
        run.correlations.iter().map(|correlation| {
            let steps = format!("{} to {}", plain(correlation.from), plain(correlation.to));
            [name(&correlation.between), Some(Cell::new(steps)), figure(correlation.r)]
        }),
    )
}

/// How often each principle was broken.
pub(crate) fn principles(critique: &Critique) -> Table {
    let answers = critique.answers.max(1) as f64;
    Table::new(
        "Principles",
        ["principle", "broken by", "says"],
        critique.principles.iter().map(|principle| {
            let share = principle.violations as f64 / answers;
            [
                name(&principle.name),
                Some(Cell::new(plain(principle.violations as f64)).with_note(percent(share)).with_bar(share)),
                name(&principle.text),
            ]
        }),
    )
}

/// What the runs cost and where their logs ended.
pub(crate) fn runs(runs: &[Run]) -> Table {
    Table::new(
        "Runs",
        ["run", "stage", "steps", "last loss", "time", "peak memory", "folder"],
        runs.iter().map(|run| {
            let last = ["eval_loss", "loss"].iter().find_map(|metric| run.last(metric));
            [
                name(&run.name),
                Some(Cell::new(&run.kind)).filter(|cell| !cell.text.is_empty()),
                cell(run.steps.map(|steps| steps as f64), plain),
                figure(last),
                cell(run.train_seconds, duration),
                cell(run.peak_memory_mb, memory),
                name(&run.path),
            ]
        }),
    )
}

/// The runs of a sweep. Its settings are in one column, because any number may differ.
pub(crate) fn sweep(sweep: &Sweep) -> Table {
    Table::new(
        "Runs that differ in their settings",
        ["settings", "accuracy", "margin", "KL per answer", "time", "best at its KL"],
        sweep.points.iter().map(|point| {
            [
                Some(Cell::new(settings(point))),
                point.accuracy.map(|accuracy| {
                    let cell = Cell::new(percent(accuracy)).with_bar(accuracy);
                    point
                        .held_out_rows
                        .map_or(cell.clone(), |rows| cell.with_note(uncertainty(accuracy, rows)))
                }),
                cell(point.margin, signed),
                figure(point.kl),
                cell(point.seconds, duration),
                Some(Cell::new(if point.on_frontier { "yes" } else { "no" })),
            ]
        }),
    )
}

/// Half the 95 % interval of a share of so many rows (normal approximation).
fn uncertainty(share: f64, rows: usize) -> String {
    let half = 1.96 * (share * (1.0 - share) / rows.max(1) as f64).sqrt();
    format!("± {:.1}", 100.0 * half)
}

/// `beta 0.1, learning_rate 4e-4`.
pub(crate) fn settings(point: &crate::SweepPoint) -> String {
    let settings: Vec<String> =
        point.settings.iter().map(|(name, value)| format!("{name} {}", plain(*value))).collect();
    if settings.is_empty() { UNKNOWN.to_owned() } else { settings.join(", ") }
}
