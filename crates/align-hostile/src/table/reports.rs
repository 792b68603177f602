//! What `write-report` reads: reports, logs and settings of runs.

use serde_json::{Value, json};

use super::row_with;
use crate::make::nested;
use crate::row::{Content, Row};

const LOG: &str = "{\"loss\":0.69,\"epoch\":0.5,\"step\":10}\n{\"loss\":0.4,\"epoch\":1.0,\"step\":20}\n";

pub(super) fn rows() -> Vec<Row> {
    [logs(), evaluations(), sweeps(), pages()].into_iter().flatten().collect()
}

/// A folder of a run whose log is this.
fn log(name: &str, text: impl Into<Vec<u8>>) -> Row {
    row_with(&format!("run's log: {name}"), "write-report", "")
        .put("run/metrics.jsonl", text)
        .put("run/training_args.toml", "beta = 0.1\nseed = 42\n")
        .put("run/report.json", report("dpo", &[]).to_string())
}

fn report(kind: &str, fields: &[(&str, Value)]) -> Value {
    let mut report = json!({ "kind": kind, "schema": 1, "steps": 20, "train_seconds": 61.0, "accuracy_after": 0.9, "kl": 0.7 });
    for (name, value) in fields {
        report[*name] = value.clone();
    }
    report
}

