//! The program, from its arguments to its files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn program() -> Command {
    Command::cargo_bin("write-report").unwrap()
}

fn run(dir: &Path, beta: f64, accuracy: f64, kl: f64) {
    fs::create_dir_all(dir).unwrap();
    let log = "{\"loss\":0.69,\"epoch\":0.5,\"step\":10}\n{\"loss\":0.4,\"epoch\":1.0,\"step\":20}\n";
    fs::write(dir.join("metrics.jsonl"), log).unwrap();
    fs::write(dir.join("training_args.toml"), format!("beta = {beta:?}\nseed = 42\n")).unwrap();
    let report = format!(
        r#"{{"kind": "dpo", "schema": 1, "steps": 20, "train_seconds": 61.0, "peak_memory_mb": 200.0,
            "accuracy_after": {accuracy}, "margin_after": 1.0, "kl": {kl}}}"#
    );
    fs::write(dir.join("report.json"), report).unwrap();
}

fn error(program: &mut Command) -> String {
    String::from_utf8(program.assert().code(2).get_output().stderr.clone()).unwrap()
}

#[test]
fn evaluations_runs_and_sweeps_become_one_page() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    run(&at("sweep/a"), 0.1, 0.9, 0.7);
    run(&at("sweep/b"), 1.0, 0.8, 0.9);
    let evaluation = r#"{"kind": "evaluation", "schema": 1, "title": "Two models", "comparison": {
        "baseline": "sft", "judge": {"kind": "rule", "name": "length"}, "prompt_source": "prompts.jsonl", "prompts": 4,
        "sampling": "greedy", "reward_source": null, "models": [
            {"name": "sft", "path": "x"}, {"name": "dpo", "path": "y", "mean_tokens": 12.0}]}}"#;
    fs::create_dir(at("evaluation")).unwrap();
    fs::write(at("evaluation/report.json"), evaluation).unwrap();

    let output = program()
        .arg("--evaluation")
        .arg(at("evaluation"))
        .arg(format!("--run=dpo={}", at("sweep/a").display()))
        .arg("--sweep")
        .arg(at("sweep"))
        .arg("--output-dir")
        .arg(at("page"))
        .assert()
        .success();
    let printed = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    assert!(
        printed.contains("1 min 1 s") && printed.contains("report.html"),
        "the run's time, at its model: {printed}"
    );
    let page = fs::read_to_string(at("page/report.html")).unwrap();
    assert!(page.contains("<h1>Two models</h1>") && page.contains("beta 0.1"));
    let json = fs::read_to_string(at("page/report.json")).unwrap();
    assert!(json.contains("\"on_frontier\": true") && json.contains("\"metric\": \"loss\""));
    assert!(fs::read_to_string(at("page/report.md")).unwrap().contains("## Runs"));
}

#[test]
fn what_cannot_be_reported_is_said_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page");
    let nothing = error(program().arg("--output-dir").arg(&page));
    assert!(nothing.contains("nothing to report"), "{nothing}");
    let no_run = error(program().args(["--run", "dpo=nowhere"]).arg("--output-dir").arg(&page));
    assert!(no_run.contains("--run dpo=nowhere: expected a folder"), "{no_run}");
    let no_log = error(program().arg("--run").arg(dir.path()).arg("--output-dir").arg(&page));
    assert!(no_log.contains("expected the folder of a training run"), "{no_log}");
    let no_sweep = error(program().arg("--sweep").arg(dir.path()).arg("--output-dir").arg(&page));
    assert!(no_sweep.contains("found none"), "{no_sweep}");
    run(&dir.path().join("run"), 0.1, 0.9, 0.7);
    let other =
        error(program().arg("--evaluation").arg(dir.path().join("run")).arg("--output-dir").arg(&page));
    assert!(other.contains("is a report of kind \"dpo\""), "{other}");
    assert!(!page.exists());
}

/// A sweep over runs would find no figures any more.
#[test]
fn a_report_does_not_replace_that_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    run(&at("run"), 0.1, 0.9, 0.7);
    let before = fs::read(at("run/report.json")).unwrap();
    let page = || {
        let mut program = program();
        program.arg(format!("--run=dpo={}", at("run").display())).arg("--output-dir").arg(at("run"));
        error(&mut program)
    };
    assert!(
        page().contains("run/report.json: is a report of kind \"dpo\", which this report would replace"),
        "{}",
        page()
    );
    assert_eq!(fs::read(at("run/report.json")).unwrap(), before);
    // A run that was stopped has none yet, and will write it.
    fs::remove_file(at("run/report.json")).unwrap();
    fs::create_dir(at("run/.align")).unwrap();
    fs::write(at("run/.align/written"), "metrics.jsonl\nreport.json\n").unwrap();
    assert!(page().contains("run: holds a run, whose report.json this would replace"), "{}", page());
    assert!(!at("run/report.html").exists());
}

#[test]
fn a_run_whose_figures_no_chart_can_hold_has_a_page_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    run(&at("run"), 0.1, 0.9, 0.7);
    for [first, second] in
        [["5e-324", "-5e-324"], ["1e308", "-1e308"], ["1e-310", "3e-310"], ["1", "1.0000000000000002"]]
    {
        let log = format!("{{\"loss\":{first},\"step\":0}}\n{{\"loss\":{second},\"step\":1e300}}\n");
        fs::write(at("run/metrics.jsonl"), log).unwrap();
        let name = "n".repeat(70_000);
        program()
            .arg(format!("--run={name}={}", at("run").display()))
            .arg("--output-dir")
            .arg(at("page"))
            .assert()
            .success();
        let page = fs::read_to_string(at("page/report.html")).unwrap();
        assert!(!page.contains("NaN") && page.contains("<svg"), "{first} {second}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_the_summary_is_an_error_and_the_files_are_there() {
    let dir = tempfile::tempdir().unwrap();
    run(&dir.path().join("run"), 0.1, 0.9, 0.7);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_write-report"));
    command.current_dir(dir.path()).args(["--run=run", "--output-dir=page"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.ends_with("error: standard output: No space left on device (os error 28)\n"), "{stderr}");
    assert!(dir.path().join("page/report.html").is_file());
}
