//! Checkpoints to go on from: absent, damaged, somebody else's, and words that are none.

use serde_json::json;

use super::directories::earlier;
use crate::row::{Content, Row};

pub(super) fn rows() -> Vec<Row> {
    [words(), damaged(), contents(), limits()].into_iter().flatten().collect()
}

/// The run again, or further, with other options.
fn again(name: &str, options: &str) -> Row {
    let row = Row::new(format!("resume: {name}"), "train-sft", &super::replaced(&earlier("out"), options));
    row.after(earlier("out"))
}

/// Nothing but the run to resume.
fn bare(name: &str) -> Row {
    Row::new(format!("resume: {name}"), "train-sft", "--resume-from-checkpoint out").after(earlier("out"))
}

fn words() -> Vec<Row> {
    vec![
        again("from a step that is not there", "--resume-from-checkpoint out/checkpoint-9")
            .refused(&["resume_from_checkpoint"]),
        again("from the model", "--resume-from-checkpoint model --output-dir new").refused(&["model"]),
        again("from a file", "--resume-from-checkpoint sft.jsonl --output-dir new").refused(&["sft.jsonl"]),
        again("from a device", "--resume-from-checkpoint /dev/zero --output-dir new").refused(&["/dev/zero"]),
        again(
            "from the run, not a checkpoint",
            "--resume-from-checkpoint out --output-dir new --max-steps 5",
        )
        .makes("new")
        .accepted(),
        again("from a run without checkpoints", "--resume-from-checkpoint out --output-dir new")
            .with("out/checkpoint-2", Content::Gone)
            .with("out/checkpoint-4", Content::Gone)
            .refused(&["out", "no complete checkpoint"]),
        bare("the options of the run are not TOML")
            .put("out/training_args.toml", "\u{1b}[31m")
            .refused(&["not TOML"]),
        bare("the options of the run are another program's")
            .put("out/training_args.toml", "beta = 0.1\n")
            .refused(&["training_args.toml:1", "beta"]),
        bare("the options of the run are endless")
            .make("out/training_args.toml", || b"seed = 1\n".repeat(1 << 20))
            .refused(&["training_args.toml"]),
        bare("the options of the run name no data")
            .put("out/training_args.toml", "model_name_or_path = \"model\"\n")
            .refused(&["--dataset-name"]),
        again("from an earlier one in its own directory", "--resume-from-checkpoint out/checkpoint-2")
            .refused(&["checkpoint-4"]),
        again("from the last of nothing", "--resume-from-checkpoint last --output-dir new").refused(&["new"]),
        again("with other options", "--resume-from-checkpoint last --learning-rate 0.5")
            .refused(&["learning_rate"]),
        again("with other data", "--resume-from-checkpoint last --dataset texts.jsonl").refused(&[]),
        again("with another seed", "--resume-from-checkpoint last --seed 7").refused(&["seed"]),
        again("to fewer steps", "--resume-from-checkpoint last --max-steps 3")
            .ends(&[0, 2], &[])
            .makes("out"),
        again("where a folder is called last", "--resume-from-checkpoint last --max-steps 5")
            .with("last", Content::Directory)
            .makes("out")
            .accepted(),
        again("where a folder is called true", "--resume-from-checkpoint=true --max-steps 5")
            .with("true", Content::Directory)
            .makes("out")
            .accepted(),
        again("over an overwritten run", "--resume-from-checkpoint last --overwrite-output-dir")
            .ends(&[0, 2], &[])
            .makes("out"),
        Row::new("resume: with a name of 100,000 letters", "train-sft", &earlier("out"))
            .word(format!("--resume-from-checkpoint={}", "c".repeat(100_000)))
            .refused(&["resume_from_checkpoint"]),
        Row::new("resume: with an escape sequence", "train-sft", &earlier("out"))
            .word("--resume-from-checkpoint=\u{1b}[31m\u{7}")
            .refused(&["resume_from_checkpoint"]),
    ]
}

