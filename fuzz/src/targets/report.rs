//! Logs of runs, and reports of evaluations, to pages.

use align_report::{Report, Run};

use crate::{Scratch, bounded};

/// What a training run leaves: `metrics.jsonl`, or `trainer_state.json` (`S` in front), or `report.json` (`R`).
pub(crate) fn metrics(bytes: &[u8], scratch: &Scratch) {
    let names = ["metrics.jsonl", "trainer_state.json", "report.json"];
    for name in names {
        let _ = std::fs::remove_file(scratch.path().join(name));
    }
    match bytes.split_first() {
        Some((b'S', state)) => drop(scratch.file("trainer_state.json", state)),
        Some((b'R', report)) => {
            scratch.file("metrics.jsonl", b"{\"step\": 1, \"loss\": 0.5}\n");
            scratch.file("report.json", report);
        }
        _ => drop(scratch.file("metrics.jsonl", bytes)),
    }
    match Run::read("run", scratch.path()) {
        Ok(run) => {
            let mut report = Report::new("runs");
            report.runs.push(run);
            pages(&report);
        }
        Err(error) => bounded(error),
    }
}

/// A `report.json` of an evaluation.
pub(crate) fn report(bytes: &[u8], _: &Scratch) {
    match serde_json::from_slice::<Report>(bytes) {
        Ok(report) => pages(&report),
        Err(error) => bounded(error),
    }
}

fn pages(report: &Report) {
    if let Err(error) = align_report::html(report) {
        bounded(error);
    }
    align_report::markdown(report);
    align_report::summary(report);
}
