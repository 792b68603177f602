//! Preferences that are votes, grades and scores.

use align_data::{SourceReport, load_pairs, load_prompts, load_rankings};
use serde_json::json;

use super::{complaint, file, preferred, user};

#[test]
fn rows_without_a_preference_are_left_out_and_counted_by_reason() {
    let voted =
        |winner: &str| json!({ "prompt": "p", "response_a": "c", "response_b": "r", "winner": winner });
    let (_dir, path) = file(&[voted("tie"), voted("model_a"), voted("tie (bothbad)"), voted("model_b")]);
    let pairs = load_pairs(&path, "train").unwrap();
    let SourceReport { rows, used, left_out, bad, .. } = &pairs.report;
    assert_eq!((*rows, *used, *bad, pairs.len()), (4, 2, 0, 2));
    assert_eq!((left_out[0].reason.as_str(), left_out[0].rows), ("no preference: the vote is a tie", 2));
    assert!(left_out[0].first.ends_with("rows.jsonl:1: no preference: the vote is a tie"), "{left_out:?}");
    let shown = pairs.report.to_string();
    let expected = "read 2 rows as two answers and votes (`winner`, `response_a`, `response_b`, `prompt`)\n2 of 4 rows left out";
    assert!(shown.starts_with(expected), "{shown}");
    assert!(complaint(&[voted("tie")]).contains("the vote is a tie"));
}

#[test]
fn responses_to_equal_prompts_are_ordered_by_their_grades() {
    let row = |prompt: &str, response: &str, helpfulness: usize| json!({ "prompt": prompt, "response": response, "helpfulness": helpfulness, "verbosity": 1 });
    let rows = [
        row("p", "r", 1),
        row("p", "c", 3),
        row("q", "a", 2),
        row("q", "b", 2),
        row("alone", "x", 4),
        row("p", "r", 0),
        row("p", "x", 2),
        row("p", "c", 4),
    ];
    let (_dir, path) = file(&rows);
    let pairs = load_pairs(&path, "train").unwrap();
    let expected = preferred(&[user("p")]);
    assert_eq!(serde_json::to_value(&*pairs).unwrap(), json!([expected, expected]));
    assert_eq!((pairs.report.rows, pairs.report.used), (8, 5));
    assert_eq!(pairs.report.left_out[0].rows, 3);
    let rankings = load_rankings(&path, "train", "source").unwrap();
    assert_eq!(rankings[1].answers.completions.len(), 3);
    let prompts = load_prompts(&path, "train").unwrap();
    assert_eq!(prompts.len(), 8);
}

#[test]
fn scores_are_a_margin_where_one_is_taken_and_named_elsewhere() {
    let row = |chosen: f64| json!({ "prompt": "p", "chosen": "c", "rejected": "r", "score_chosen": chosen, "score_rejected": 1.5 });
    let (_dir, path) = file(&[row(4.0), row(1.5)]);
    let margins: Vec<_> =
        load_rankings(&path, "train", "source").unwrap().iter().map(|row| row.margin).collect();
    assert_eq!(margins, [Some(2.5), Some(0.0)]);
    let pairs = load_pairs(&path, "train").unwrap();
    let unused: Vec<_> = pairs.report.unused_columns.iter().collect();
    assert_eq!(unused, ["score_chosen", "score_rejected"]);
    assert!(pairs.report.to_string().ends_with("not read: `score_chosen`, `score_rejected`"));
    let (_dir, path) = file(&[row(1.0)]);
    let error = load_rankings(&path, "train", "source").unwrap_err().to_string();
    assert!(error.contains("`score_chosen`: expected a score that is not below `score_rejected`"), "{error}");
}
