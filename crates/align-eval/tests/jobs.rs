//! An evaluation as other programs call it: what it refuses without a command line, and a report without a model.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use align_eval::{Job, JudgeKind, evaluate};
use align_report::Report;
use align_stage::{Event, Host, Result};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name).display().to_string()
}

/// What comes of a job that writes into `dir`, and whether work had started.
fn run(dir: &Path, change: impl FnOnce(&mut Job)) -> (Result<Report>, bool) {
    let mut job = Job::default();
    job.output.output_dir = dir.join("report");
    change(&mut job);
    let started = Cell::new(false);
    let listener = |event: Event<'_>| {
        started.set(started.get() || matches!(event, Event::Checked));
        Ok(())
    };
    let host = Host { listener: Some(&listener), ..Host::default() };
    (evaluate(&job, &host, None), started.get())
}

#[test]
fn the_defaults_are_those_of_the_command_line() {
    let job = Job::default();
    assert_eq!(job.output.output_dir, PathBuf::from("runs/evaluation"));
    assert_eq!(
        (job.prompts.split.as_str(), job.endpoint.judge_attempts, job.preferences.beta),
        ("test", 5, 0.1)
    );
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut Job)| {
        let (report, started) = run(dir.path(), change);
        assert!(!started && !dir.path().join("report").exists());
        report.unwrap_err().to_string()
    };
    assert!(refused(&|_| {}).starts_with("nothing to evaluate: "));
    let pairs = fixture("data/preference");
    let error = refused(&|job| {
        job.preferences.preferences.push(pairs.clone());
        job.prompts.best_of_n = Some(4);
    });
    assert_eq!(
        error,
        "`best_of_n`: has no effect, without `--prompts` no model is asked anything; remove it"
    );
    let error = refused(&|job| {
        job.models.model.push(fixture("models/tiny-chat"));
        job.prompts.prompts = Some(fixture("data/prompts"));
        job.judge.judge = Some(JudgeKind::World);
    });
    assert_eq!(error, "`judge`: there is no world here; name another judge");
    let error = refused(&|job| {
        job.models.reward_model = Some(fixture("models/tiny-chat"));
        job.preferences.preferences.push(pairs.clone());
    });
    assert!(error.starts_with("reward_model ") && error.contains("is a language model"), "{error}");
}

#[test]
fn a_reward_model_judges_pairs_and_the_report_says_with_which_options() {
    let dir = tempfile::tempdir().unwrap();
    let (report, started) = run(dir.path(), |job| {
        job.models.reward_model = Some(fixture("models/tiny-reward"));
        job.preferences.preferences.push(fixture("data/preference"));
        job.preferences.num_pairs = Some(8);
    });
    let report = report.unwrap();
    assert!(started);
    assert_eq!((report.preferences.len(), report.preferences[0].model.as_str()), (1, "tiny-reward"));
    assert_eq!((&report.settings["num_pairs"], &report.settings["split"]), (&8.into(), &"test".into()));
    assert!(!report.settings.contains_key("output_dir"));
    assert_eq!(Report::read(&dir.path().join("report/report.json")).unwrap(), report);
}
