//! Output directories and files: occupied, somebody else's, unwritable, in the way.

use super::{row, row_with};
use crate::row::{Content, Row};

const TRAINERS: [&str; 4] = ["train-sft", "train-dpo", "train-reward", "train-ppo"];

pub(super) fn rows() -> Vec<Row> {
    [cannot_be(), occupied(), overwritten(), outputs(), full()].into_iter().flatten().collect()
}

/// A run that has saved checkpoints of steps 2 and 4.
pub(super) fn earlier(out: &str) -> String {
    format!(
        "--model model --dataset sft.jsonl --output-dir {out} --max-steps 4 --save-steps 2 --report-to tensorboard --max-length 40"
    )
}

fn cannot_be() -> Vec<Row> {
    let mut rows = Vec::new();
    for program in ["train-sft", "train-dpo", "train-reward", "train-ppo", "evaluate", "write-report"] {
        let to = |name: &str, path: &str| {
            let row = row_with(&format!("output: {name}"), program, &format!("--output-dir {path}"));
            row.put("run/metrics.jsonl", "{\"step\":1,\"loss\":1}\n").refused(&["output_dir", path])
        };
        rows.extend([
            to("a file", "sft.jsonl"),
            to("below a file", "sft.jsonl/out"),
            to("where nothing can be made", "/proc/nowhere/out"),
            to("a link to nowhere that cannot be", "link")
                .with("link", Content::Link("/proc/nowhere".to_owned())),
            to("a pipe", "pipe").with("pipe", Content::Fifo),
            to("a device", "/dev/null"),
        ]);
    }
    rows.extend([
        super::row_with(
            "output: a name of 5,000 letters",
            "train-sft",
            &format!("--output-dir {}", "o".repeat(5_000)),
        )
        .refused(&["output_dir"]),
        super::row_with("output: an empty name", "train-sft", "--output-dir=").refused(&["output"]),
        row_with(
            "output: a name with an escape sequence",
            "train-sft",
            "--output-dir sft.jsonl/\u{1b}[31m\u{7}",
        )
        .refused(&["output_dir"]),
        row_with("output: below directories that are not there", "train-sft", "--output-dir a/b/c/out")
            .makes("a")
            .accepted(),
        row_with("output: nothing is written in a dry run", "train-sft", "--dry-run").accepted(),
        row_with("output: nothing is written to be looked at", "train-sft", "--inspect").accepted(),
        row_with("output: a link to a directory", "train-sft", "--output-dir link")
            .with("there", Content::Directory)
            .with("link", Content::Link("there".to_owned()))
            .makes("there")
            .makes("link")
            .accepted(),
    ]);
    rows
}

/// A directory in which there is something.
fn occupied() -> Vec<Row> {
    let mut rows = Vec::new();
    for program in TRAINERS {
        let occupied =
            |name: &str| row(&format!("occupied: {name}"), program).refused(&["output_dir", "out"]);
        rows.extend([
            occupied("by a note").put("out/notes.txt", "mine"),
            occupied("by a model").with("out", Content::Copy("model")),
            occupied("by a checkpoint that is none").put("out/checkpoint-7/notes.txt", "mine"),
        ]);
        for word in ["=false", "=no", "=False", "=", "=0"] {
            let row = row(&format!("occupied: by a model, resuming from {word}"), program)
                .with("out", Content::Copy("model"));
            rows.push(row.word(format!("--resume-from-checkpoint{word}")).refused(&[]));
        }
    }
    let again = |name: &str, options: &str| {
        row_with(&format!("occupied: {name}"), "train-sft", options).after(earlier("out")).refused(&["out"])
    };
    rows.extend([
        again("by a run", ""),
        again("by a run, resuming from false", "--resume-from-checkpoint=false"),
        again("by a run, resuming from no", "--resume-from-checkpoint=no"),
        again("by a run, resuming from nothing", "--resume-from-checkpoint="),
        again(
            "by a run, resuming from a checkpoint that is not there",
            "--resume-from-checkpoint out/checkpoint-9",
        ),
        again("by a run, resuming from nowhere", "--resume-from-checkpoint ./nowhere").refused(&["out"]),
        again("by a run, by a config file that says false", "--config run.toml")
            .put("run.toml", "resume_from_checkpoint = \"false\"\n"),
        again(
            "by a run, and its model is the one to train",
            "--model out/checkpoint-2 --resume-from-checkpoint=false",
        ),
    ]);
    rows
}

