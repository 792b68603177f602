//! Weights: safetensors files, their headers and indexes, and numbers that are none.

use serde_json::{Value, json};

use super::{row, row_with};
use crate::make::{filled, nested, safetensors, with_header};
use crate::row::{Content, Row};

const WEIGHTS: &str = "model/model.safetensors";
const NORM: &str = "model.norm.weight";

pub(super) fn rows() -> Vec<Row> {
    [files(), headers(), indexes(), numbers()].into_iter().flatten().collect()
}

fn refused(name: &str, edit: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Row {
    row(&format!("weights: {name}"), "generate").edit(WEIGHTS, edit).refused(&["model"])
}

/// The file as bytes.
fn files() -> Vec<Row> {
    let with = |name: &str, content: Content| {
        row(&format!("weights: {name}"), "generate")
            .with(WEIGHTS, Content::Gone)
            .with(WEIGHTS, content)
            .refused(&["safetensors"])
    };
    vec![
        refused("empty", |_| Vec::new()),
        refused("seven bytes", |bytes| bytes[..7].to_vec()),
        refused("only the header's length", |bytes| bytes[..8].to_vec()),
        refused("half the header", |bytes| bytes[..1000].to_vec()),
        refused("no data", |bytes| bytes[..8 + 2056].to_vec()),
        refused("half", |bytes| bytes[..bytes.len() / 2].to_vec()),
        refused("one byte short", |bytes| bytes[..bytes.len() - 1].to_vec()),
        refused("one byte too many", |bytes| [bytes, vec![0]].concat()),
        refused("random bytes", |_| (0..5000u32).map(|i| (i * i % 251) as u8).collect()),
        refused("a page of HTML", |_| b"<!DOCTYPE html><html><body>404</body></html>".to_vec()),
        refused("a pointer of Git LFS", |_| {
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n".to_vec()
        }),
        refused("a pickle", |_| b"PK\x03\x04archive/data.pkl".to_vec()),
        with("not there", Content::Directory).with(WEIGHTS, Content::Gone).refused(&["safetensors"]),
        with("a directory", Content::Directory),
        with("a pipe that nobody writes to", Content::Fifo),
        with("an endless device", Content::Link("/dev/zero".to_owned())),
        with("a terminal that is none", Content::Link("/dev/null".to_owned())),
        with("a link to nowhere", Content::Link("nowhere".to_owned())),
        with("a link to itself", Content::Link("model.safetensors".to_owned())),
        with("20 GB of zeros", Content::Sparse(20_000_000_000)),
    ]
}

fn headers() -> Vec<Row> {
    let header = |name: &str, header: &str, data: usize| {
        let bytes = safetensors(header, data);
        refused(name, move |_| bytes.clone())
    };
    let changed = |name: &str, pointer: &'static str, value: Value| {
        refused(name, move |bytes| {
            with_header(&bytes, |header| {
                if let Some(found) = header[NORM].pointer_mut(pointer) {
                    found.clone_from(&value);
                }
            })
        })
    };
    let tensor = |dtype: &str, shape: &str, from: &str, to: &str| {
        format!(
            "{{\"model.norm.weight\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}}}"
        )
    };
    vec![
        refused("a header of 2^64 − 1 bytes", |bytes| [&[255; 8], &bytes[8..]].concat()),
        refused("a header of 2^40 bytes", |bytes| [&(1_u64 << 40).to_le_bytes(), &bytes[8..]].concat()),
        refused("a header of no bytes", |bytes| [&[0; 8], &bytes[8..]].concat()),
        header("a header that is no JSON", "{", 0),
        header("a header that is a list", "[]", 0),
        header("a header of 100,000 lists", &format!("{{\"a\":{}}}", nested("[", "]", 100_000)), 0),
        header("no tensors", "{}", 0),
        header("a tensor without an end", &tensor("F32", "[32]", "0", "18446744073709551615"), 128),
        header("a tensor beyond the file", &tensor("F32", "[4294967296]", "0", "17179869184"), 128),
        header(
            "a shape above 2^64",
            &tensor("F32", "[18446744073709551615,18446744073709551615]", "0", "128"),
            128,
        ),
        header("a shape whose product wraps", &tensor("F32", "[4294967296,4294967296,32]", "0", "128"), 128),
        header("a negative length", &tensor("F32", "[-32]", "0", "128"), 128),
        header("a fraction for a length", &tensor("F32", "[32.5]", "0", "128"), 128),
        header("a tensor that ends before it begins", &tensor("F32", "[32]", "128", "0"), 128),
        header("a number that is no type", &tensor("Q3", "[32]", "0", "128"), 128),
        header(
            "a tensor twice",
            &format!(
                "{{{0},{0}}}",
                tensor("F32", "[32]", "0", "128").trim_matches(['{', '}']).to_owned() + "}"
            ),
            128,
        ),
        header(
            "a name with an escape sequence",
            &tensor("F32", "[32]", "0", "128").replace("model.norm", "\\u001b[31m\\u0007"),
            128,
        ),
        header(
            "a name of 200,000 letters",
            &tensor("F32", "[32]", "0", "128").replace("model.norm", &"n".repeat(200_000)),
            128,
        ),
        header(
            "100,000 dimensions of 1",
            &tensor("F32", &format!("[{}32]", "1,".repeat(100_000)), "0", "128"),
            128,
        ),
        changed("another shape", "/shape", json!([16, 2])),
        changed("whole numbers", "/dtype", json!("I32")),
        changed("booleans", "/dtype", json!("BOOL")),
        changed("half the precision", "/dtype", json!("F16")),
        changed("offsets that overlap", "/data_offsets", json!([0, 128])),
        refused("a tensor missing", |bytes| {
            with_header(&bytes, |header| drop(header.as_object_mut().map(|it| it.remove(NORM))))
        }),
        refused("a tensor under another name", |bytes| {
            with_header(&bytes, |header| {
                let tensor = header[NORM].take();
                header["model.norm.weigth"] = tensor;
                drop(header.as_object_mut().map(|it| it.remove(NORM)));
            })
        }),
    ]
}

