//! What `evaluate` and `score` are asked: judges, their addresses and keys, people's scores, principles, runs.

use super::{row, row_with};
use crate::row::{Content, Row};

pub(super) fn rows() -> Vec<Row> {
    [addresses(), keys(), inputs(), hacking()].into_iter().flatten().collect()
}

const JUDGE: &str = "--judge-model judge --judge-attempts 1 --judge-wait 0.01";

/// Addresses that are none are known before any model answers.
fn addresses() -> Vec<Row> {
    let shown = |url: &str| url.chars().take(30).collect::<String>().escape_debug().to_string();
    let url = |url: &str| {
        row_with(&format!("judge: address {}", shown(url)), "evaluate", JUDGE)
            .word(format!("--judge-url={url}"))
            .refused(&["judge_url"])
    };
    vec![
        url(""),
        url(" "),
        url("nonsense"),
        url("localhost:8000/v1"),
        url("//localhost/v1"),
        url("http://"),
        url("http:///v1"),
        url("http://:8000/v1"),
        url("http://localhost:99999/v1"),
        url("http://localhost:port/v1"),
        url("http://[::1/v1"),
        url("http://local host/v1"),
        url("http://localhost/\nv1"),
        url("http://\u{1b}[31m\u{7}/v1"),
        url("ftp://localhost/v1"),
        url("file:///etc/passwd"),
        url("javascript:alert(1)"),
        url("unix:///var/run/docker.sock"),
        url(&format!("http://{}/v1", "a".repeat(100_000))),
        url("http://user:secret@localhost/v1"),
        url("http://user@localhost/v1"),
        row_with("judge: nobody at the address", "evaluate", JUDGE)
            .word("--judge-url=http://127.0.0.1:9/v1")
            .makes("out")
            .failed(&["127.0.0.1:9"]),
        row_with("judge: no model", "evaluate", "--judge-url http://127.0.0.1:9/v1")
            .refused(&["judge_model"]),
        row_with("judge: no address", "evaluate", "--judge endpoint").refused(&["judge-url"]),
        row_with("judge: an address that nobody asks", "evaluate", "--judge-model judge")
            .refused(&["judge_model"]),
    ]
}

fn keys() -> Vec<Row> {
    let judge = |name: &str, options: &str| {
        row_with(
            &format!("judge: {name}"),
            "evaluate",
            &format!("--judge-url http://127.0.0.1:9/v1 {JUDGE} {options}"),
        )
    };
    let key = |name: &str, value: &str| {
        judge(name, "--judge-api-key-env KEY").variable("KEY", value).refused(&["KEY"])
    };
    vec![
        judge("a key that is not there", "--judge-api-key-env NOWHERE").refused(&["NOWHERE"]),
        judge("a variable's name that is none", "--judge-api-key-env a=b").refused(&["judge_api_key_env"]),
        judge("a variable without a name", "--judge-api-key-env=").refused(&["judge_api_key_env"]),
        key("an empty key", ""),
        key("a key with a line feed", "secret\nX-Injected: 1"),
        key("a key that no header can hold", "schlüssel"),
        key("a key with an escape sequence", "\u{1b}[31m\u{7}"),
        judge("replies in a directory", "--judge-replies model").refused(&["judge_replies"]),
        judge("replies below a file", "--judge-replies sft.jsonl/replies.jsonl").refused(&["judge_replies"]),
        judge("replies that are no replies", "--judge-replies sft.jsonl").refused(&["sft.jsonl"]),
        judge("replies from a pipe", "--judge-replies pipe")
            .with("pipe", Content::Fifo)
            .refused(&["judge_replies"]),
        judge("replies from a device", "--judge-replies /dev/zero").refused(&["judge_replies"]),
        judge("replies that end in the middle of a character", "--judge-replies replies.jsonl")
            .put("replies.jsonl", &b"{\"key\":\"\xe2\x82"[..])
            .makes("out")
            .ends(&[1], &["127.0.0.1:9"]),
        judge("notes in place of replies", "--judge-replies notes")
            .put("notes", "{ what I wanted to ask")
            .refused(&["judge_replies: notes:1: expected replies of an endpoint"]),
        judge("a criterion of 100,000 letters", "")
            .word(format!("--judge-criteria={}", "c".repeat(100_000)))
            .makes("out")
            .failed(&[]),
        judge("a criterion with an escape sequence", "")
            .word("--judge-criteria=\u{1b}[31m\u{7}")
            .makes("out")
            .failed(&[]),
    ]
}

