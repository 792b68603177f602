//! What tokenization promises for every row, on two kinds of tokenizers: byte-level, and one that marks word
//! starts (`▁`) and so sees a completion on its own differently from one in the middle of a text.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod directories;

use std::path::{Path, PathBuf};

use align_data::{
    Demonstration, DemonstrationBody, DropReason, LearnedPart, Message, Origin, PreferencePair, PromptOnly,
    TemplateArguments, Text, TokenizeOptions, Tokenizer, TruncationMode, tokenize_demonstrations,
    tokenize_pairs, tokenize_prompts,
};
use proptest::prelude::*;
use tempfile::TempDir;

const BOS: u32 = 1;
const EOS: u32 = 2;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer")
}

fn byte_level() -> Tokenizer {
    Tokenizer::load(fixture()).unwrap()
}

/// A tokenizer directory with other side files.
fn with_config(config: &str) -> (TempDir, Tokenizer) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(fixture().join("tokenizer.json"), dir.path().join("tokenizer.json")).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    (dir, tokenizer)
}

/// Characters as tokens, words begun by `▁`, as SentencePiece models have them; `re` + `d` merge.
fn word_marking() -> (TempDir, Tokenizer) {
    let characters =
        ('a'..='z').map(String::from).chain(["▁", ":", ".", "\n", "re", "red", "▁red"].map(String::from));
    let special = ["<pad>", "<s>", "</s>", "<unk>"].map(String::from);
    let vocab: serde_json::Map<_, _> =
        special.into_iter().chain(characters).enumerate().map(|(id, token)| (token, id.into())).collect();
    let added = |id: u32, content: &str| {
        serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let json = serde_json::json!({
        "version": "1.0",
        "added_tokens": [added(1, "<s>"), added(2, "</s>")],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
        "model": {"type": "BPE", "unk_token": "<unk>", "vocab": vocab,
            "merges": [["r", "e"], ["re", "d"], ["▁", "red"]]},
    });
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), r#"{"bos_token":"<s>","eos_token":"</s>"}"#)
        .unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    (dir, tokenizer)
}