/// What `--overwrite-output-dir` may and may not take away.
fn overwritten() -> Vec<Row> {
    let over = |name: &str, options: &str| {
        row_with(&format!("overwritten: {name}"), "train-sft", &format!("--overwrite-output-dir {options}"))
    };
    vec![
        over("a run", "").after(earlier("out")).makes("out").accepted(),
        over("an empty directory", "").with("out", Content::Directory).makes("out").accepted(),
        over("a note", "").put("out/notes.txt", "mine").refused(&["out"]),
        over("a run with a note in it", "")
            .after(earlier("out"))
            .put("out/notes.txt", "mine")
            .makes("out")
            .keeps("out/notes.txt")
            .ends(&[0, 2], &[]),
        over("other runs", "--output-dir .").after(earlier("runs/sft-1")).refused(&["output_dir"]),
        over("a folder of runs", "--output-dir runs").after(earlier("runs/sft-1")).refused(&["output_dir"]),
        over("a checkpoint with a note in it", "")
            .after(earlier("out"))
            .put("out/checkpoint-7/notes.txt", "mine")
            .makes("out")
            .keeps("out/checkpoint-7/notes.txt")
            .ends(&[0, 2], &[]),
        over("the model", "--output-dir model").refused(&["model"]),
        over("the model's parent", "--output-dir out --model out/model")
            .with("out/model", Content::Copy("model"))
            .refused(&["out"]),
        over("the data", "--output-dir out --dataset out/sft.jsonl")
            .after(earlier("out"))
            .with("out/sft.jsonl", Content::Copy("sft.jsonl"))
            .refused(&["out"]),
        over("the checkpoint to go on from", "--resume-from-checkpoint out/runs/checkpoint-2")
            .after(earlier("out"))
            .with("out/runs/checkpoint-2", Content::Copy("out/checkpoint-2"))
            .refused(&["out"]),
        over("the model it started from", "--model out/checkpoint-2").after(earlier("out")).refused(&["out"]),
        over("a home", "--output-dir ../home").put("../home/letter.txt", "mine").refused(&["../home"]),
        over("the root", "--output-dir /").refused(&["output_dir"]),
        over("somebody else's metrics", "").put("out/metrics.jsonl", "{\"mine\": 1}\n").refused(&["out"]),
        over("a link to somebody else's directory", "--output-dir link")
            .with("link", Content::Link("../others".to_owned()))
            .refused(&["link"]),
    ]
}

/// Files that are written.
fn outputs() -> Vec<Row> {
    let mut rows = Vec::new();
    for program in ["generate", "score"] {
        let to = |name: &str, path: &str| {
            row_with(&format!("output: {name}"), program, &format!("--output {path}"))
                .refused(&["output", path])
        };
        rows.extend([
            to("a file that is there", "sft.jsonl"),
            to("below a file", "sft.jsonl/new.jsonl"),
            to("below a directory that is not there", "no/new.jsonl"),
            to("a directory", "model"),
            to("a pipe", "pipe").with("pipe", Content::Fifo),
            to("a link to nowhere", "link").with("link", Content::Link("/proc/nowhere".to_owned())),
            row_with("output: beside a temporary file of somebody", program, "--output new.jsonl")
                .put("new.jsonl.tmp", "mine")
                .makes("new.jsonl")
                .accepted(),
        ]);
    }
    rows.extend([
        row("output: beside a temporary file that is a link", "train-sft")
            .put("out-of-it", "mine")
            .with("out/model.safetensors.tmp", Content::Link("../out-of-it".to_owned()))
            .refused(&["out"]),
        row_with("output: to nowhere", "generate", "--output=").refused(&["output"]),
        row_with("output: a half file is not left", "score", "--output new.jsonl")
            .put("pairs.jsonl", format!("{}\n{{", crate::make::pair("a", "b", "c")))
            .refused(&["pairs.jsonl:2"]),
    ]);
    rows
}

/// Nowhere to write to.
fn full() -> Vec<Row> {
    let full = |program: &'static str, options: &str| {
        row_with(&format!("a full disk behind standard output {options}"), program, options)
            .stdout("/dev/full")
    };
    vec![
        full("generate", "").failed(&[]),
        full("generate", "--output -").failed(&[]),
        full("score", "").failed(&[]),
        full("evaluate", "").ends(&[0, 1], &[]).makes("out"),
        full("write-report", "")
            .put("run/metrics.jsonl", "{\"step\":1,\"loss\":1}\n")
            .put("run/training_args.toml", "beta = 0.1\n")
            .ends(&[0, 1], &[])
            .makes("out"),
        full("train-sft", "--inspect").ends(&[1, 2], &[]),
        full("train-sft", "--dry-run").ends(&[0, 1, 2], &[]),
        full("train-sft", "").ends(&[0, 1, 2], &[]).makes("out"),
    ]
}
