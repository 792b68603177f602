use std::cell::Cell;
use std::path::Path;

use align_stage::{Event, Host};
use serde_json::{Value, json};

use super::*;

/// What a job hands out over rows in a file, and what comes of it; whether work had started.
fn scored(rows: &[Value], change: impl FnOnce(&mut Job)) -> (Vec<Value>, Result<Report>, bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers.jsonl");
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(&path, lines).unwrap();
    let mut job = Job::new(path.display().to_string());
    job.rewards.reward = vec!["numeric_answer".parse().unwrap()];
    change(&mut job);
    let (mut found, started) = (Vec::new(), Cell::new(false));
    let listener = |event: Event<'_>| {
        started.set(started.get() || matches!(event, Event::Checked));
        Ok(())
    };
    let host = Host { listener: Some(&listener), ..Host::default() };
    let report = score(&job, &host, &mut |row| {
        found.push(serde_json::to_value(row)?);
        Ok(())
    });
    (found, report, started.get())
}

fn row(completions: &[&str], answer: &str) -> Value {
    json!({ "prompt": "What is 3 times 4?", "completions": completions, "answer": answer })
}

#[test]
fn rows_are_handed_out_as_they_were_asked_for() {
    let rows = [row(&["It is 12.", "It is 7."], "12"), row(&["It is 9."], "12")];
    let (found, report, _) = scored(&rows, |_| {});
    assert_eq!(found[0]["scores"], json!([1.0, 0.0]));
    assert_eq!((&found[1]["completion"], &found[1]["score"]), (&json!("It is 9."), &json!(0.0)));
    let report = report.unwrap();
    assert_eq!((report.answers, report.rows), (3, 2));

    let (found, report, _) = scored(&rows, |job| job.rows.write = Write::Preferences);
    let preferred = (&found[0]["chosen"], &found[0]["rejected"], found.len());
    assert_eq!(preferred, (&json!("It is 12."), &json!("It is 7."), 1));
    assert_eq!(report.unwrap().equal, 0);
}

#[test]
fn what_is_wrong_at_once_comes_before_work_and_what_is_wrong_later_says_so() {
    let kind = |(_, report, started): (Vec<Value>, Result<Report>, bool)| {
        let error = report.unwrap_err();
        let is_late = matches!(error, Error::LateInput(_));
        assert_eq!(is_late, started, "{error}");
        (error.to_string(), is_late)
    };
    let (error, late) = kind(scored(&[], |_| {}));
    assert!(error.ends_with("holds no rows") && !late, "{error}");
    let (error, late) = kind(scored(&[row(&["a"], "1"), json!({ "prompt": 3 })], |_| {}));
    assert!(error.contains("answers.jsonl:2") && late, "{error}");
    let (error, late) =
        kind(scored(&[row(&["1"], "1")], |job| "reply".clone_into(&mut job.answers.reference_column)));
    assert!(error.contains("`reference_column` = reply names no column of it") && late, "{error}");
    let (error, late) = kind(scored(&[row(&["1", "1"], "1")], |job| job.rows.write = Write::Preferences));
    assert!(error.starts_with("all rewards are equal") && late, "{error}");
}

#[test]
fn options_without_effect_are_refused_without_a_command_line() {
    let refused = |change: fn(&mut Job)| {
        let (_, report, started) = scored(&[row(&["1"], "1")], change);
        assert!(!started);
        report.unwrap_err().to_string()
    };
    let error = refused(|job| job.rewards.normalize = true);
    assert_eq!(error, "`normalize`: has no effect, `reward` does not name `model`; remove it");
    let error = refused(|job| job.rewards.reward.clear());
    assert!(error.starts_with("`model_name_or_path`: is required"), "{error}");
    let error = refused(|job| {
        job.rewards.reward = vec!["length:1..2".parse().unwrap()];
        "reply".clone_into(&mut job.answers.reference_column);
    });
    assert!(error.starts_with("`reference_column`: has no effect"), "{error}");
    let error = refused(|job| job.answers.split = Some("test".to_owned()));
    assert!(error.starts_with("`split`: has no effect"), "{error}");
}

#[test]
fn a_reward_model_scores_as_one_of_the_sum() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models/tiny-reward");
    let of = |reward: &str, normalize: bool| {
        let (found, report, _) = scored(&[row(&["It is 12.", "No."], "12")], |job| {
            job.rewards.model_name_or_path = Some(model.display().to_string());
            job.rewards.reward = vec![reward.parse().unwrap()];
            job.rewards.normalize = normalize;
        });
        report.unwrap();
        found[0]["scores"][0].as_f64().unwrap()
    };
    let (once, twice) = (of("model", false), of("2*model", false));
    assert!((twice - 2.0 * once).abs() < 1e-6 && once != 0.0, "{once} {twice}");
    assert!((of("model", true) - once).abs() > 1e-3);
}