fn pairs<T: Into<Text>>(rows: Vec<(T, T, T)>) -> Vec<PreferencePair> {
    let (mut prompts, mut chosen, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    for (p, c, r) in rows {
        prompts.push(p);
        chosen.push(c);
        rejected.push(r);
    }
    PreferencePair::from_lists(prompts, chosen, rejected).unwrap()
}

fn demonstration(body: DemonstrationBody) -> Demonstration {
    Demonstration { body, template: TemplateArguments::default(), origin: Origin::in_code(0) }
}

fn completions(completion_only_loss: Option<bool>) -> LearnedPart {
    LearnedPart { completion_only_loss, ..LearnedPart::default() }
}

fn options(max_length: usize, truncation_mode: TruncationMode) -> TokenizeOptions {
    TokenizeOptions { max_length: Some(max_length), truncation_mode, ..TokenizeOptions::default() }
}

#[test]
fn tokens_that_merge_across_the_boundary_are_repaired_and_counted() {
    let tokenizer = byte_level();
    let rows = pairs(vec![("Is it dry? ", "water it", "the sun"), ("Is it dry?", " water it", " the sun")]);
    let (pairs, report) = tokenize_pairs(&rows, &tokenizer, &TokenizeOptions::default()).unwrap();
    assert_eq!(report.repaired_boundaries, 1);
    assert_eq!(pairs[0].prompt, tokenizer.encode_with_special_tokens("Is it dry? ").unwrap());
    assert_eq!(tokenizer.decode(&pairs[0].chosen, false).unwrap(), "water it</s>");
}

#[test]
fn a_completion_inside_a_word_gets_no_word_start_mark() {
    let (_dir, tokenizer) = word_marking();
    let rows = pairs(vec![("the color is r", "ed", "ose")]);
    let (pairs, report) = tokenize_pairs(&rows, &tokenizer, &TokenizeOptions::default()).unwrap();
    assert_eq!(report.repaired_boundaries, 1);
    let whole = [pairs[0].prompt.clone(), pairs[0].chosen.clone()].concat();
    assert_eq!(tokenizer.decode(&whole, false).unwrap(), "the color is red</s>");
}

#[test]
fn a_million_bos_in_front_are_removed_at_once() {
    let (_dir, tokenizer) = with_config(r#"{"bos_token":"<s>","eos_token":"</s>","add_bos_token":false}"#);
    let text = "<s>".repeat(1_000_000) + "hi";
    let prompt = PromptOnly {
        prompt: Text::Plain(text),
        template: TemplateArguments::default(),
        origin: Origin::in_code(0),
    };
    let options =
        TokenizeOptions { max_length: None, add_bos_token: Some(true), ..TokenizeOptions::default() };
    let start = std::time::Instant::now();
    let (prompts, _) = tokenize_prompts(&[prompt], &tokenizer, &options).unwrap();
    let bos = tokenizer.bos().unwrap().id;
    assert_eq!(prompts[0].tokens.iter().filter(|id| **id == bos).count(), 1);
    // One by one it takes minutes.
    assert!(start.elapsed().as_secs() < 30, "took {:?}", start.elapsed());
}

#[test]
fn bos_is_the_tokenizers_business_unless_told_otherwise_and_never_doubled() {
    let rows = pairs(vec![("<s>a", "b", "c")]);
    let first = |tokenizer: &Tokenizer, add_bos_token| {
        let options = TokenizeOptions { add_bos_token, ..TokenizeOptions::default() };
        let (pairs, _) = tokenize_pairs(&rows, tokenizer, &options).unwrap();
        pairs[0].prompt.iter().filter(|&&id| id == BOS).count()
    };
    let (_dir, without) = with_config(r#"{"bos_token":"<s>","eos_token":"</s>","add_bos_token":false}"#);
    assert_eq!([None, Some(true), Some(false)].map(|add| first(&byte_level(), add)), [1, 1, 0]);
    assert_eq!([None, Some(true), Some(false)].map(|add| first(&without, add)), [1, 1, 0]);
    assert_eq!((byte_level().prefix(), without.prefix()), ([BOS].as_slice(), [].as_slice()));
    let (_dir, nameless) = with_config(r#"{"eos_token":"</s>"}"#);
    let options = TokenizeOptions { add_bos_token: Some(true), ..TokenizeOptions::default() };
    assert!(
        tokenize_pairs(&rows, &nameless, &options)
            .unwrap_err()
            .to_string()
            .starts_with("add_bos_token: needs")
    );
}

#[test]
fn eos_is_added_once_and_never_to_what_was_cut() {
    let tokenizer = byte_level();
    let rows = pairs(vec![("Q:", " yes", " no</s>"), ("Q:", " water it often and keep it dry", " no")]);
    let (pairs, report) =
        tokenize_pairs(&rows, &tokenizer, &options(room_for_a_word(&tokenizer), TruncationMode::KeepStart))
            .unwrap();
    let eos = |ids: &[u32]| ids.iter().filter(|&&id| id == EOS).count();
    let counts: Vec<_> = pairs.iter().map(|pair| (eos(&pair.chosen), eos(&pair.rejected))).collect();
    assert_eq!(counts, [(1, 1), (0, 1)]);
    assert_eq!(
        (report.truncated, report.completions, report.complete_completions, report.eos_in_mask),
        (1, 4, 3, 3)
    );
}

/// Room for `Q: yes` but not for a sentence.
fn room_for_a_word(tokenizer: &Tokenizer) -> usize {
    tokenizer.encode_with_special_tokens("Q: yes").unwrap().len() + 1
}

#[test]
fn a_template_that_ends_turns_with_another_special_token_is_left_alone_and_reported() {
    let config = r#"{"eos_token":"</s>","chat_template":
        "{% for m in messages %}{{ m.role }}:{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"}"#;
    let (_dir, tokenizer) = with_config(config);
    let turn = |role, text| vec![Message::new(role, text)];
    let rows = pairs(vec![(turn("user", "a"), turn("assistant", "b"), turn("assistant", "c"))]);
    let (pairs, report) = tokenize_pairs(&rows, &tokenizer, &TokenizeOptions::default()).unwrap();
    assert_eq!(tokenizer.decode(&pairs[0].chosen, false).unwrap(), "b<|im_end|>\n");
    assert_eq!((report.eos_in_mask, report.other_stop_in_mask), (0, 2));
}

#[test]
fn a_template_that_rewrites_the_prompt_is_an_error_that_shows_where() {
    let config = r#"{"eos_token":"</s>","chat_template":
        "{% for m in messages %}[{{ m.content }}]{% endfor %}{% if add_generation_prompt %}<think>{% endif %}"}"#;
    let (_dir, tokenizer) = with_config(config);
    let turn = |role, text| vec![Message::new(role, text)];
    let rows = pairs(vec![(turn("user", "a"), turn("assistant", "b"), turn("assistant", "c"))]);
    let error = tokenize_pairs(&rows, &tokenizer, &TokenizeOptions::default()).unwrap_err().to_string();
    assert!(error.starts_with("row 1: the chat template renders the prompt alone differently"), "{error}");
    assert!(error.contains(r#""<think>" becomes "[b]""#), "{error}");
}

#[test]
fn conversations_without_a_template_are_an_error() {
    let (_dir, tokenizer) = with_config(r#"{"eos_token":"</s>"}"#);
    let messages = vec![Message::new("user", "a"), Message::new("assistant", "b")];
    let rows = [demonstration(DemonstrationBody::Messages { messages })];
    let error =
        tokenize_demonstrations(&rows, &tokenizer, &TokenizeOptions::default(), &LearnedPart::default())
            .unwrap_err();
    assert!(error.to_string().contains("conversations need a chat template"), "{error}");
}

#[test]
fn rows_are_dropped_with_a_counted_reason() {
    let (_dir, tokenizer) = with_config(r#"{"eos_token":"</s>","add_bos_token":false}"#);
    let rows = pairs(vec![("", "b", "c"), ("a long prompt that fills it all", "b", "c"), ("a", "b", "c")]);
    let (kept, report) = tokenize_pairs(&rows, &tokenizer, &options(6, TruncationMode::KeepStart)).unwrap();
    assert_eq!((kept.len(), kept[0].row), (1, 2));
    let expected = [(DropReason::PromptFillsMaxLength, 1), (DropReason::EmptyPrompt, 1)];
    assert_eq!(report.dropped, expected.into());
    let error = tokenize_pairs(&rows[..1], &tokenizer, &TokenizeOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "none of the 1 rows is usable after tokenization: 1 × empty prompt");
}

#[test]
fn the_mask_covers_the_completion_or_everything() {
    let tokenizer = byte_level();
    let row =
        demonstration(DemonstrationBody::PromptCompletion { prompt: "Q:".into(), completion: " yes".into() });
    let masked = |only| {
        let rows = std::slice::from_ref(&row);
        let (rows, report) =
            tokenize_demonstrations(rows, &tokenizer, &TokenizeOptions::default(), &completions(only))
                .unwrap();
        let learned = rows[0].mask.iter().filter(|&&learned| learned).count();
        assert_eq!(learned, report.supervised_tokens);
        (rows[0].tokens.len() - learned, rows[0].mask.last().copied())
    };
    let prompt = tokenizer.encode_with_special_tokens("Q:").unwrap().len();
    assert_eq!(
        [None, Some(true), Some(false)].map(masked),
        [(prompt, Some(true)), (prompt, Some(true)), (0, Some(true))]
    );
}

#[test]
fn what_is_about_prompts_and_completions_is_refused_where_rows_are_not_divided() {
    let (tokenizer, usual) = (byte_level(), TokenizeOptions::default());
    let of_prompts = TokenizeOptions { max_prompt_length: Some(4), ..usual.clone() };
    let of_completions = TokenizeOptions { max_completion_length: Some(4), ..usual.clone() };
    let text = [demonstration(DemonstrationBody::Text { text: "a text".to_owned() })];
    for (options, only, field) in [
        (&usual, Some(true), "completion_only_loss"),
        (&of_prompts, None, "max_prompt_length"),
        (&of_completions, None, "max_completion_length"),
    ] {
        let error =
            tokenize_demonstrations(&text, &tokenizer, options, &completions(only)).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{field}: needs `prompt` and `completion` columns, which ")),
            "{error}"
        );
    }
    assert!(tokenize_demonstrations(&text, &tokenizer, &usual, &completions(Some(false))).is_ok());
}

#[test]
fn prompts_keep_their_end_and_their_bos() {
    let tokenizer = byte_level();
    let prompt = PromptOnly {
        prompt: "How do I keep bread fresh?".into(),
        template: TemplateArguments::default(),
        origin: Origin::in_code(0),
    };
    let options = TokenizeOptions { max_prompt_length: Some(4), ..TokenizeOptions::default() };
    let (prompts, report) = tokenize_prompts(std::slice::from_ref(&prompt), &tokenizer, &options).unwrap();
    let whole = tokenizer.encode("How do I keep bread fresh?").unwrap();
    assert_eq!(prompts[0].tokens, [&[BOS], &whole[whole.len() - 3..]].concat());
    assert_eq!(report.truncated, 1);
}

fn plain() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z :.\n]{1,30}", "\\PC{1,12}", "(Question: |Answer:| water| the| dry|\n\n){1,8}"]
}

proptest! {
    #[test]
    fn no_token_crosses_the_boundary_and_nothing_is_lost(prompt in plain(), chosen in plain(), rejected in plain()) {
        let tokenizer = byte_level();
        let rows = pairs(vec![(prompt.clone(), chosen.clone(), rejected.clone())]);
        let (pairs, _) = tokenize_pairs(&rows, &tokenizer, &TokenizeOptions::default()).unwrap();
        let text = |ids: &[u32]| tokenizer.decode(ids, false).unwrap();
        prop_assert_eq!(text(&pairs[0].prompt), format!("<s>{prompt}"));
        prop_assert_eq!(text(&pairs[0].chosen), format!("{chosen}</s>"));
        prop_assert_eq!(text(&pairs[0].rejected), format!("{rejected}</s>"));
        prop_assert_eq!(&pairs[0].prompt, &tokenizer.encode_with_special_tokens(&prompt).unwrap());
    }

    #[test]
    fn word_marking_tokenizers_lose_nothing_either(
        prompt in "[a-z]{1,4}( [a-z]{1,4}){0,3}[: \n]?", chosen in "[ \n]?(red|[a-z]){1,5}( [a-z]{1,4}){0,3}",
    ) {
        let (_dir, tokenizer) = word_marking();
        let rows = pairs(vec![(prompt.clone(), chosen.clone(), chosen.clone())]);
        let (pairs, _) = tokenize_pairs(&rows, &tokenizer, &TokenizeOptions::default()).unwrap();
        let whole = [pairs[0].prompt.clone(), pairs[0].chosen.clone()].concat();
        prop_assert_eq!(tokenizer.decode(&whole, false).unwrap(), format!("{prompt}{chosen}</s>"));
        prop_assert_eq!(&pairs[0].prompt, &tokenizer.encode(&prompt).unwrap());
    }

    #[test]
    fn masks_are_as_long_as_their_tokens_and_rows_fit(
        prompt in plain(), completion in plain(), max in 2..40usize, keep_end: bool, only: Option<bool>,
    ) {
        let tokenizer = byte_level();
        let mode = if keep_end { TruncationMode::KeepEnd } else { TruncationMode::KeepStart };
        let body = DemonstrationBody::PromptCompletion { prompt: prompt.into(), completion: completion.into() };
        if let Ok((rows, report)) = tokenize_demonstrations(&[demonstration(body)], &tokenizer, &options(max, mode), &completions(only)) {
            prop_assert_eq!(rows[0].tokens.len(), rows[0].mask.len());
            prop_assert!(rows[0].tokens.len() <= max);
            prop_assert!(rows[0].mask[1..].contains(&true));
            prop_assert_eq!(report.tokens, rows[0].tokens.len());
        }
    }

    #[test]
    fn keep_end_leaves_one_prompt_for_both_answers(
        prompt in plain(), chosen in plain(), rejected in plain(), max in 3..40usize,
    ) {
        let tokenizer = byte_level();
        let whole = tokenizer.encode(&prompt).unwrap();
        let rows = pairs(vec![(prompt, chosen, rejected)]);
        let (pairs, _) = tokenize_pairs(&rows, &tokenizer, &options(max, TruncationMode::KeepEnd)).unwrap();
        let kept = pairs[0].prompt.strip_prefix(&[BOS]).unwrap_or(&pairs[0].prompt);
        prop_assert!(whole.ends_with(kept));
        prop_assert!(pairs[0].prompt.len() + pairs[0].chosen.len().max(pairs[0].rejected.len()) <= max);
    }
}
