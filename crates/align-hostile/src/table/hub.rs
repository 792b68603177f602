//! Names of models and data sets on the hub, without a network.

use super::row_with;
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    let shown = |name: &str| name.chars().take(40).collect::<String>().escape_debug().to_string();
    let model = |name: &str| {
        row_with(&format!("hub: model {}", shown(name)), "generate", "")
            .word_instead("--model", name)
            .refused(&["model"])
    };
    let data = |name: &str| {
        row_with(&format!("hub: data set {}", shown(name)), "train-sft", "")
            .word_instead("--dataset", name)
            .refused(&["dataset"])
    };
    let revision = |revision: &str| {
        row_with(&format!("hub: revision {}", shown(revision)), "generate", "")
            .word_instead("--model", "org/model")
            .word(format!("--model-revision={revision}"))
            .refused(&[])
    };
    let mut rows = vec![
        model("org/model").refused(&["org/model", "HF_HUB_OFFLINE"]),
        data("org/data").refused(&["org/data", "HF_HUB_OFFLINE"]),
        model("../../etc/passwd"),
        model("org/../../x"),
        model("../x/y"),
        model("org/mo..del"),
        model("org//model"),
        model("/org/model"),
        model("org/model/more"),
        model("org/"),
        model("/"),
        model("."),
        model(".."),
        model("org/model?x=1"),
        model("org/model#x"),
        model("org\\model"),
        model("org/mo del"),
        model("org/mo\ndel"),
        model("\u{1b}[31m\u{7}/model"),
        model("https://huggingface.co/org/model"),
        model("org/модель"),
        model(&format!("org/{}", "m".repeat(100_000))),
        data("../../etc/passwd"),
        data("org/../../x"),
        data("https://huggingface.co/datasets/org/data"),
        data(&format!("org/{}", "d".repeat(100_000))),
        data("\u{1b}[31m\u{7}/data"),
        revision("../../x"),
        revision(""),
        revision("a b"),
        revision("/etc"),
        revision("a?b"),
        revision("\u{1b}[31m\u{7}"),
        revision(&"r".repeat(100_000)),
    ];
    for (name, variable, value) in [
        ("an endpoint that is no address", "HF_ENDPOINT", "nonsense"),
        ("an endpoint on the disk", "HF_ENDPOINT", "file:///etc"),
        ("an endpoint with a line feed", "HF_ENDPOINT", "http://localhost\nX: 1"),
        ("nobody at the endpoint", "HF_ENDPOINT", "http://127.0.0.1:9"),
        ("an endpoint with a password", "HF_ENDPOINT", "http://user:secret@127.0.0.1:9"),
        ("a token with a line feed", "HF_TOKEN", "hf_a\nX: 1"),
        ("a cache that is a file", "HF_HOME", "sft.jsonl"),
        ("a cache that is a device", "HF_HOME", "/dev/null"),
        ("a cache that cannot be", "HF_HOME", "/proc/nowhere"),
    ] {
        let row = row_with(&format!("hub: {name}"), "generate", "")
            .word_instead("--model", "org/model")
            .refused(&[]);
        let row =
            if variable == "HF_ENDPOINT" { row } else { row.variable("HF_ENDPOINT", "http://127.0.0.1:9") };
        rows.push(row.variable("HF_HUB_OFFLINE", "0").variable(variable, value).makes("../home/.cache"));
    }
    rows
}
