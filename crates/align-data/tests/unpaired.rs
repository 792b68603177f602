//! Labelled answers from file to token ids: what is read, what bad rows are called, what tokenization promises.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use align_data::{
    DropReason, Loaded, Message, Origin, Result, TemplateArguments, Text, TokenizeOptions, TokenizeReport,
    TokenizedCompletion, Tokenizer, TruncationMode, UnpairedPreference, load_unpaired, tokenize_unpaired,
};
use proptest::prelude::*;

const EOS: u32 = 2;

fn load(lines: &[&str]) -> Result<Loaded<UnpairedPreference>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f.jsonl"), lines.join("\n")).unwrap();
    load_unpaired(dir.path().join("f.jsonl"), "train")
}

/// Each record as `line: prompt completion label`.
fn shown(lines: &[&str]) -> Vec<String> {
    let show = |row: &UnpairedPreference| {
        let (prompt, completion) = (plain(&row.prompt), plain(&row.completion));
        format!("{}: {prompt} {completion} {}", row.origin.line(), row.label)
    };
    load(lines).unwrap().iter().map(show).collect()
}

fn plain(text: &Text) -> &str {
    match text {
        Text::Plain(text) => text,
        Text::Messages(messages) => messages[0].content.as_deref().unwrap(),
    }
}

const LABELLED: &str = r#"{"prompt":"p","completion":"c","label":true}"#;
const PAIR: &str = r#"{"prompt":"q","chosen":"good","rejected":"bad"}"#;

