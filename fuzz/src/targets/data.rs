//! Data files, and conversations on their way to token ids.

use std::cell::OnceCell;
use std::path::Path;

use align_data::{DataError, Dataset, LearnedPart, TokenizeOptions, Tokenizer};
use serde_json::{Value, json};

use crate::{Scratch, bounded};

fn said<T>(result: Result<T, DataError>) -> Option<T> {
    result.map_err(bounded).ok()
}

/// A data file as every program reads it.
pub(crate) fn rows(bytes: &[u8], scratch: &Scratch) {
    let path = scratch.file("rows.jsonl", bytes);
    said(align_data::load_pairs(&path, "train"));
    let lenient = || Dataset { max_bad_rows: 1.0, ..Dataset::from(&path) };
    if let Some(rows) = said(align_data::load_pairs(lenient(), "train")) {
        assert!(rows.report.used <= rows.report.rows && rows.report.to_string().len() < 100_000);
    }
    said(align_data::load_demonstrations(lenient(), "train"));
    said(align_data::load_pairs_with_reference(&path, "train"));
    said(align_data::load_unpaired(&path, "train"));
    said(align_data::load_rankings(&path, "train", "source"));
    said(align_data::load_demonstrations(&path, "train"));
    said(align_data::load_tasks(&path, "train", "reference"));
    said(align_data::load_judged_pairs(&path, "train", "subset"));
    if let Some(rows) = said(align_data::stream_candidates(&path.as_path().into(), "train", "reference")) {
        rows.for_each(|row| drop(said(row)));
    }
}

/// A Parquet file. What is drawn seldom has a footer that leads anywhere; bytes of whole files that are changed have.
pub(crate) fn parquet(bytes: &[u8], scratch: &Scratch) {
    let path = scratch.file("rows.parquet", bytes);
    said(align_data::load_pairs(&path, "train"));
    said(align_data::load_demonstrations(&path, "train[-50%:]"));
}

/// A table of commas, and the same of tabs.
pub(crate) fn table(bytes: &[u8], scratch: &Scratch) {
    said(align_data::load_demonstrations(scratch.file("rows.csv", bytes), "train"));
    said(align_data::load_pairs(scratch.file("rows.tsv", bytes), "train[1:]"));
}

/// The card of a data set.
pub(crate) fn card(bytes: &[u8], _: &Scratch) {
    let files = ["data/train-00000-of-00001.parquet", "b/test.jsonl", "c.csv"].map(str::to_owned);
    let text = String::from_utf8_lossy(bytes);
    for config in [None, Some("a")] {
        if let Ok(layout) = align_data::Layout::new(&files, Some(&text), config).map_err(bounded) {
            layout.splits().for_each(|split| drop(layout.files(split).map_err(bounded)));
        }
    }
}

/// gzip, zstd or plain.
pub(crate) fn packed(bytes: &[u8], scratch: &Scratch) {
    let path = scratch.file("rows", bytes);
    said(align_data::load_prompts(&path, "train"));
}

/// Two whole transcripts, `\0` between them: what is split off as the prompt is what they share.
pub(crate) fn transcripts(bytes: &[u8], scratch: &Scratch) {
    let text = String::from_utf8_lossy(bytes);
    let (chosen, rejected) = text.split_once('\0').unwrap_or((&text, ""));
    let row = json!({"chosen": chosen, "rejected": rejected}).to_string();
    let path = scratch.file("transcripts.jsonl", row.as_bytes());
    let Some(pairs) = said(align_data::load_pairs(&path, "train")) else { return };
    let plain = |text: &align_data::Text| match text {
        align_data::Text::Plain(text) => text.clone(),
        align_data::Text::Messages(_) => panic!("texts have become messages"),
    };
    for pair in pairs {
        let prompt = plain(&pair.prompt);
        assert_eq!(prompt.clone() + &plain(&pair.chosen), chosen);
        assert_eq!(prompt + &plain(&pair.rejected), rejected);
    }
}

/// A conversation (JSON) as the prompt of a pair, to token ids.
pub(crate) fn conversations(bytes: &[u8], scratch: &Scratch) {
    thread_local! {
        static TOKENIZER: OnceCell<Tokenizer> = const { OnceCell::new() };
    }
    let Ok(prompt) = serde_json::from_slice::<Value>(bytes) else { return };
    let answer = |text: &str| match &prompt {
        Value::String(_) => json!(text),
        _ => json!([{"role": "assistant", "content": text}]),
    };
    let row = json!({"prompt": prompt, "chosen": answer("yes </s>"), "rejected": answer("no")}).to_string();
    let path = scratch.file("conversation.jsonl", row.as_bytes());
    let Some(pairs) = said(align_data::load_pairs(&path, "train")) else { return };
    TOKENIZER.with(|cell| {
        let tokenizer = cell.get_or_init(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            Tokenizer::load(root.join("crates/align-data/tests/fixtures/tokenizer"))
                .expect("the fixture is whole")
        });
        let options = TokenizeOptions { max_length: Some(64), ..TokenizeOptions::default() };
        said(align_data::tokenize_pairs(&pairs, tokenizer, &options));
        let row = json!({"messages": prompt}).to_string();
        let path = scratch.file("demonstration.jsonl", row.as_bytes());
        let Some(rows) = said(align_data::load_demonstrations(&path, "train")) else { return };
        let learned = LearnedPart::default();
        let rows = said(align_data::tokenize_demonstrations(&rows, tokenizer, &options, &learned));
        for (row, _) in rows.into_iter().flat_map(|(rows, report)| rows.into_iter().zip([report])) {
            assert!(row.tokens.len() == row.mask.len() && row.mask[1..].contains(&true));
        }
    });
}
