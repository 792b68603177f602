//! What surrounds a program: limits of the system, variables of the environment, where it stands, what it writes to.

use super::{row, row_with};
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    [variables(), limits(), places()].into_iter().flatten().collect()
}

fn variables() -> Vec<Row> {
    let with = |program: &'static str, name: &'static str, value: &str| {
        let row = row(&format!("with {name}={}", value.escape_debug()), program);
        row.variable(name, value).makes("out").ends(&[0, 2], &[])
    };
    let mut rows = Vec::new();
    for program in ["generate", "train-sft"] {
        for value in ["0", "-1", "x", "", "100000", "18446744073709551615"] {
            rows.push(with(program, "RAYON_NUM_THREADS", value));
        }
        for value in ["nonsense", "[[[", "trace", "\u{1b}[31m"] {
            rows.push(with(program, "ALIGN_LOG", value));
        }
        rows.push(with(program, "RUST_BACKTRACE", "1"));
        rows.push(with(program, "HOME", ""));
        rows.push(with(program, "HOME", "/proc/nowhere"));
        rows.push(with(program, "TMPDIR", "/proc/nowhere"));
        rows.push(with(program, "HF_HUB_OFFLINE", "perhaps"));
        rows.push(with(program, "LC_ALL", "nonsense"));
    }
    rows.push(
        row_with("a wrong option with RUST_BACKTRACE=1", "generate", "--top-p 7")
            .variable("RUST_BACKTRACE", "1")
            .refused(&["top_p"]),
    );
    rows
}

fn limits() -> Vec<Row> {
    let under = |program: &'static str, shell: &'static str| {
        row(&format!("under {shell}"), program).shell(shell).makes("out").ends(&[0, 1, 2], &[])
    };
    vec![
        under("train-sft", "ulimit -n 8"),
        under("generate", "ulimit -n 8"),
        under("train-sft", "ulimit -s 512"),
        under("generate", "ulimit -s 512"),
        under("train-sft", "ulimit -f 100").ends(&[1], &["out"]),
        under("train-dpo", "ulimit -f 100").ends(&[1], &["out"]),
        under("train-reward", "ulimit -f 100").ends(&[1], &["out"]),
        row_with("checkpoints under ulimit -f 100", "train-sft", "--save-strategy steps --save-steps 1")
            .shell("ulimit -f 100")
            .makes("out")
            .failed(&["out"]),
        row_with("a page under ulimit -f 4", "write-report", "")
            .put(
                "run/metrics.jsonl",
                (0..2_000).map(|n| format!("{{\"step\":{n},\"loss\":{n}}}\n")).collect::<String>(),
            )
            .shell("ulimit -f 4")
            .makes("out")
            .failed(&["out"]),
        row_with("answers under ulimit -f 1", "score", "--output new.jsonl")
            .shell("ulimit -f 1")
            .failed(&["new.jsonl"]),
    ]
}

fn places() -> Vec<Row> {
    vec![
        row("in a directory that was removed", "train-sft")
            .shell("mkdir gone; cd gone; rmdir ../gone")
            .refused(&[]),
        row("in a directory that was removed", "generate")
            .shell("mkdir gone; cd gone; rmdir ../gone")
            .refused(&[]),
        row("in a directory that was removed", "write-report")
            .shell("mkdir gone; cd gone; rmdir ../gone")
            .refused(&[]),
        Row::new("generate: without standard input", "generate", "--model model")
            .shell("exec 0<&-")
            .refused(&["prompt"]),
        row("without standard output", "generate").shell("exec 1>&-").ends(&[0, 1], &[]),
        row("without standard output", "score").shell("exec 1>&-").ends(&[0, 1], &[]),
        row("without standard output", "train-sft").shell("exec 1>&-").makes("out").ends(&[0, 1], &[]),
        row_with("standard input is a directory", "score", "--dataset -").shell("exec 0<model").refused(&[]),
        Row::new("generate: standard input is a directory", "generate", "--model model")
            .shell("exec 0<model")
            .refused(&[]),
        row_with("standard input is an endless device", "score", "--dataset -")
            .shell("exec 0</dev/zero")
            .refused(&[]),
        Row::new("generate: standard input is an endless device", "generate", "--model model")
            .shell("exec 0</dev/zero")
            .refused(&[]),
        row_with("data is standard input, which is nothing", "train-sft", "--dataset -")
            .shell("exec 0<&-")
            .refused(&[]),
        row_with("data is standard input, a pipe", "train-sft", "--dataset /dev/stdin")
            .input("{")
            .refused(&[]),
    ]
}
