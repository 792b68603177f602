//! A page of what others measured, as a whole: evaluations, training runs and a sweep in, the report's three files out.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Report, Result, Run, Sweep};

/// A job of one page: all its options.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Job {
    /// An evaluation to take into the report: a `report.json` that evaluate wrote, or its folder; may be given several
    /// times
    #[arg(long, value_name = "PATH")]
    pub evaluation: Vec<PathBuf>,

    /// A training run whose curves are to be drawn, with its name in the report; may be given several times
    #[arg(long, value_name = "[NAME=]DIR")]
    pub run: Vec<String>,

    /// A folder of runs that differ in their settings
    #[arg(long, value_name = "DIR")]
    pub sweep: Option<PathBuf>,

    /// Heading of the page [default: that of the evaluation]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,

    /// Where report.json, report.md and report.html are written
    #[arg(long, value_name = "DIR")]
    pub output_dir: PathBuf,
}

impl Job {
    /// Reads what is named into one report.
    fn gather(&self) -> Result<Report> {
        if self.evaluation.is_empty() && self.run.is_empty() && self.sweep.is_none() {
            let problem = "nothing to report; give --evaluation, --run or --sweep";
            return Err(Error::Option(problem.to_owned()));
        }
        Report::check_place(&self.output_dir).map_err(|error| unusable(&error))?;
        let mut report = Report::new("Report");
        for path in &self.evaluation {
            let path = if path.is_dir() { path.join("report.json") } else { path.clone() };
            let evaluation = Report::read(&path)?;
            if report.comparison.is_none() && evaluation.comparison.is_some() {
                report.title.clone_from(&evaluation.title);
            }
            report.add(evaluation);
        }
        for run in &self.run {
            let (name, dir) = named(run)?;
            report.runs.push(Run::read(name, dir)?);
        }
        report.fill_costs();
        if let Some(dir) = &self.sweep {
            report.sweep = Some(Sweep::read(&runs_in(dir)?)?);
        }
        if let Some(title) = &self.title {
            report.title.clone_from(title);
        }
        report.date();
        Ok(report)
    }
}

/// Writes the page, and `work_starts` is called when all that is read is known to be right.
///
/// # Errors
/// Reports, runs and directories that are not what they should be, before work starts; files that cannot be written.
pub fn write(job: &Job, work_starts: impl FnOnce()) -> Result<Report> {
    let report = job.gather()?;
    let output = Report::take(&job.output_dir).map_err(|error| unusable(&error))?;
    work_starts();
    report.write(output.path())?;
    Ok(report)
}

fn unusable(error: &Error) -> Error {
    Error::Option(format!("output_dir {error}"))
}

/// `dpo=runs/dpo-1`, or a folder that gives the name.
fn named(run: &str) -> Result<(String, &Path)> {
    let (name, dir) = match run.split_once('=') {
        Some((name, dir)) => (name.to_owned(), Path::new(dir)),
        None => {
            let dir = Path::new(run);
            (dir.file_name().unwrap_or_default().to_string_lossy().into_owned(), dir)
        }
    };
    if name.is_empty() || !dir.is_dir() {
        return Err(Error::Option(format!("--run {run}: expected a folder, or NAME=FOLDER")));
    }
    Ok((name, dir))
}

/// The folders in `dir` whose runs are done, by name: one that was stopped has no report yet.
fn runs_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let place = dir.display();
    let unreadable = |error: std::io::Error| Error::Option(format!("--sweep {place}: {error}"));
    let items = std::fs::read_dir(dir).map_err(unreadable)?;
    let paths =
        items.map(|item| Ok(item?.path())).collect::<std::io::Result<Vec<_>>>().map_err(unreadable)?;
    let is_run =
        |path: &PathBuf| path.join("report.json").is_file() && path.join("training_args.toml").is_file();
    let mut runs: Vec<PathBuf> = paths.into_iter().filter(is_run).collect();
    if runs.is_empty() {
        let problem = "expected folders of finished runs in it, found none";
        return Err(Error::Option(format!("--sweep {place}: {problem}")));
    }
    runs.sort();
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_made_of_evaluations_and_says_when_work_starts() {
        let dir = tempfile::tempdir().unwrap();
        let (one, page) = (dir.path().join("one"), dir.path().join("page"));
        crate::sample::report().write(&one).unwrap();
        let job = Job { evaluation: vec![one], output_dir: page.clone(), ..Job::default() };
        let mut started = false;
        let report = write(&job, || started = true).unwrap();
        assert!(started && !report.created.is_empty());
        assert_eq!(report.title, crate::sample::report().title);
        assert_eq!(Report::read(&page.join("report.json")).unwrap(), report);
    }

    #[test]
    fn what_is_not_there_is_named_before_work_starts() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |job: Job| {
            let job = Job { output_dir: dir.path().join("page"), ..job };
            let error = write(&job, || panic!("nothing is wrong with {job:?}")).unwrap_err().to_string();
            assert!(!dir.path().join("page").exists());
            error
        };
        assert!(refused(Job::default()).starts_with("nothing to report; give --evaluation"));
        let run = refused(Job { run: vec!["=x".to_owned()], ..Job::default() });
        assert_eq!(run, "--run =x: expected a folder, or NAME=FOLDER");
        let empty = dir.path().to_owned();
        let sweep = refused(Job { sweep: Some(empty), ..Job::default() });
        assert!(sweep.ends_with("expected folders of finished runs in it, found none"), "{sweep}");
    }
}