fn logs() -> Vec<Row> {
    let drawn = |name: &str, text: String| log(name, text).makes("out").accepted();
    let refused = |name: &str, text: &[u8]| log(name, text).refused(&["metrics.jsonl"]);
    let values = |values: &[&str]| -> String {
        values
            .iter()
            .enumerate()
            .map(|(step, value)| format!("{{\"step\":{step},\"loss\":{value}}}\n"))
            .collect()
    };
    vec![
        drawn("the smallest numbers", values(&["5e-324", "-5e-324", "5e-324"])),
        drawn("numbers next to each other", values(&["1.0", "1.0000000000000002"])),
        drawn("the largest numbers", values(&["1.7e308", "-1.7e308"])),
        drawn("one point", values(&["1"])),
        drawn("the same number again", values(&["1", "1", "1"])),
        drawn("zero", values(&["0", "-0.0"])),
        drawn("null among numbers", values(&["1", "null", "2"])),
        drawn("a million steps", "{\"step\":1000000,\"loss\":1}\n{\"step\":1,\"loss\":2}\n".to_owned()),
        drawn("50,000 entries", (0..50_000).map(|n| format!("{{\"step\":{n},\"loss\":{n}}}\n")).collect()),
        drawn(
            "an escape sequence for a metric",
            "{\"step\":1,\"\\u001b[31m\\u0007\":1}\n{\"step\":2,\"\\u001b[31m\\u0007\":2}\n".to_owned(),
        ),
        drawn(
            "a script for a metric",
            "{\"step\":1,\"<script>alert(1)</script>\":1}\n{\"step\":2,\"<script>alert(1)</script>\":2}\n"
                .to_owned(),
        ),
        drawn(
            "a metric's name of 100,000 letters",
            format!("{{\"step\":1,\"{0}\":1}}\n{{\"step\":2,\"{0}\":2}}\n", "m".repeat(100_000)),
        ),
        log(
            "1,000 metrics",
            (0..3)
                .map(|step| {
                    format!(
                        "{{\"step\":{step},{}}}\n",
                        (0..1_000).map(|n| format!("\"m{n}\":{n}")).collect::<Vec<_>>().join(",")
                    )
                })
                .collect::<String>(),
        )
        .makes("out")
        .accepted(),
        log("a step of 2^64", "{\"step\":18446744073709551616,\"loss\":1}\n").makes("out").ends(&[0, 2], &[]),
        log("a negative step", "{\"step\":-5,\"loss\":1}\n").makes("out").ends(&[0, 2], &[]),
        log("a step that is text", "{\"step\":\"one\",\"loss\":1}\n").makes("out").ends(&[0, 2], &[]),
        log("no steps", "{\"loss\":1}\n").makes("out").ends(&[0, 2], &[]),
        log("a last line that was cut", format!("{LOG}{{\"loss\":0.")).makes("out").ends(&[0, 2], &[]),
        log("a last line that was cut in a character", [LOG.as_bytes(), b"{\"text\":\"\xe2\x82"].concat())
            .makes("out")
            .ends(&[0, 2], &[]),
        log("empty", "").makes("out").ends(&[0, 2], &[]),
        refused("a line that is no JSON", b"{\"step\":1,\"loss\":1}\nnonsense\n{\"step\":2,\"loss\":1}\n"),
        refused("a list", b"[1]\n[2]\n"),
        refused("NaN", b"{\"step\":1,\"loss\":NaN}\n{\"step\":2,\"loss\":1}\n")
            .makes("out")
            .ends(&[0, 2], &[]),
        refused("100,000 lists deep", format!("{}\n{LOG}", nested("[", "]", 100_000)).as_bytes()),
        refused("not Unicode", b"{\"step\":1,\"loss\":1,\"a\":\"\xff\xfe\"}\n{\"step\":2,\"loss\":1}\n")
            .makes("out")
            .ends(&[0, 2], &[]),
        log("a directory", "")
            .with("run/metrics.jsonl", Content::Gone)
            .with("run/metrics.jsonl", Content::Directory)
            .refused(&["run"]),
        log("a pipe that nobody writes to", "")
            .with("run/metrics.jsonl", Content::Gone)
            .with("run/metrics.jsonl", Content::Fifo)
            .refused(&["run"]),
        log("an endless device", "")
            .with("run/metrics.jsonl", Content::Gone)
            .with("run/metrics.jsonl", Content::Link("/dev/zero".to_owned()))
            .refused(&["run"]),
        log("20 GB of zeros", "")
            .with("run/metrics.jsonl", Content::Gone)
            .with("run/metrics.jsonl", Content::Sparse(20_000_000_000))
            .refused(&["metrics.jsonl"]),
        log("6 GB on one line are not there", LOG)
            .put("run/training_args.toml", "beta =")
            .makes("out")
            .ends(&[0, 2], &[]),
        log("settings that are no TOML", LOG)
            .put("run/training_args.toml", "beta = = 3")
            .makes("out")
            .ends(&[0, 2], &[]),
        log("a report that is no JSON", LOG).put("run/report.json", "{").makes("out").ends(&[0, 2], &[]),
        log("a report 100,000 lists deep", LOG)
            .put("run/report.json", nested("[", "]", 100_000))
            .makes("out")
            .ends(&[0, 2], &[]),
        row_with("run: a file", "write-report", "--run sft.jsonl").refused(&["sft.jsonl"]),
        row_with("run: not there", "write-report", "--run nowhere").refused(&["nowhere"]),
        row_with("run: no name before the sign", "write-report", "--run ==model").refused(&["--run"]),
        row_with("run: without a log", "write-report", "--run model").refused(&["model"]),
        row_with("run: the root", "write-report", "--run /").refused(&["/"]),
    ]
}

