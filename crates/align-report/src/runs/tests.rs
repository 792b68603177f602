use std::fs;

use prost::Message as _;

use super::tensorboard::{Event, Scalar, Session, Summary, masked_crc};
use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

const LOG: &str = r#"{"loss":0.69,"learning_rate":0.0001,"entropy":null,"epoch":0.1,"step":10}
{"eval_loss":0.5,"epoch":0.1,"step":10}
{"loss":0.4,"learning_rate":0.0,"epoch":0.2,"step":20}
{"train_runtime":12.5,"train_loss":0.55,"epoch":0.2,"step":20}
"#;

#[test]
fn a_run_is_read_with_its_curves_and_what_it_cost() {
    let report =
        r#"{"kind": "dpo", "schema": 1, "steps": 20, "train_seconds": 12.5, "peak_memory_mb": null}"#;
    let dir = folder(&[("metrics.jsonl", LOG), ("report.json", report)]);
    let run = Run::read("dpo", dir.path()).unwrap();
    assert_eq!((run.kind.as_str(), run.steps, run.train_seconds), ("dpo", Some(20), Some(12.5)));
    assert_eq!(run.curve("loss"), Some(&[[10.0, 0.69], [20.0, 0.4]][..]));
    assert_eq!((run.last("eval_loss"), run.last("learning_rate")), (Some(0.5), Some(0.0)));
    let metrics: Vec<_> = run.curves.iter().map(|curve| curve.metric.as_str()).collect();
    assert_eq!(metrics, ["eval_loss", "learning_rate", "loss"], "no step, no epoch, nothing said once");
}

#[test]
fn a_run_that_is_still_writing_is_read_up_to_its_last_whole_line() {
    let dir = folder(&[("metrics.jsonl", &format!("{LOG}{{\"loss\":0.3"))]);
    assert_eq!(Run::read("x", dir.path()).unwrap().last("loss"), Some(0.4));
}

#[test]
fn a_line_that_is_no_entry_is_named() {
    let dir = folder(&[("metrics.jsonl", "{\"loss\":1,\"step\":1}\nloss 2\n")]);
    let error = Run::read("x", dir.path()).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl:2: expected a JSON object"), "{error}");
}

#[test]
fn a_folder_without_a_log_is_refused() {
    let error = Run::read("x", folder(&[]).path()).unwrap_err().to_string();
    assert!(error.contains("expected the folder of a training run"), "{error}");
}

#[test]
fn the_state_of_transformers_is_read_too() {
    let state = format!(r#"{{"global_step": 20, "log_history": [{}]}}"#, LOG.trim().replace('\n', ","));
    let dir = folder(&[("trainer_state.json", &state)]);
    let run = Run::read("trl", dir.path()).unwrap();
    assert_eq!((run.steps, run.last("loss"), run.curve("train_loss")), (Some(20), Some(0.4), None));
}

fn record(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), &data, &masked_crc(&data).to_le_bytes()].concat()
}

fn scalar(step: i64, tag: &str, value: f32) -> Vec<u8> {
    let values = vec![Scalar { tag: tag.to_owned(), value: Some(value) }];
    record(&Event { step, summary: Some(Summary { values }), session: None })
}

#[test]
fn event_files_are_read_where_there_is_nothing_else() {
    let dir = folder(&[]);
    let inner = dir.path().join("runs/Nov21_host");
    fs::create_dir_all(&inner).unwrap();
    let start = record(&Event { step: 2, summary: None, session: Some(Session { status: 1 }) });
    let first =
        [scalar(1, "train/loss", 0.5), scalar(2, "train/loss", 9.0), scalar(2, "eval/loss", 0.25)].concat();
    let second = [start, scalar(2, "train/loss", 0.125), scalar(3, "train/loss", 1.0)].concat();
    fs::write(inner.join("events.out.tfevents.1.host.1.0"), first).unwrap();
    // The last record is cut off.
    fs::write(inner.join("events.out.tfevents.2.host.1.0"), &second[..second.len() - 5]).unwrap();
    let run = Run::read("x", dir.path()).unwrap();
    assert_eq!(run.curve("loss"), Some(&[[1.0, 0.5], [2.0, 0.125]][..]), "a session that starts takes back");
    assert_eq!(run.curve("eval_loss"), Some(&[][..]));
}

#[test]
fn an_event_file_that_is_damaged_is_named() {
    let dir = folder(&[]);
    let mut bytes = scalar(1, "train/loss", 0.5);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(dir.path().join("events.out.tfevents.1.host"), bytes).unwrap();
    let error = Run::read("x", dir.path()).unwrap_err().to_string();
    assert!(error.contains("events.out.tfevents.1.host: is damaged"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_log_that_is_no_ordinary_file_is_refused_at_once() {
    for name in ["metrics.jsonl", "trainer_state.json", "events.out.tfevents.1", "report.json"] {
        let dir = tempfile::tempdir().unwrap();
        if name == "report.json" {
            fs::write(dir.path().join("metrics.jsonl"), "{\"loss\":1,\"step\":1}\n").unwrap();
        }
        std::os::unix::fs::symlink("/dev/zero", dir.path().join(name)).unwrap();
        let error = Run::read("run", dir.path()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("expected an ordinary file"), "{error}");
    }
}
