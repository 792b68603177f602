//! Evaluation sets as people left them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use align_data::{JudgedPairs, Text, Vote, load_judged_pairs};
use serde_json::{Value, json};

fn load(rows: &Value) -> Result<JudgedPairs, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pairs.json");
    std::fs::write(&path, rows.to_string()).unwrap();
    load_judged_pairs(&path, "test", "subset").map_err(|error| error.to_string())
}

fn shown(text: &Text) -> &str {
    match text {
        Text::Plain(text) => text,
        Text::Messages(turns) => turns[0].content.as_deref().unwrap(),
    }
}

#[test]
fn three_annotators_booleans_ties_and_holes() {
    let row = |response: Value, votes: [Value; 3]| {
        let [one, two, three] = votes;
        json!({ "instruction": "Is it so?", "input": "", "response1": response, "response2": "No.",
                "annotator1": one, "annotator2": two, "annotator3": three, "subset": "truth" })
    };
    let found = load(&json!([
        row(json!(true), [json!(2), json!(0), json!(2)]),
        row(json!("Yes."), [json!(1), json!(2), json!(0)]),
        row(json!(""), [json!(1), json!(1), json!(1)]),
        row(json!(null), [json!(1), json!(1), json!(1)]),
        row(json!("Yes."), [json!(1), json!(null), json!("tie")]),
        row(json!("Yes."), [json!(7), json!(1), json!(1)]),
    ]))
    .unwrap();
    let summary: Vec<_> = found
        .pairs
        .iter()
        .map(|pair| (shown(&pair.answers.completions[0]), pair.majority(), pair.votes.len()))
        .collect();
    assert_eq!(summary, [("true", Vote::Second, 3), ("Yes.", Vote::Tie, 3), ("Yes.", Vote::First, 2)]);
    assert_eq!(shown(&found.pairs[0].answers.prompt), "Is it so?");
    assert_eq!(found.pairs[0].subset.as_deref(), Some("truth"));
    let left_out: Vec<_> = found.left_out.iter().map(|it| (it.reason.as_str(), it.rows)).collect();
    assert_eq!(
        (found.rows, left_out),
        (
            6,
            vec![
                ("`response1`: expected an answer", 2),
                ("`annotator1`: expected 1 (the first), 2 (the second) or 0 (a tie), or such a word", 1)
            ]
        )
    );
    assert!(found.left_out[0].first.contains("expected an answer, found nothing: it is empty"));
}

#[test]
fn pairs_in_the_usual_columns_and_with_a_score_between_one_and_two() {
    let found = load(&json!([
        { "prompt": "p", "chosen": "good", "rejected": "bad", "subset": "chat" },
        { "prompt": "p", "chosen": "good", "rejected": "" },
        { "instruction": "q", "output_1": "a", "output_2": "b", "preference": 1.9 },
        { "prompt": "q", "response_a": "a", "response_b": "b", "winner": "model_a" },
    ]))
    .unwrap();
    let votes: Vec<_> = found.pairs.iter().map(|pair| pair.majority()).collect();
    assert_eq!(votes, [Vote::First, Vote::Second, Vote::First]);
    assert_eq!((found.left_out.len(), found.left_out[0].reason.as_str()), (1, "`rejected`: expected text"));
}

#[test]
fn answers_quoted_in_requests_to_a_grader_are_taken_out() {
    let request = |answer: &str| {
        format!(
            "###Task Description:\nGrade.\n\n###The instruction to evaluate:\nWhy?\n\n###Response to evaluate:\n{answer}\n\n\
             ###Score Rubrics:\n[Is it kind?]\n\n###Feedback: "
        )
    };
    let found = load(&json!([{ "source": "honest", "chosen_instruction": request("Because.\n\nReally."),
                               "rejected_instruction": request("No.") }]))
    .unwrap();
    let answers: Vec<_> = found.pairs[0].answers.completions.iter().map(shown).collect();
    assert_eq!(
        (shown(&found.pairs[0].answers.prompt), answers),
        ("Why?", vec!["Because.\n\nReally.", "No."])
    );
}

#[test]
fn a_file_without_a_usable_row_is_refused_with_the_first_reason() {
    let error = load(&json!([{ "instruction": "q", "response1": "a", "response2": "b" }])).unwrap_err();
    assert!(error.contains(":1: `preference`: expected who is better"), "{error}");
}

#[test]
fn lists_of_right_and_wrong_answers_are_pairs_in_which_each_has_its_turn() {
    let places = |rows: Value| {
        let pairs = load(&rows).unwrap().pairs;
        let place = |pair: &align_data::JudgedPair| {
            let place = pair.place.clone().unwrap();
            (shown(&pair.answers.completions[0]).to_owned(), place.chosen, place.rejected)
        };
        pairs.iter().map(place).collect::<Vec<_>>()
    };
    let best =
        json!([{ "id": "7", "prompt": "p", "chosen": ["a"], "rejected": ["b", "c", "d"], "subset": "Math" }]);
    let of = |answer: &str, chosen, rejected| (answer.to_owned(), chosen, rejected);
    assert_eq!(places(best.clone()), (0..3).map(|wrong| of("a", (0, 1), (wrong, 3))).collect::<Vec<_>>());
    let pairs = load(&best).unwrap().pairs;
    assert_eq!(pairs[0].subset.as_deref(), Some("Math"));
    assert!(matches!(&pairs[0].answers.prompt, Text::Messages(turns) if turns[0].role == "user"));
    let ties = json!([{ "prompt": "p", "chosen": ["a", "b", "c"], "rejected": ["d", "e"] }]);
    let expected = [of("a", (0, 3), (0, 2)), of("b", (1, 3), (1, 2)), of("c", (2, 3), (0, 2))];
    assert_eq!(places(ties), expected);
    let styles =
        json!([{ "prompt": "p", "chosen": ["a", "b", "c"], "rejected": ["d", "e", "f"], "domain": "chat" }]);
    assert_eq!(places(styles.clone()).len(), 9);
    assert_eq!(load(&styles).unwrap().pairs[0].subset.as_deref(), Some("chat"));
    let conversations = json!([{ "chosen": [{ "role": "user", "content": "q" }, { "role": "assistant", "content": "a" }],
                                 "rejected": [{ "role": "user", "content": "q" }, { "role": "assistant", "content": "b" }] }]);
    assert_eq!(load(&conversations).unwrap().pairs[0].place, None);
}
