//! The one program: words that are no command, and places where its examples cannot be unpacked.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    let align = |name: &str, words: &str| Row::new(format!("align: {name}"), "align", words);
    vec![
        align("a command that there is not", "dop").refused(&["dop", "dpo"]),
        align("an option for a command", "--beta 1").refused(&["--beta"]),
        align("another program's command", "kto --model model").refused(&["align dpo --loss-type kto"]),
        align("a command of 100,000 letters", "").word("x".repeat(100_000)).refused(&[]),
        align("an escape sequence for a command", "").word("\u{1b}[31m\u{7}").refused(&[]),
        align("a command that is not Unicode", "").word(OsString::from_vec(b"d\xff".to_vec())).refused(&[]),
        align("an empty command", "").word("").refused(&[]),
        align("help of no command", "help nothing").refused(&["nothing"]),
        align("completions for no shell", "completions tcsh").refused(&["tcsh"]),
        align("completions for nobody", "completions").refused(&["SHELL"]),
        align("a file for the cache", "sft --dry-run")
            .variable("XDG_CACHE_HOME", "sft.jsonl")
            .refused(&["sft.jsonl"]),
        align("a method that there is not", "grpo --method nonsense").refused(&["--method"]),
        align("a model without data", "dpo --model model").refused(&["--dataset-name"]),
    ]
}
