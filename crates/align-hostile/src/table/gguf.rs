//! GGUF files: what they may not be, and what may not be asked of them. Damage of headers is in align-gguf's own tests.

use super::row_with;
use crate::row::{Content, Row};

const FILE: &str = "model.gguf";
const SMALL: &[u8] = include_bytes!("../../../../fixtures/golden/gguf/sentencepiece.gguf");

pub(super) fn rows() -> Vec<Row> {
    let file = |name: &str, edit: fn(Vec<u8>) -> Vec<u8>, says: &str| {
        row_with(name, "generate", "--model model.gguf").put(FILE, edit(SMALL.to_vec())).refused(&[says])
    };
    vec![
        file("a GGUF file that is none", |_| b"{}".to_vec(), "model.gguf"),
        file("a GGUF file of nothing", |_| Vec::new(), "model.gguf"),
        file("a GGUF file that was cut off", |bytes| bytes[..50_000].to_vec(), "downloaded in full"),
        file(
            "a GGUF file without its last byte",
            |mut bytes| {
                // Behind the last tensor there may be padding.
                bytes.truncate(bytes.len() - 64);
                bytes
            },
            "downloaded in full",
        ),
        file(
            "a GGUF file of another architecture",
            |bytes| renamed(bytes, b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba"),
            "supported in GGUF files",
        ),
        file(
            "a GGUF file with another tensor",
            |bytes| renamed(bytes, b"output_norm.weight", b"outpux_norm.weight"),
            "outpux_norm.weight",
        ),
        file(
            "a GGUF file with a tokenizer of another kind",
            |bytes| renamed(bytes, b"tokenizer.ggml.model", b"tokenizer.ggml.modem"),
            "tokenizer.ggml.model",
        ),
        row_with("a GGUF file that is a directory", "generate", "--model model.gguf")
            .with(FILE, Content::Directory)
            .refused(&["config.json"]),
        row_with("a GGUF file that is a pipe", "generate", "--model model.gguf")
            .with(FILE, Content::Fifo)
            .refused(&["model.gguf"]),
        row_with("a GGUF file that is not there", "generate", "--model model.gguf").refused(&["model.gguf"]),
        row_with("a GGUF file as a reward model", "score", "--model model.gguf")
            .put(FILE, SMALL)
            .refused(&["model.gguf"]),
    ]
}

/// The bytes with a name in them replaced by another of its length.
fn renamed(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    if let Some(at) = bytes.windows(from.len()).position(|some| some == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}