/// Reports of evaluations that are read again.
fn evaluations() -> Vec<Row> {
    let comparison = |change: &[(&str, Value)]| {
        let mut report = json!({ "kind": "evaluation", "schema": 1, "title": "Two models", "comparison": {
            "baseline": "sft", "judge": { "kind": "rule", "name": "length" }, "prompt_source": "prompts.jsonl", "prompts": 4,
            "sampling": "greedy", "reward_source": null,
            "models": [{ "name": "sft", "path": "x" }, { "name": "dpo", "path": "y", "mean_tokens": 12.0 }] } });
        for (pointer, value) in change {
            if let Some(found) = report.pointer_mut(pointer) {
                found.clone_from(value);
            }
        }
        report
    };
    let page = |name: &str, text: String| {
        Row::new(format!("evaluation: {name}"), "write-report", "--evaluation evaluation --output-dir out")
            .put("evaluation/report.json", text)
            .makes("out")
    };
    let shown =
        |name: &str, pointer: &str, value: Value| page(name, comparison(&[(pointer, value)]).to_string());
    let refused = |name: &str, text: &str| page(name, text.to_owned()).refused(&["report.json"]);
    let long = "x".repeat(70_000);
    vec![
        shown("a model's name of 70,000 letters", "/comparison/models/0/name", json!(long))
            .ends(&[0, 2], &[]),
        shown("a title of 70,000 letters", "/title", json!(long)).accepted(),
        shown("a judge's name of 70,000 letters", "/comparison/judge/name", json!(long)).ends(&[0, 2], &[]),
        shown("a source of 70,000 letters", "/comparison/prompt_source", json!(long)).ends(&[0, 2], &[]),
        shown(
            "a model's name with an escape sequence",
            "/comparison/models/1/name",
            json!("\u{1b}[31m\u{7}"),
        )
        .ends(&[0, 2], &[]),
        shown("a title with an escape sequence", "/title", json!("\u{1b}]0;title\u{7}")).accepted(),
        shown("a script for a title", "/title", json!("</title><script>alert(1)</script>")).accepted(),
        shown("a model's name of bars and line feeds", "/comparison/models/1/name", json!("a|b\nc"))
            .ends(&[0, 2], &[]),
        shown("the smallest number", "/comparison/models/1/mean_tokens", json!(5e-324)).accepted(),
        shown("the largest number", "/comparison/models/1/mean_tokens", json!(1.7e308)).accepted(),
        shown("a negative number of tokens", "/comparison/models/1/mean_tokens", json!(-1))
            .ends(&[0, 2], &[]),
        shown("text for a number", "/comparison/models/1/mean_tokens", json!("many"))
            .refused(&["report.json"]),
        shown("no models", "/comparison/models", json!([])).ends(&[0, 2], &[]),
        shown("models that are numbers", "/comparison/models", json!([1, 2])).refused(&["report.json"]),
        shown("a baseline that there is not", "/comparison/baseline", json!("nobody")).ends(&[0, 2], &[]),
        shown("2^64 − 1 prompts", "/comparison/prompts", json!(u64::MAX)).ends(&[0, 2], &[]),
        shown("of a later version", "/schema", json!(1_000)).refused(&["report.json"]),
        shown("of a training run", "/kind", json!("dpo")).refused(&["report.json"]),
        shown("of a kind with an escape sequence", "/kind", json!("\u{1b}[31m\u{7}"))
            .refused(&["report.json"]),
        shown("of a kind of 100,000 letters", "/kind", json!("k".repeat(100_000))).refused(&["report.json"]),
        refused("empty", ""),
        refused("null", "null"),
        refused("a list", "[]"),
        refused("an empty object", "{}"),
        refused("half", "{\"kind\": \"evaluation\", \"sch"),
        refused("100,000 lists deep", &nested("[", "]", 100_000)),
        page("not Unicode", String::new())
            .put("evaluation/report.json", &b"{\"kind\": \"\xff\"}"[..])
            .refused(&["report.json"]),
        page("a directory", String::new())
            .with("evaluation/report.json", Content::Gone)
            .with("evaluation/report.json", Content::Directory)
            .refused(&["report.json"]),
        page("a pipe that nobody writes to", String::new())
            .with("evaluation/report.json", Content::Gone)
            .with("evaluation/report.json", Content::Fifo)
            .refused(&["report.json"]),
        page("20 GB of zeros", String::new())
            .with("evaluation/report.json", Content::Gone)
            .with("evaluation/report.json", Content::Sparse(20_000_000_000))
            .refused(&["report.json"]),
        Row::new("evaluation: not there", "write-report", "--evaluation nowhere --output-dir out")
            .refused(&["nowhere"]),
    ]
}

