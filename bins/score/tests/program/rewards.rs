//! Rewards that are no model of this workspace.

use std::fs;

use serde_json::{Value, json};

use super::{lines, place, refused_alone, run_alone, runs, scores};

#[test]
fn a_classifier_with_an_encoder_scores_as_transformers_has_it() {
    let golden = runs().join("../encoders/v3").canonicalize().unwrap();
    let expected: Value = serde_json::from_slice(&fs::read(golden.join("expected.json")).unwrap()).unwrap();
    // An empty answer is none to score.
    let rows = expected["rows"].as_array().unwrap().iter().filter(|row| row["answer"] != "");
    let (rows, expected): (Vec<Value>, Vec<f64>) = rows
        .map(|row| {
            (
                json!({ "prompt": row["question"], "completion": row["answer"] }),
                row["score"].as_f64().unwrap(),
            )
        })
        .unzip();
    let dir = place(&rows);
    let (code, stdout, stderr) = run_alone(dir.path(), &format!("--model {}", golden.display()));
    assert_eq!(code, 0, "{stderr}");
    let found = scores(&lines(&stdout));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
    let rounded = format!("--model {} --bf16", golden.display());
    refused_alone(dir.path(), &rounded, "an encoder, which computes in float32; remove the option");
}

#[cfg(unix)]
#[test]
fn a_program_gives_scores_alone_and_beside_others() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = place(&["Hello.", "Hello there."].map(|text| json!({ "prompt": "Hi", "completion": text })));
    let program = |script: &str| {
        let path = dir.path().join("score");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("while read -r line; do echo \"[${#line}]\"; done");
    let scores = |options: &str| {
        let (code, stdout, stderr) = run_alone(dir.path(), options);
        assert_eq!(code, 0, "{stderr}");
        scores(&lines(&stdout))
    };
    let asked = "--reward-command ./score --reward-batch-size 1 --reward-timeout 60";
    let alone = scores(asked);
    assert!(alone[0] > 40.0 && alone[1] == alone[0] + 6.0, "{alone:?}");
    assert_eq!(
        scores(&format!("{asked} --reference-column right"))[0],
        alone[0] - 1.0,
        "the column's name is sent"
    );
    assert_eq!(scores(&format!("{asked} --reward 0.5*length:1..7")), [alone[0] + 0.5, alone[1]]);
    let model = scores("--model model");
    for (sum, parts) in scores(&format!("{asked} --model model")).iter().zip(model.iter().zip(&alone)) {
        assert!((sum - parts.0 - parts.1).abs() < 1e-4, "{sum} {parts:?}");
    }

    refused_alone(
        dir.path(),
        &format!("{asked} --normalize"),
        "`normalize`: has no effect, no model is named",
    );
    refused_alone(dir.path(), "--reward-url nowhere", "reward_url: ");
    refused_alone(dir.path(), "--reward length:1..3 --reward-timeout 3", "`reward_timeout`: has no effect");
    program("echo nothing >&2; exit 3");
    let (code, _, stderr) = run_alone(dir.path(), asked);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("reward_command `./score`: ended (exit status: 3), started again too"),
        "{stderr}"
    );
}