fn inputs() -> Vec<Row> {
    let asked = |name: &str, options: &str, says: &[&str]| {
        row_with(&format!("evaluation of {name}"), "evaluate", options).refused(says)
    };
    vec![
        asked("a model that is not there", "--model ./nowhere", &["nowhere"]),
        asked("a reward model", "--model reward", &["reward"]),
        asked("a model without a name", "--model ==model", &["model"]),
        asked("two models of one name", "--model a=model --model a=model", &["a"]),
        asked("prompts that are not there", "--prompts nowhere.jsonl", &["nowhere.jsonl"]),
        asked("prompts from a device", "--prompts /dev/zero", &["/dev/zero"]),
        asked("prompts without the column", "--prompts texts.jsonl", &["texts.jsonl:1", "prompt"]),
        asked("safety prompts that are not there", "--safety-prompts nowhere.jsonl", &["nowhere.jsonl"]),
        asked("helpfulness prompts from a pipe", "--helpfulness-prompts pipe", &["pipe"])
            .with("pipe", Content::Fifo),
        asked(
            "a gold reward model that is not there",
            "--best-of-n 2 --gold-reward-model ./nowhere",
            &["nowhere"],
        ),
        asked("pairs without answers", "--preferences sft.jsonl", &["sft.jsonl:1"]),
        asked(
            "training pairs without answers",
            "--preferences pairs.jsonl --train-preferences sft.jsonl",
            &["sft.jsonl:1"],
        ),
        asked("texts that are none", "--text other.jsonl", &["other.jsonl:1"])
            .put("other.jsonl", "{\"question\": \"a\"}\n"),
        asked("a reward model that writes", "--reward-model model", &["model"]),
        asked("models in a file", "--models-in sft.jsonl", &["sft.jsonl"]),
        asked("models in a folder that is not there", "--models-in nowhere", &[]).makes("out").accepted(),
        asked("the right answers that there are not", "--judge exact_match", &["answer"]),
        asked("principles that are not there", "--principles nowhere", &["nowhere"]),
        asked("principles that are empty", "--principles empty.txt", &["empty.txt"]).put("empty.txt", ""),
        asked("principles that are not Unicode", "--principles odd.txt", &["odd.txt"])
            .put("odd.txt", &b"\xff\xfe\n"[..]),
        asked("principles from a pipe", "--principles pipe", &["pipe"]).with("pipe", Content::Fifo),
        asked("principles from a device", "--principles /dev/zero", &["/dev/zero"]),
        asked("a critic that there is not", "--principles principles.txt --critic nobody", &["nobody"])
            .put("principles.txt", "Be kind.\n"),
        row("evaluation under a title with an escape sequence", "evaluate")
            .word("--title=\u{1b}[31m\u{7}")
            .makes("out")
            .accepted(),
        row("evaluation under a title of 100,000 letters", "evaluate")
            .word(format!("--title={}", "t".repeat(100_000)))
            .makes("out")
            .accepted(),
        row("evaluation of a model's name with an escape sequence", "evaluate")
            .word("--model=\u{1b}[31m\u{7}=model")
            .makes("out")
            .ends(&[0, 2], &[]),
        row("evaluation of a model's name of 70,000 letters", "evaluate")
            .word(format!("--model={}=model", "n".repeat(70_000)))
            .makes("out")
            .ends(&[0, 2], &[]),
    ]
}

/// Runs whose reward is held against something.
fn hacking() -> Vec<Row> {
    let held = |name: &str, log: &str, scores: &str| {
        Row::new(
            format!("hacking: {name}"),
            "evaluate",
            "--hacking run --quality scores.jsonl --output-dir out",
        )
        .put("run/metrics.jsonl", log)
        .put("scores.jsonl", scores)
        .makes("out")
    };
    let entry = |step: usize, score: &str| {
        format!("{{\"step\":{step},\"objective/scores\":{score},\"objective/kl\":{step}}}\n")
    };
    let log: String = (0..5).map(|step| entry(step, &step.to_string())).collect();
    let scores: String = (0..5).map(|step| format!("{{\"step\":{step},\"quality\":{step}}}\n")).collect();
    let refused = |name: &str, log: &str, scores: &str, says: &[&str]| held(name, log, scores).refused(says);
    vec![
        held("a run as it should be", &log, &scores).accepted(),
        refused("an empty log", "", &scores, &["run"]),
        refused("a log without the reward", "{\"step\":1,\"loss\":1}\n", &scores, &["run"]),
        refused("no scores", &log, "", &["scores.jsonl"]),
        refused("scores without steps", &log, "{\"quality\":1}\n", &["scores.jsonl:1", "step"]),
        refused("scores without quality", &log, "{\"step\":1}\n", &["scores.jsonl:1", "quality"]),
        refused(
            "a quality that is text",
            &log,
            "{\"step\":1,\"quality\":\"good\"}\n",
            &["scores.jsonl:1", "quality"],
        ),
        refused("a quality that is none", &log, "{\"step\":1,\"quality\":NaN}\n", &["scores.jsonl:1"]),
        refused(
            "a step that is negative",
            &log,
            "{\"step\":-1,\"quality\":1}\n",
            &["scores.jsonl:1", "step"],
        ),
        refused("scores that are no JSON", &log, "good\n", &["scores.jsonl:1"]),
        refused("scores of other steps", &log, "{\"step\":900,\"quality\":1}\n", &["step"]),
        held(
            "a reward of the smallest numbers",
            &(0..5).map(|step| entry(step, "5e-324")).collect::<String>(),
            &scores,
        )
        .ends(&[0, 2], &[]),
        held(
            "a reward of the largest numbers",
            &(0..5).map(|step| entry(step, "1.7e308")).collect::<String>(),
            &scores,
        )
        .ends(&[0, 2], &[]),
        held("a step twice", &(log.clone() + &log), &scores).ends(&[0, 2], &[]),
        refused("a metric that there is not", &log, &scores, &["nonsense"]).word("--proxy-metric=nonsense"),
        Row::new(
            "hacking: a quality that there is not",
            "evaluate",
            "--hacking run --quality-metric nonsense --output-dir out",
        )
        .put("run/metrics.jsonl", log.as_str())
        .refused(&["nonsense"]),
        refused("a metric with an escape sequence", &log, &scores, &[])
            .word("--proxy-metric=\u{1b}[31m\u{7}"),
        Row::new(
            "hacking: a run that is not there",
            "evaluate",
            "--hacking nowhere --quality sft.jsonl --output-dir out",
        )
        .refused(&["nowhere"]),
        Row::new(
            "hacking: a file for a run",
            "evaluate",
            "--hacking sft.jsonl --quality sft.jsonl --output-dir out",
        )
        .refused(&["sft.jsonl"]),
    ]
}
