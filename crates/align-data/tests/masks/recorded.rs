//! Masks that transformers made.

use std::path::PathBuf;

use align_data::{LearnedPart, Message};

use crate::{conversation, fixture, tokenized, unlimited, with_files};

/// The directory of recorded masks: the fixtures', or another that `make.py` wrote, with its own tokenizer.
fn recorded() -> (PathBuf, PathBuf) {
    match std::env::var_os("ALIGN_GOLDEN_MASKS") {
        Some(dir) => (dir.clone().into(), dir.into()),
        None => (fixture().with_file_name("masks"), fixture()),
    }
}

#[test]
fn masks_are_those_of_transformers_where_templates_mark_the_assistants_turns() {
    let (dir, tokenizer) = recorded();
    let cases = std::fs::read_to_string(dir.join("expected.jsonl")).unwrap();
    let (mut equal, mut repaired) = (0, 0);
    for case in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(case).unwrap();
        let name = case["template"].as_str().unwrap();
        let template = std::fs::read_to_string(dir.join(name).with_extension("jinja")).unwrap();
        let (_dir, tokenizer) = with_files(&tokenizer, &template);
        let messages: Vec<Message> = serde_json::from_value(case["messages"].clone()).unwrap();
        let mut row = conversation(messages);
        row.template.tools = serde_json::from_value(case["tools"].clone()).unwrap_or_default();
        let numbers = |key: &str| -> Vec<u32> { serde_json::from_value(case[key].clone()).unwrap() };
        let result = tokenized(&tokenizer, row, &unlimited(), &LearnedPart::default());
        let (row, report) = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(report.turns_by_marks, 1, "{name}");
        if report.repaired_boundaries > 0 {
            // There the tokens across the end of a turn are learned or not as a whole.
            repaired += 1;
            continue;
        }
        let mut mask = numbers("assistant_masks");
        let mut ids = numbers("input_ids");
        if ids.len() + 1 == row.tokens.len() {
            // A text without a token to stop at gets one.
            ids.push(tokenizer.eos_id().unwrap());
            mask.push(u32::from(*row.mask.last().unwrap()));
        }
        assert_eq!(row.tokens, ids, "{name}");
        assert_eq!(row.mask.iter().map(|&learned| u32::from(learned)).collect::<Vec<_>>(), mask, "{name}");
        equal += 1;
    }
    println!("{equal} masks equal transformers', {repaired} rows have tokens across the end of a turn");
    assert!(equal > 4);
}
