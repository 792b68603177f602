//! One page of evaluations, training runs and sweeps, wherever they lie. Measures nothing: `evaluate` does.

mod options;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use align_cli::{Invocation, Program};
use align_report::{Report, Run, Sweep};
use anyhow::{Context as _, ensure};
use options::Options;

const PROGRAM: Program = Program {
    name: "write-report",
    about: "One page of evaluations, training runs and sweeps: report.json, report.md and report.html.",
    recipe: None,
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, write)
}

fn write(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    ensure!(
        !(options.evaluation.is_empty() && options.run.is_empty() && options.sweep.is_none()),
        "nothing to report; give --evaluation, --run or --sweep"
    );
    let unusable = |error| anyhow::anyhow!("output_dir {error}");
    Report::check_place(&options.output_dir).map_err(unusable)?;
    let mut report = Report::new("Report");
    for path in &options.evaluation {
        let path = if path.is_dir() { path.join("report.json") } else { path.clone() };
        let evaluation = Report::read(&path)?;
        if report.comparison.is_none() && evaluation.comparison.is_some() {
            report.title.clone_from(&evaluation.title);
        }
        report.add(evaluation);
    }
    for run in &options.run {
        let (name, dir) = named(run)?;
        report.runs.push(Run::read(name, dir)?);
    }
    report.fill_costs();
    if let Some(dir) = &options.sweep {
        report.sweep = Some(Sweep::read(&runs_in(dir)?)?);
    }
    if let Some(title) = &options.title {
        report.title.clone_from(title);
    }
    report.created = chrono::Local::now().format("%Y-%m-%d %H:%M").to_string();
    align_cli::end_tidily();
    let output = Report::take(&options.output_dir).map_err(unusable)?;
    invocation.work_starts();
    report.write(output.path())?;
    align_cli::print(align_report::summary(&report))?;
    align_cli::print(format_args!("report written to {}", options.output_dir.join("report.html").display()))
}

/// `dpo=runs/dpo-1`, or a folder that gives the name.
fn named(run: &str) -> anyhow::Result<(String, &Path)> {
    let (name, dir) = match run.split_once('=') {
        Some((name, dir)) => (name.to_owned(), Path::new(dir)),
        None => {
            let dir = Path::new(run);
            (dir.file_name().unwrap_or_default().to_string_lossy().into_owned(), dir)
        }
    };
    ensure!(!name.is_empty() && dir.is_dir(), "--run {run}: expected a folder, or NAME=FOLDER");
    Ok((name, dir))
}

/// The folders in `dir` whose runs are done, by name: one that was stopped has no report yet.
fn runs_in(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let items = std::fs::read_dir(dir).with_context(|| format!("--sweep {}", dir.display()))?;
    let paths = items.map(|item| Ok(item?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let is_run =
        |path: &PathBuf| path.join("report.json").is_file() && path.join("training_args.toml").is_file();
    let mut runs: Vec<PathBuf> = paths.into_iter().filter(is_run).collect();
    ensure!(
        !runs.is_empty(),
        "--sweep {}: expected folders of finished runs in it, found none",
        dir.display()
    );
    runs.sort();
    Ok(runs)
}