fn sweeps() -> Vec<Row> {
    let sweep = |name: &str, settings: &str, report: &Value| {
        let row =
            Row::new(format!("sweep: {name}"), "write-report", "--sweep sweep --output-dir out").makes("out");
        let row =
            row.put("sweep/a/training_args.toml", settings).put("sweep/a/report.json", report.to_string());
        row.put("sweep/b/training_args.toml", "beta = 0.5\n")
            .put("sweep/b/report.json", self::report("dpo", &[]).to_string())
    };
    let good = report("dpo", &[]);
    vec![
        sweep("one setting is no number", "beta = nan\n", &good).ends(&[0, 2], &[]),
        sweep("settings that are no TOML", "beta = = 1\n", &good).refused(&["training_args.toml"]),
        sweep("settings with an escape sequence", "beta = \"\\u001b[31m\\u0007\"\n", &good)
            .ends(&[0, 2], &[]),
        sweep("a setting of 70,000 letters", &format!("beta = \"{}\"\n", "x".repeat(70_000)), &good)
            .ends(&[0, 2], &[]),
        sweep("tables 10,000 deep", &format!("{} = 1\n", vec!["a"; 10_000].join(".")), &good)
            .ends(&[0, 2], &[]),
        sweep("a result that is text", "beta = 0.1\n", &report("dpo", &[("kl", json!("much"))]))
            .ends(&[0, 2], &[]),
        sweep(
            "the smallest result",
            "beta = 0.1\n",
            &report("dpo", &[("kl", json!(5e-324)), ("accuracy_after", json!(5e-324))]),
        )
        .ends(&[0, 2], &[]),
        sweep(
            "the largest result",
            "beta = 0.1\n",
            &report("dpo", &[("kl", json!(1.7e308)), ("accuracy_after", json!(-1.7e308))]),
        )
        .ends(&[0, 2], &[]),
        sweep("no results", "beta = 0.1\n", &json!({ "kind": "dpo", "schema": 1 })).ends(&[0, 2], &[]),
        sweep("runs of two kinds", "beta = 0.1\n", &report("sft", &[])).ends(&[0, 2], &[]),
        sweep("a result that is a list", "beta = 0.1\n", &json!([])).refused(&["report.json"]),
        Row::new("sweep: not there", "write-report", "--sweep nowhere --output-dir out")
            .refused(&["nowhere"]),
        Row::new("sweep: a file", "write-report", "--sweep sft.jsonl --output-dir out")
            .refused(&["sft.jsonl"]),
        Row::new("sweep: no runs", "write-report", "--sweep model --output-dir out").refused(&["model"]),
        Row::new("sweep: a link to itself", "write-report", "--sweep loop --output-dir out")
            .with("loop", Content::Link("loop".to_owned()))
            .refused(&["loop"]),
        Row::new("sweep: a folder that holds itself", "write-report", "--sweep sweep --output-dir out")
            .with("sweep/self", Content::Link("../sweep".to_owned()))
            .refused(&["sweep"]),
    ]
}

/// The page's own options.
fn pages() -> Vec<Row> {
    vec![
        row_with("page: a title of 100,000 letters", "write-report", "")
            .word(format!("--title={}", "t".repeat(100_000)))
            .put("run/metrics.jsonl", LOG)
            .makes("out")
            .accepted(),
        row_with("page: a title with an escape sequence", "write-report", "")
            .word("--title=\u{1b}[31m\u{7}")
            .put("run/metrics.jsonl", LOG)
            .makes("out")
            .accepted(),
        row_with("page: over another page", "write-report", "")
            .put("run/metrics.jsonl", LOG)
            .put("out/report.html", "mine")
            .put("out/notes.txt", "mine")
            .makes("out")
            .keeps("out/notes.txt")
            .accepted(),
        row_with("page: a report.html that is a directory", "write-report", "")
            .put("run/metrics.jsonl", LOG)
            .with("out/report.html", Content::Directory)
            .makes("out")
            .ends(&[1, 2], &["report.html"]),
    ]
}
