//! What would be learned wrongly without a word.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use align_data::{
    LearnedPart, TokenizeOptions, Tokenizer, load_demonstrations, load_judged_pairs, load_pairs,
    load_prompts, stream_candidates, tokenize_demonstrations,
};
use serde_json::{Value, json};
use tempfile::TempDir;

fn file(rows: impl IntoIterator<Item = Value>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    std::fs::write(&path, rows.into_iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    (dir, path)
}

fn votes(votes: impl Iterator<Item = Value>) -> Result<usize, String> {
    let row =
        |vote: Value| json!({ "prompt": "Q", "response_a": "a", "response_b": "b", "preference": vote });
    let (_dir, path) = file(votes.map(row));
    load_pairs(&path, "train").map(|loaded| loaded.len()).map_err(|error| error.to_string())
}

#[test]
fn votes_of_zero_and_one_alone_may_stand_for_the_two_answers() {
    let of = |first: usize, tie: usize, second: usize| {
        let numbers = [(1, first), (0, tie), (2, second)];
        numbers.into_iter().flat_map(|(vote, rows)| std::iter::repeat_n(json!(vote), rows))
    };
    let problem = votes(of(15, 15, 0)).unwrap_err();
    assert!(problem.contains("rows.jsonl:16") && problem.contains("0 and 1 alone"), "{problem}");
    assert_eq!(votes(of(15, 15, 1)), Ok(16));
    assert_eq!(votes(of(30, 0, 0)), Ok(30));
    assert_eq!(votes(of(3, 2, 0)), Ok(3), "a few rows may be as they are");
    let words = ["a", "tie"].into_iter().flat_map(|vote| std::iter::repeat_n(json!(vote), 15));
    assert_eq!(votes(words), Ok(15));
}

fn demonstrations(row: Value) -> Result<usize, String> {
    let (_dir, path) = file([row]);
    load_demonstrations(&path, "train").map(|loaded| loaded.len()).map_err(|error| error.to_string())
}

#[test]
fn conversations_whose_answers_are_all_empty_are_no_demonstrations() {
    let user = json!({ "role": "user", "content": "Q" });
    let with = |answers: &[Value]| {
        let turns = answers.iter().flat_map(|answer| [user.clone(), answer.clone()]);
        demonstrations(json!({ "messages": turns.collect::<Vec<_>>() }))
    };
    let answer = |content: Value| json!({ "role": "assistant", "content": content });
    for nothing in [json!(""), json!(" \n"), Value::Null] {
        let problem = with(&[answer(nothing.clone())]).unwrap_err();
        assert!(problem.contains("`messages`") && problem.contains("empty ones alone"), "{problem}");
        assert_eq!(with(&[answer(nothing), answer(json!("Yes."))]), Ok(1));
    }
    let calls = json!({ "role": "assistant", "content": null, "tool_calls": [{ "type": "function", "function": { "name": "f", "arguments": {} } }] });
    assert_eq!(with(&[calls]), Ok(1));
}

/// How many tokens there are, and how many of them are learned.
fn learned(row: Value, part: &LearnedPart) -> Result<(usize, usize), String> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models/tiny-chat");
    let (_dir, path) = file([row]);
    let rows = load_demonstrations(&path, "train").unwrap();
    let tokenizer = Tokenizer::load(&model).unwrap();
    let options = TokenizeOptions { max_length: None, ..TokenizeOptions::default() };
    let (rows, _) =
        tokenize_demonstrations(&rows, &tokenizer, &options, part).map_err(|error| error.to_string())?;
    Ok((rows[0].tokens.len(), rows[0].mask.iter().filter(|learned| **learned).count()))
}