/// Files of a checkpoint that the manifest finds out.
fn damaged() -> Vec<Row> {
    const FILES: [&str; 9] = [
        "model.safetensors",
        "optimizer.safetensors",
        "data_cursor.json",
        "options.json",
        "progress.json",
        "trainer_state.json",
        "config.json",
        "tokenizer.json",
        "MANIFEST.json",
    ];
    let named = "--resume-from-checkpoint out/checkpoint-4 --output-dir new --max-steps 5";
    let mut rows = Vec::new();
    for file in FILES {
        let path = format!("out/checkpoint-4/{file}");
        let row = |how: &str| again(&format!("{file} {how}"), named).refused(&["checkpoint-4"]);
        rows.extend([
            row("gone").with(path.as_str(), Content::Gone),
            row("cut in half").edit(&path, |bytes| bytes[..bytes.len() / 2].to_vec()),
            row("empty").edit(&path, |_| Vec::new()),
        ]);
    }
    let model = |how: &str, content: Content| {
        again(&format!("the weights are {how}"), named)
            .with("out/checkpoint-4/model.safetensors", Content::Gone)
            .with("out/checkpoint-4/model.safetensors", content)
            .refused(&["checkpoint-4"])
    };
    rows.extend([
        model("a pipe", Content::Fifo),
        model("a directory", Content::Directory),
        model("an endless device", Content::Link("/dev/zero".to_owned())),
        again("a file too many", named)
            .with("out/checkpoint-4/zzz.safetensors", Content::Copy("reward/model.safetensors"))
            .ends(&[0, 2], &[])
            .makes("new"),
        again("the last one is damaged", "--resume-from-checkpoint last --max-steps 5")
            .edit("out/checkpoint-4/model.safetensors", |bytes| bytes[..bytes.len() / 2].to_vec())
            .makes("out")
            .keeps("out/checkpoint-2")
            .accepted(),
        again("the last one is a file", "--resume-from-checkpoint last --max-steps 5")
            .put("out/checkpoint-9", "mine")
            .makes("out")
            .ends(&[0, 2], &[]),
        again("all are damaged", "--resume-from-checkpoint last --max-steps 5")
            .edit("out/checkpoint-2/model.safetensors", |_| Vec::new())
            .edit("out/checkpoint-4/model.safetensors", |_| Vec::new())
            .refused(&["checkpoint"]),
    ]);
    rows
}

/// Wrong content under a manifest that has been made to fit: somebody else's hand, or another version's.
fn contents() -> Vec<Row> {
    let manifest = |name: &str, text: String| {
        again(
            &format!("manifest: {name}"),
            "--resume-from-checkpoint out/checkpoint-4 --output-dir new --max-steps 5",
        )
        .put("out/checkpoint-4/MANIFEST.json", text)
        .refused(&["checkpoint-4"])
    };
    vec![
        manifest("a list", "[]".to_owned()),
        manifest("an empty object", "{}".to_owned()),
        manifest("no files", json!({ "files": {} }).to_string()),
        manifest(
            "a way out",
            json!({ "files": { "../../others/theirs": { "size": 9, "sha256": "0" } } }).to_string(),
        ),
        manifest(
            "an absolute path",
            json!({ "files": { "/etc/passwd": { "size": 9, "sha256": "0" } } }).to_string(),
        ),
        manifest(
            "a negative size",
            json!({ "files": { "model.safetensors": { "size": -1, "sha256": "0" } } }).to_string(),
        ),
        manifest("100,000 lists deep", crate::make::nested("[", "]", 100_000)),
    ]
}

/// Checkpoints that are removed when there are too many.
fn limits() -> Vec<Row> {
    let limited = |name: &str| {
        again(name, "--resume-from-checkpoint last --max-steps 6 --save-steps 1 --save-total-limit 1")
            .makes("out")
            .accepted()
    };
    vec![
        limited("a limit, and the later ones are damaged")
            .edit("out/checkpoint-4/model.safetensors", |_| Vec::new()),
        limited("a limit, and a file is called checkpoint-9")
            .put("out/checkpoint-9", "mine")
            .ends(&[0, 2], &[])
            .keeps("out/checkpoint-9"),
        limited("a limit, and a folder of notes is called checkpoint-1")
            .put("out/checkpoint-1/notes.txt", "mine")
            .keeps("out/checkpoint-1"),
        limited("a limit, and a folder is called checkpoint-x")
            .put("out/checkpoint-x/notes.txt", "mine")
            .keeps("out/checkpoint-x"),
        limited("a limit, and a checkpoint of step 2^64")
            .put("out/checkpoint-18446744073709551616/notes.txt", "mine")
            .keeps("out/checkpoint-18446744073709551616"),
    ]
}