/// Shards and the index that names them.
fn indexes() -> Vec<Row> {
    let index = |name: &str, text: String| {
        row(&format!("weights: index: {name}"), "generate")
            .with(WEIGHTS, Content::Gone)
            .put("model/model.safetensors.index.json", text)
            .refused(&[])
    };
    let names = |file: &str| json!({ "weight_map": { NORM: file } }).to_string();
    vec![
        index("not JSON", "{".to_owned()).refused(&["model.safetensors.index.json"]),
        index("a list", "[]".to_owned()).refused(&["model.safetensors.index.json"]),
        index("no map", "{}".to_owned()).refused(&["model.safetensors.index.json"]),
        index("an empty map", "{\"weight_map\":{}}".to_owned()),
        index("a number for a file", "{\"weight_map\":{\"a\":5}}".to_owned()).refused(&["model.safetensors.index.json"]),
        index("100,000 lists deep", nested("[", "]", 100_000)).refused(&["model.safetensors.index.json"]),
        index("a shard that is not there", names("model-00001-of-00002.safetensors")).refused(&["model-00001-of-00002"]),
        index("the passwords of the system", names("../../../../../../etc/passwd")),
        index("an absolute path", names("/etc/passwd")),
        index("a device", names("/dev/zero")),
        index("the directory itself", names(".")),
        index("an empty name", names("")),
        index("a name with an escape sequence", names("\u{1b}[31m\u{7}.safetensors")),
        index("a name with a zero byte", names("a\0b")),
        index("a shard beside the model", names("../others.safetensors")).with("others.safetensors", Content::Copy("reward/model.safetensors")),
        index("a pipe that nobody writes to", names("pipe.safetensors")).with("model/pipe.safetensors", Content::Fifo),
        index("100,000 shards", json!({ "weight_map": (0..100_000).map(|n| (format!("t{n}"), json!(format!("{n}.safetensors")))).collect::<serde_json::Map<_, _>>() }).to_string()),
    ]
}

/// Numbers that are none, in a file that is in order.
fn numbers() -> Vec<Row> {
    let numbers = |program: &'static str, name: &str, number: f32| {
        let weights = if program == "score" { "reward/model.safetensors" } else { WEIGHTS };
        row(&format!("weights: all {name}"), program)
            .edit(weights, move |bytes| filled(&bytes, number))
            .makes("out")
    };
    let mut rows = Vec::new();
    // Some look before the first step, and refuse the model; the others fail at work.
    for (program, code) in [
        ("generate", 1),
        ("evaluate", 1),
        ("score", 2),
        ("train-sft", 1),
        ("train-dpo", 2),
        ("train-reward", 2),
        ("train-ppo", 1),
    ] {
        rows.push(numbers(program, "NaN", f32::NAN).ends(&[code], &[]));
        rows.push(numbers(program, "infinite", f32::INFINITY).ends(&[code], &[]));
    }
    rows.push(numbers("generate", "zero", 0.0).accepted());
    rows.push(numbers("train-sft", "zero", 0.0).accepted());
    rows.push(numbers("generate", "the largest number", f32::MAX).ends(&[0, 1], &[]));
    rows.push(
        row_with("weights: all NaN, greedily", "generate", "--temperature 0")
            .edit(WEIGHTS, |bytes| filled(&bytes, f32::NAN))
            .failed(&[]),
    );
    rows.push(
        row_with("weights: a policy that is NaN, in several phases", "train-ppo", "--total-episodes 16")
            .edit(WEIGHTS, |bytes| filled(&bytes, f32::NAN))
            .failed(&[])
            .makes("out"),
    );
    rows
}