#[test]
fn all_turns_are_all_turns() {
    let turn = |role: &str| json!({ "role": role, "content": "Yes." });
    let [user, assistant] = ["user", "assistant"].map(turn);
    let several = json!({ "prompt": [user], "completion": [assistant, user, assistant] });
    let everything = LearnedPart { completion_only_loss: Some(false), ..LearnedPart::default() };
    let (tokens, all) = learned(several.clone(), &everything).unwrap();
    let (_, some) = learned(several, &LearnedPart::default()).unwrap();
    assert!(all == tokens && some < tokens, "{all} and {some} of {tokens}");

    let mut silent = user.clone();
    silent["weight"] = 0.into();
    let turns = LearnedPart { assistant_only_loss: Some(false), ..LearnedPart::default() };
    let problem = learned(json!({ "messages": [silent, assistant] }), &turns).unwrap_err();
    assert!(problem.contains("turn 1: its weight of 0"), "{problem}");
    let (tokens, all) = learned(json!({ "messages": [user, assistant] }), &turns).unwrap();
    assert_eq!(tokens, all);
}

/// What reading says of rows of the columns that pairs have.
fn pairs(rows: impl IntoIterator<Item = Value>) -> Result<usize, String> {
    let (_dir, path) = file(rows);
    load_pairs(&path, "train").map(|loaded| loaded.len()).map_err(|error| error.to_string())
}

#[test]
fn a_system_turn_in_some_rows_makes_two_formats_of_string_prompts() {
    let row = |prompt: Value, system: Value| json!({ "prompt": prompt, "chosen": "a", "rejected": "b", "system": system });
    let problem = pairs([row("p".into(), Value::Null), row("q".into(), "Rhyme.".into())]).unwrap_err();
    assert!(problem.contains("rows.jsonl:2: its `system` makes a conversation"), "{problem}");
    assert!(problem.contains("rows.jsonl:1 has none"), "{problem}");
    assert_eq!(pairs([row("p".into(), "Sing.".into()), row("q".into(), "Rhyme.".into())]), Ok(2));
    assert_eq!(pairs([row("p".into(), "".into()), row("q".into(), Value::Null)]), Ok(2));
    let turns = json!([{ "role": "user", "content": "p" }]);
    assert_eq!(pairs([row(turns, Value::Null), row("q".into(), "Rhyme.".into())]), Ok(2));
    let (_dir, path) = file([json!({ "prompt": "p" }), json!({ "prompt": "p", "system": "s" })]);
    assert!(load_prompts(&path, "train").is_err());
}

#[test]
fn responses_in_another_setting_answer_another_prompt() {
    let row = |system: &str, response: &str, grade: Value| json!({ "prompt": "p", "system": system, "response": response, "helpfulness": grade });
    let rows = [("a", "x", 1), ("a", "y", 2), ("b", "z", 3), ("b", "w", 4)];
    let loaded = pairs(rows.map(|(system, response, grade)| row(system, response, grade.into())));
    assert_eq!(loaded, Ok(2));
    let problem = pairs([row("a", "x", 1.into()), row("a", "y", Value::Null)]).unwrap_err();
    assert!(problem.contains("a number, found none in an object"), "{problem}");
}

#[test]
fn answers_of_equal_grade_are_all_scored() {
    let graded = json!({ "prompt": "p", "generations": ["a", "b", "c"], "ratings": [2, 2, 1] });
    let tie = json!({ "prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie" });
    let (_dir, path) = file([graded, tie]);
    let rows = stream_candidates(&path.into(), "train", "answer").unwrap();
    let counts: Vec<usize> = rows.map(|row| row.unwrap().0.completions.len()).collect();
    assert_eq!(counts, [3, 2]);
}

#[test]
fn votes_of_zero_and_one_are_doubted_in_evaluation_too() {
    let row =
        |vote: usize| json!({ "prompt": "Q", "response_a": "a", "response_b": "b", "preference": vote });
    let (_dir, path) = file((0..30).map(|number| row(number % 2)));
    let problem = load_judged_pairs(&path, "train", "subset").unwrap_err().to_string();
    assert!(problem.contains("0 and 1 alone"), "{problem}");
}

#[test]
fn conversations_without_an_answer_count_among_those_that_cannot_be_used() {
    let problem =
        learned(json!({ "messages": [{ "role": "user", "content": "a" }] }), &LearnedPart::default())
            .unwrap_err();
    assert!(
        problem.contains("rows.jsonl:1: no token to learn: the assistant has no turn in it"),
        "{problem}"
    );
}
