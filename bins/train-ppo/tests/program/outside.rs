//! Rewards from outside of the process: a program of a few lines of shell, a server of this test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::stage::{QUICK, TIMINGS};
use crate::support::{Place, Run, check, training, wait_until};

/// Sixteen completions and two updates a phase.
const GRPO: &str = "--method grpo --num-generations 4 --max-new-tokens 12 --per-device-train-batch-size 8 \
    --learning-rate 1e-3 --logging-steps 1 --report-to none";
/// Each answer by itself, so that a reply is one number.
const ASKED: &str = "--reward-command ./score --reward-batch-size 1";
/// The longer the prompt and the answer, the better.
const LONGER: &str = "while read -r line; do echo \"[${#line}]\"; done";

/// Puts a program there that says who it is.
fn program(place: &Place, script: &str) {
    place.write("score", format!("#!/bin/sh\necho $$ >> pids\n{script}\n"));
    fs::set_permissions(place.path("score"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// How often the program was started, if none of them is there any more.
fn started(place: &Place) -> usize {
    let pids = fs::read_to_string(place.path("pids")).unwrap();
    let is_there = |pid: &str| Path::new("/proc").join(pid).exists();
    assert!(!pids.lines().any(is_there), "a program is left: {pids}");
    pids.lines().count()
}

fn timeless(run: &Run) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let mut log = run.log();
    log.iter_mut().for_each(|entry| entry.retain(|name, _| !TIMINGS.contains(&name.as_str())));
    log
}

#[test]
fn a_program_gives_rewards_beside_rules() {
    let place = Place::new();
    program(&place, LONGER);
    let options = "--reward-funcs length:1..30 --reward-weights 0.5,2 --max-steps 4 --save-strategy no";
    let run = place.train("grpo", &format!("{GRPO} {ASKED} {options}"));
    let (asked, rule) = (run.metric("rewards/command/mean"), run.metric("rewards/length/mean"));
    assert!(asked[0] > 50.0, "a question has that many characters: {asked:?}");
    for ((asked, rule), score) in asked.iter().zip(&rule).zip(run.metric("objective/scores")) {
        assert!((0.5 * asked + 2.0 * rule - score).abs() < 1e-6, "{asked} {rule} {score}");
    }
    assert_eq!(started(&place), 1);

    let ppo = QUICK.replace("--reward-funcs length:1..30", "");
    let run = place.train("ppo", &format!("{ppo} {ASKED} --max-steps 4 --save-strategy no"));
    assert!(!run.metric("rewards/command/mean").is_empty() && !run.metric("loss/value_avg").is_empty());
    assert_eq!(started(&place), 2);
}

#[test]
fn a_run_goes_on_with_the_same_program_only() {
    let place = Place::new();
    program(&place, LONGER);
    let options = format!("{GRPO} {ASKED} --max-steps 4 --save-steps 2 --save-strategy steps");
    let whole = place.train("whole", &options);
    let resumed = place.train("resumed", &format!("{options} --resume-from-checkpoint whole/checkpoint-2"));
    assert_eq!(timeless(&resumed), timeless(&whole));
    assert!(resumed.model() == whole.model());
    let settings = fs::read_to_string(place.path("whole/training_args.toml")).unwrap();
    assert!(settings.contains("reward_command = \"./score\""), "{settings}");
    // It does not say that it was started, which would be a change on disk.
    place.write("other", format!("#!/bin/sh\n{LONGER}\n"));
    fs::set_permissions(place.path("other"), fs::Permissions::from_mode(0o755)).unwrap();
    let other = options.replace("./score", "./other");
    let from = "--resume-from-checkpoint whole/checkpoint-2";
    check(&place, &training("other-run", &format!("{other} {from}")), &["reward_command", "./other"]);
    // How long it may take says nothing of what it is.
    place.train("patient", &format!("{options} --reward-timeout 240 {from}"));
}

#[test]
fn a_signal_ends_the_program_with_the_run() {
    let place = Place::new();
    program(&place, LONGER);
    let options = format!("{GRPO} {ASKED} --max-steps 400 --save-strategy no");
    let mut command = place.command(&training("out", &options));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = place.path("out/metrics.jsonl");
    wait_until(&mut child, || fs::read_to_string(&log).is_ok_and(|log| log.len() > 200));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(started(&place), 1);
}

#[test]
fn a_program_that_gives_none_ends_the_run_with_its_last_words() {
    let place = Place::new();
    let ends = |script: &str, options: &str, fragments: &[&str], starts: usize| {
        program(&place, script);
        fs::write(place.path("pids"), "").unwrap();
        let options = format!("{GRPO} {ASKED} --max-steps 4 --overwrite-output-dir {options}");
        let ended = place.ended(&training("out", &options));
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let error = ended.stderr.lines().last().unwrap();
        for fragment in fragments {
            assert!(
                error.starts_with("error: ") && error.contains(fragment),
                "`{fragment}`: {}",
                ended.stderr
            );
        }
        assert!(!ended.stderr.contains('\u{1b}'));
        assert_eq!(started(&place), starts);
    };
    let dies = "read -r line; printf 'no \\033[31mmodel\\n' >&2; exit 3";
    ends(
        dies,
        "",
        &["reward_command `./score`: ended (exit status: 3), started again too", "no \\u{1b}[31mmodel"],
        2,
    );
    ends(
        "sleep 600",
        "--reward-timeout 1",
        &["gave no reply within 1 s (`reward_timeout`)", "not flushed"],
        2,
    );
    ends("while read -r line; do echo '[1, 2]'; done", "", &["for each of 1 answers, found 2: [1, 2]"], 1);
    ends("while read -r line; do echo '[NaN]'; done", "", &["what is no JSON"], 1);
}

#[test]
fn a_dry_run_asks_once_and_says_what_was_answered() {
    let place = Place::new();
    program(&place, LONGER);
    let looked = place.succeeds(&training("out", &format!("{GRPO} {ASKED} --max-steps 4 --dry-run")));
    let said = looked.stdout.lines().find(|line| line.starts_with("`reward_command` gives "));
    let said = said.unwrap_or_else(|| panic!("{}", looked.stdout));
    assert!(said.ends_with(" to a sample answer to data.jsonl:1"), "{said}");
    assert_eq!(started(&place), 1);
    program(&place, "while read -r line; do echo '[null]'; done");
    let refused = place.ended(&training("out", &format!("{GRPO} {ASKED} --max-steps 4 --dry-run")));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("data.jsonl:1: expected a finite number"), "{}", refused.stderr);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let place = Place::new();
    program(&place, LONGER);
    let refused = |options: &str, fragments: &[&str]| check(&place, &training("out", options), fragments);
    refused("--reward-command ./nowhere", &["reward_command `./nowhere`", "cannot be started"]);
    refused("--reward-command=", &["expected a program"]);
    refused("--reward-command=\"", &["with quotes in pairs"]);
    refused("--reward-url ftp://host/", &["reward_url: `ftp://host/`: neither http nor https"]);
    refused("--reward-url http://me:secret@host/", &["reward_url: `http://…@host/`"]);
    refused(
        "--reward-funcs length:1..3 --reward-timeout 3",
        &["`reward_timeout`: has no effect, without `reward_command`"],
    );
    refused("--reward-funcs length:1..3 --reward-batch-size 3", &["`reward_batch_size`: has no effect"]);
    refused("--reward-url http://host/ --reward-batch-size 0", &["--reward-batch-size", "from 1 to 65536"]);
    refused("--reward-url http://host/ --reward-weights 1,2", &["`reward_weights`: expected 1 of them"]);
    refused(
        "--reward-url http://host/ --reference-column prompts",
        &["`reference_column`: a question has a column"],
    );
    refused(
        "--reward-url http://host/ --reference-column right",
        &["data.jsonl:1: `reference_column` is named", "`right`"],
    );
    assert!(!place.path("pids").exists(), "a program was started for nothing");
}

#[test]
fn a_server_gives_rewards() {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let url = format!("http://{}/rewards", server.server_addr());
    // It answers as long as it is asked, and is away first.
    thread::spawn(move || {
        for (number, mut request) in server.incoming_requests().enumerate() {
            let mut body = String::new();
            request.as_reader().read_to_string(&mut body).unwrap();
            let question: serde_json::Value = serde_json::from_str(&body).unwrap();
            let answers = question["completions"].as_array().unwrap();
            let rewards: Vec<usize> = answers.iter().map(|answer| answer.to_string().len()).collect();
            let reply = serde_json::json!({ "rewards": rewards }).to_string();
            let status = if number == 0 { 503 } else { 200 };
            let _ = request.respond(tiny_http::Response::from_string(reply).with_status_code(status));
        }
    });
    let place = Place::new();
    let options = format!("{GRPO} --reward-url {url} --reward-batch-size 5 --max-steps 4 --save-strategy no");
    let run = place.train("out", &options);
    assert!(run.metric("rewards/url/mean")[0] > 2.0 && run.metric("rewards/url/std")[0] > 0.0);
}

#[test]
fn an_encoder_scores_what_the_policy_says() {
    let place = Place::new();
    let golden = Path::new(crate::support::RUNS).join("../encoders/v3");
    crate::support::copy_dir(&golden, &place.path("reward"));
    let options = "--reward-model-path reward --max-steps 4 --save-strategy no";
    let run = place.train("out", &format!("{GRPO} {options}"));
    assert!(run.metric("rewards/model/std")[0] > 0.0);
    let refused = |options: &str, fragment: &str| check(&place, &training("new", options), &[fragment]);
    refused(&format!("{GRPO} {options} --reward-from-text"), "an encoder always reads texts");
    refused(&format!("{GRPO} {options} --normalize-scores"), "reward_normalization.json");
    refused(&format!("{options} --value-model reward_model"), "`value_model` = reward_model");
}
