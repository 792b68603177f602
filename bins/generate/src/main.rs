//! Completions of prompts, on the terminal or as JSONL.
fn main() {}