#[test]
fn labels_are_booleans_or_one_and_zero() {
    let [yes, no] = ["1", "0"].map(|label| format!(r#"{{"prompt":"p","completion":"c","label":{label}}}"#));
    let no_label = r#"{"prompt":"p","completion":"d","label":false,"chosen":null}"#;
    assert_eq!(
        shown(&[LABELLED, no_label, &yes, &no]),
        ["1: p c true", "2: p d false", "3: p c true", "4: p c false"]
    );
}

#[test]
fn answers_may_be_messages_and_bring_template_arguments() {
    let row = r#"{"prompt":[{"role":"user","content":"u"}],"completion":[{"role":"assistant","content":"a"}],
        "label":false,"tools":"[{\"name\":\"t\"}]","score":3}"#
        .replace('\n', "");
    let rows = load(&[&row]).unwrap();
    assert_eq!(rows[0].prompt, vec![Message::new("user", "u")].into());
    assert_eq!(rows[0].completion, vec![Message::new("assistant", "a")].into());
    assert_eq!((rows[0].label, rows[0].template.tools.len()), (false, 1));
}

#[test]
fn pairs_become_all_chosen_answers_and_then_all_rejected_ones() {
    let transcripts =
        r#"{"chosen":"\n\nHuman: a\n\nAssistant: yes","rejected":"\n\nHuman: a\n\nAssistant: no"}"#;
    let labelled_pair = r#"{"prompt":"r","chosen":"c","rejected":"d","label":1}"#;
    assert_eq!(
        shown(&[PAIR, transcripts, labelled_pair]),
        [
            "1: q good true",
            "2: \n\nHuman: a\n\nAssistant:  yes true",
            "3: r c true",
            "1: q bad false",
            "2: \n\nHuman: a\n\nAssistant:  no false",
            "3: r d false",
        ]
    );
}

#[test]
fn bad_rows_are_named_by_line_and_column() {
    let check = |rows: &[&str], expected: &str| {
        let error = load(rows).unwrap_err().to_string();
        let dir = error.find("f.jsonl").map(|at| error[..at].to_owned()).unwrap();
        assert_eq!(error.replace(&dir, ""), expected);
    };
    let label = |value: &str| format!(r#"{{"prompt":"p","completion":"c","label":{value}}}"#);
    for (value, found) in [
        (r#""true""#, "the string `true`"),
        ("2", "the number `2`"),
        ("-1", "the number `-1`"),
        ("0.5", "the number `0.5`"),
        ("null", "null"),
    ] {
        check(
            &[LABELLED, &label(value)],
            &format!("f.jsonl:2: `label`: expected `true` or `false` (or 1 or 0), found {found}"),
        );
    }
    check(
        &[r#"{"prompt":"p","completion":"c","labels":true}"#],
        "f.jsonl:1: `label`: expected a column of this name, found only `prompt`, `completion`, `labels` \
         (is `labels` meant?)",
    );
    check(
        &[r#"{"prompt":"p","label":true}"#],
        "f.jsonl:1: `completion`: expected a column of this name, found only `prompt`, `label`",
    );
    check(
        &[r#"{"prompt":"p","answer":"a"}"#],
        "f.jsonl:1: `completion`: expected `prompt`, `completion` and `label`, or `chosen` and `rejected`, \
         found only `prompt`, `answer`",
    );
    check(
        &[r#"{"prompt":"p","completion":"","label":true}"#],
        "f.jsonl:1: `completion`: expected text, found nothing: it is empty; correct or remove the row",
    );
    check(
        &[
            r#"{"prompt":[{"role":"user","content":"p"}],"completion":[{"role":"user","content":"a"}],"label":1}"#,
        ],
        "f.jsonl:1: `completion`: expected an answer that begins with a message of role `assistant`, found `user`",
    );
    check(
        &[r#"{"prompt":"p","rejected":"r","label":false}"#],
        "f.jsonl:1: `chosen`: expected a column of this name, found only `prompt`, `rejected`, `label`",
    );
}

#[test]
fn a_data_set_holds_rows_of_one_kind() {
    let check = |rows: &[&str], expected: &str| {
        let error = load(rows).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&[LABELLED, PAIR], "f.jsonl:2: `chosen`: expected `prompt`, `completion` and `label`, as in ");
    check(&[LABELLED, PAIR], "f.jsonl:1, found `chosen` and `rejected`; a data set holds rows of one kind");
    check(&[PAIR, PAIR, LABELLED], "f.jsonl:3: `completion`: expected `chosen` and `rejected`, as in ");
    check(
        &[r#"{"prompt":"p","completion":"c","label":true,"chosen":"c","rejected":"r"}"#],
        "f.jsonl:1: `chosen`: expected `prompt`, `completion` and `label`, or `chosen` and `rejected`, found columns \
         of both",
    );
}

fn tokenizer() -> Tokenizer {
    Tokenizer::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer")).unwrap()
}

fn record(prompt: impl Into<Text>, completion: impl Into<Text>, label: bool) -> UnpairedPreference {
    let (prompt, completion) = (prompt.into(), completion.into());
    let (template, origin) = (TemplateArguments::default(), Origin::in_code(0));
    UnpairedPreference { prompt, completion, label, template, origin }
}

fn tokenize(
    records: &[UnpairedPreference],
    options: &TokenizeOptions,
) -> (Vec<TokenizedCompletion>, TokenizeReport) {
    tokenize_unpaired(records, &tokenizer(), options).unwrap()
}

fn up_to(max_length: usize, truncation_mode: TruncationMode) -> TokenizeOptions {
    TokenizeOptions { max_length: Some(max_length), truncation_mode, ..TokenizeOptions::default() }
}

#[test]
fn answers_follow_their_prompts_own_tokens_and_end_with_eos() {
    let records = [record("Is it dry? ", "water it", true), record("Q:", " yes</s>", false)];
    let (rows, report) = tokenize(&records, &TokenizeOptions::default());
    let text = |ids: &[u32]| tokenizer().decode(ids, false).unwrap();
    assert_eq!(rows[0].prompt, tokenizer().encode_with_special_tokens("Is it dry? ").unwrap());
    assert_eq!((text(&rows[0].completion).as_str(), rows[0].desirable), ("water it</s>", true));
    assert_eq!((text(&rows[1].completion).as_str(), rows[1].desirable), (" yes</s>", false));
    assert_eq!((report.repaired_boundaries, report.completions, report.eos_in_mask), (1, 2, 2));
    assert_eq!(report.tokens, rows.iter().map(TokenizedCompletion::token_count).sum::<usize>());
}

#[test]
fn conversations_go_through_the_chat_template() {
    let turn = |role, text| vec![Message::new(role, text)];
    let (rows, _) = tokenize(
        &[record(turn("user", "Hi"), turn("assistant", "Hello."), false)],
        &TokenizeOptions::default(),
    );
    let text = |ids: &[u32]| tokenizer().decode(ids, false).unwrap();
    assert_eq!(text(&rows[0].prompt), "<|im_start|>user\nHi</s>\n<|im_start|>assistant\n");
    assert_eq!(text(&rows[0].completion), "Hello.</s>\n");
}

#[test]
fn rows_without_room_or_without_a_prompt_are_dropped_with_a_counted_reason() {
    let records =
        [record("", "b", true), record("a long prompt that fills it all", "b", true), record("a", "b", true)];
    let no_bos = TokenizeOptions { add_bos_token: Some(false), ..up_to(6, TruncationMode::KeepStart) };
    let (rows, report) = tokenize(&records, &no_bos);
    assert_eq!((rows.len(), rows[0].row), (1, 2));
    assert_eq!(report.dropped, [(DropReason::PromptFillsMaxLength, 1), (DropReason::EmptyPrompt, 1)].into());
}

#[test]
fn behind_another_prompt_a_completion_has_the_length_that_fits_there() {
    let records = [record("a b c d e f", " water it and keep it dry", true), record("a", " no", false)];
    let (rows, report) = tokenize(&records, &up_to(12, TruncationMode::KeepStart));
    let whole = [tokenizer().encode(" water it and keep it dry").unwrap(), vec![EOS]].concat();
    let (long, short) = (&rows[0], &rows[1]);
    assert_eq!((long.token_count(), report.truncated), (12, 1));
    assert_eq!([&long.completion[..], &long.cut_off].concat(), whole);
    assert!(!long.cut_off.is_empty() && short.cut_off.is_empty());
    let there = long.completion_after(&short.prompt, Some(12));
    assert!(there.len() > long.completion.len() && there.len() == whole.len().min(12 - short.prompt.len()));
    assert!(whole.starts_with(&there));
    assert_eq!(long.completion_after(&short.prompt, None), whole);
    assert_eq!(short.completion_after(&long.prompt, Some(12)), short.completion);
    assert_eq!(short.completion_after(&long.prompt, Some(long.prompt.len() + 1)).len(), 1);
}

#[test]
fn what_max_completion_length_cuts_stays_cut() {
    let options = TokenizeOptions { max_completion_length: Some(3), ..up_to(64, TruncationMode::KeepStart) };
    let (rows, _) = tokenize(&[record("a", " water it and keep it dry", true)], &options);
    assert_eq!((rows[0].completion.len(), rows[0].cut_off.len()), (3, 0));
}

proptest! {
    #[test]
    fn rows_fit_and_nothing_is_lost(
        prompt in "[a-z :.\n]{1,30}", completion in "[a-z :.\n]{1,30}", max in 3..40usize, keep_end: bool,
    ) {
        let mode = if keep_end { TruncationMode::KeepEnd } else { TruncationMode::KeepStart };
        let records = [record(prompt.clone(), completion.clone(), true)];
        if let Ok((rows, report)) = tokenize_unpaired(&records, &tokenizer(), &up_to(max, mode)) {
            let row = &rows[0];
            let whole = [&row.completion[..], &row.cut_off].concat();
            prop_assert_eq!(tokenizer().decode(&whole, false).unwrap(), format!("{completion}</s>"));
            prop_assert!(row.token_count() <= max && !row.prompt.is_empty() && !row.completion.is_empty());
            prop_assert_eq!(row.completion.contains(&EOS), row.cut_off.is_empty());
            prop_assert_eq!(&row.completion_after(&row.prompt, Some(max)), &row.completion);
            prop_assert_eq!(report.complete_completions, usize::from(row.cut_off.is_empty()));
        }
    }
}
