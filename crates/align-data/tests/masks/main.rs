//! Which tokens of a conversation are learned.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod conversations;
mod reasoning;
mod recorded;

use std::path::{Path, PathBuf};

use align_data::{
    Demonstration, DemonstrationBody, LearnedPart, Message, Origin, TemplateArguments, TokenizeOptions,
    TokenizeReport, TokenizedExample, Tokenizer, TruncationMode, tokenize_demonstrations,
};
use tempfile::TempDir;

/// `ChatML` with tool calls and with tool results in the user's place, as Qwen's template has them.
const MARKED: &str = include_str!("../fixtures/masks/chatml.jinja");

fn marked() -> String {
    MARKED.to_owned()
}

fn unmarked() -> String {
    MARKED.replace("endgeneration", "endif").replace("generation %}", "if true %}")
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer")
}

fn with_template(template: &str) -> (TempDir, Tokenizer) {
    with_files(&fixture(), template)
}

/// The tokenizer of a directory with another template.
fn with_files(tokenizer: &Path, template: &str) -> (TempDir, Tokenizer) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(tokenizer.join(name), dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("chat_template.jinja"), template).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    (dir, tokenizer)
}

fn conversation(messages: Vec<Message>) -> Demonstration {
    let body = DemonstrationBody::Messages { messages };
    Demonstration { body, template: TemplateArguments::default(), origin: Origin::in_code(0) }
}

fn tokenized(
    tokenizer: &Tokenizer,
    row: Demonstration,
    options: &TokenizeOptions,
    learned: &LearnedPart,
) -> Result<(TokenizedExample, TokenizeReport), String> {
    let (mut rows, report) =
        tokenize_demonstrations(&[row], tokenizer, options, learned).map_err(|error| error.to_string())?;
    Ok((rows.remove(0), report))
}

fn unlimited() -> TokenizeOptions {
    TokenizeOptions { max_length: None, ..TokenizeOptions::default() }
}

/// The texts of the learned tokens, run by run.
fn learned(tokenizer: &Tokenizer, row: &TokenizedExample) -> Vec<String> {
    runs(tokenizer, row).into_iter().filter_map(|(text, is_learned)| is_learned.then_some(text)).collect()
}

fn runs(tokenizer: &Tokenizer, row: &TokenizedExample) -> Vec<(String, bool)> {
    let mut begin = 0;
    let run = |run: &[bool]| {
        let ids = &row.tokens[begin..begin + run.len()];
        begin += run.len();
        (tokenizer.decode(ids, false).unwrap(), run[0])
    };
    row.mask.chunk_by(|a, b| a == b).map(run).collect()
}

fn turns(texts: &[(&str, &str)]) -> Vec<Message> {
    texts.iter().map(|(role, text)| Message::new(*role, *text)).collect()
}

const CHAT: &[(&str, &str)] =
    &[("system", "s"), ("user", "a"), ("assistant", "b"), ("tool", "t"), ("assistant", "c"), ("user", "d")];

#[test]
fn the_assistants_turns_are_learned_with_their_ends() {
    for (template, end) in [(marked(), ""), (unmarked(), "\n")] {
        let (_dir, tokenizer) = with_template(&template);
        let row = |part: &LearnedPart| {
            tokenized(&tokenizer, conversation(turns(CHAT)), &unlimited(), part).unwrap()
        };
        let (example, report) = row(&LearnedPart::default());
        assert_eq!(learned(&tokenizer, &example), [format!("b<|im_end|>{end}"), format!("c<|im_end|>{end}")]);
        assert_eq!((report.completions, report.complete_completions, report.other_stop_in_mask), (2, 2, 2));
        assert_eq!(report.supervised_tokens, example.mask.iter().filter(|&&learned| learned).count());
        assert_eq!(report.turns_by_marks + report.turns_by_rendering, 1);
        assert!(report.to_string().contains("of 1 conversations the assistant's turns are learned"));
        let last = LearnedPart { last_turn_only: true, ..LearnedPart::default() };
        assert_eq!(learned(&tokenizer, &row(&last).0), [format!("c<|im_end|>{end}")]);
        let all = LearnedPart { assistant_only_loss: Some(false), ..LearnedPart::default() };
        assert!(row(&all).0.mask.iter().all(|&learned| learned));
    }
}

#[test]
fn a_completion_of_several_turns_is_learned_without_the_tools() {
    let (_dir, tokenizer) = with_template(&unmarked());
    let row = |part: &LearnedPart| {
        let body = DemonstrationBody::PromptCompletion {
            prompt: turns(&CHAT[..4]).into(),
            completion: turns(&[("assistant", "x"), ("tool", "y"), ("assistant", "z")]).into(),
        };
        let row = Demonstration { body, ..conversation(Vec::new()) };
        learned(&tokenizer, &tokenized(&tokenizer, row, &unlimited(), part).unwrap().0)
    };
    assert_eq!(row(&LearnedPart::default()), ["x<|im_end|>\n", "z<|im_end|>\n"]);
    let prompt_too = LearnedPart {
        completion_only_loss: Some(false),
        assistant_only_loss: Some(true),
        ..LearnedPart::default()
    };
    assert_eq!(row(&prompt_too), ["b<|im_end|>\n", "x<|im_end|>\n", "z<|im_end|>\n"]);
    let last = LearnedPart { last_turn_only: true, ..LearnedPart::default() };
    assert_eq!(row(&last), ["z<|im_end|>\n"]);
    let whole = LearnedPart { assistant_only_loss: Some(false), ..LearnedPart::default() };
    assert_eq!(row(&whole).len(), 1);
}

#[test]
fn turns_of_no_weight_are_not_learned() {
    let (_dir, tokenizer) = with_template(&unmarked());
    let row = |weight: serde_json::Value| {
        let mut messages = turns(CHAT);
        messages[2].extra.insert("weight".to_owned(), weight);
        let row = tokenized(&tokenizer, conversation(messages), &unlimited(), &LearnedPart::default());
        row.map(|(row, _)| learned(&tokenizer, &row).len())
    };
    assert_eq!([0.into(), 1.into(), false.into()].map(|weight| row(weight).unwrap()), [1, 2, 1]);
    let error = row(0.5.into()).unwrap_err();
    assert_eq!(error, "row 1: turn 3: `weight`: expected 0 or 1, found 0.5");
}

#[test]
fn a_cut_turn_keeps_its_place_and_loses_its_end() {
    let (_dir, tokenizer) = with_template(&marked());
    let (whole, _) =
        tokenized(&tokenizer, conversation(turns(CHAT)), &unlimited(), &LearnedPart::default()).unwrap();
    for truncation_mode in [TruncationMode::KeepStart, TruncationMode::KeepEnd] {
        for max in 2..whole.tokens.len() {
            let options =
                TokenizeOptions { max_length: Some(max), truncation_mode, ..TokenizeOptions::default() };
            let row = tokenized(&tokenizer, conversation(turns(CHAT)), &options, &LearnedPart::default());
            let expected = match truncation_mode {
                TruncationMode::KeepEnd => {
                    (&whole.tokens[whole.tokens.len() - max..], &whole.mask[whole.tokens.len() - max..])
                }
                _ => (&whole.tokens[..max], &whole.mask[..max]),
            };
            match row {
                Ok((row, report)) => {
                    assert_eq!((row.tokens.as_slice(), row.mask.as_slice()), expected);
                    assert!(report.complete_completions <= report.completions);
                }
                Err(error) => {
                    assert!(
                        !expected.1[1..].contains(&true) && error.contains("no token to learn"),
                        "{error}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_template_that_writes_earlier_turns_otherwise_is_refused_with_the_turn() {
    // Reasoning is left out once another turn follows.
    let template = "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' and not loop.last %}\
                    {{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}\
                    {% if add_generation_prompt %}[assistant]{% endif %}";
    let (_dir, tokenizer) = with_template(template);
    let messages =
        || turns(&[("user", "a"), ("assistant", "<think>b</think>c"), ("user", "d"), ("assistant", "e")]);
    let row = |part: &LearnedPart| tokenized(&tokenizer, conversation(messages()), &unlimited(), part);
    let error = row(&LearnedPart::default()).unwrap_err();
    assert!(
        error.starts_with("row 1: turn 2: the chat template writes the turns up to it otherwise"),
        "{error}"
    );
    assert!(error.contains(r#""<think>b</think>c<|im_end|>" becomes "c<|im_end|>"#), "{error}");
    let last = LearnedPart { last_turn_only: true, ..LearnedPart::default() };
    assert_eq!(learned(&tokenizer, &row(&last).unwrap().0), ["e<|im_end|>"]);
    assert!(row(&LearnedPart { assistant_only_loss: Some(false), ..LearnedPart::default() }).is_ok());
}

#[test]
fn marks_that_say_nothing_are_not_believed() {
    // Around all turns: the assistant's are told apart by rendering.
    let everywhere = "{% for m in messages %}[{{ m.role }}]{% generation %}{{ m.content }}</s>{% endgeneration %}{% endfor %}\
                      {% if add_generation_prompt %}[assistant]{% endif %}";
    let (_dir, tokenizer) = with_template(everywhere);
    let row = |tokenizer: &Tokenizer, part: &LearnedPart| {
        tokenized(tokenizer, conversation(turns(&CHAT[..5])), &unlimited(), part)
    };
    let (example, report) = row(&tokenizer, &LearnedPart::default()).unwrap();
    assert_eq!(
        (learned(&tokenizer, &example), report.turns_by_rendering),
        (vec!["b</s>".into(), "c</s>".into()], 1)
    );
    // Around a text that is changed afterwards.
    let changed = "{% for m in messages %}{% set x %}{% if m.role == 'assistant' %}{% generation %} {{ m.content }} \
                   {% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endset %}{{ x | trim }}{% endfor %}";
    let (_dir, tokenizer) = with_template(changed);
    let error = row(&tokenizer, &LearnedPart::default()).unwrap_err();
    assert!(error.contains("its `generation` marks enclose text that it changes afterwards"), "{error}");
    // In two parts for a turn: which belong to the last cannot be told.
    let twice =
        marked().replace("{{ '<|im_end|>' }}", "{% endgeneration %}{% generation %}{{ '<|im_end|>' }}");
    let (_dir, tokenizer) = with_template(&twice);
    assert!(row(&tokenizer, &LearnedPart::default()).is_ok());
    let last = LearnedPart { last_turn_only: true, ..LearnedPart::default() };
    let error = row(&tokenizer, &last).unwrap_err();
    assert!(error.contains("marks 4 parts as generated in 2 turns of the assistant"), "{error}");
}

#[test]
fn tokens_that_merge_across_the_end_of_a_turn_are_encoded_apart() {
    let body = "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}\
                {% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ '\\n' }}{% endfor %}\
                {% if add_generation_prompt %}assistant: {% endif %}";
    let messages =
        || turns(&[("user", "dry? "), ("assistant", "water it"), ("user", "so? "), ("assistant", "the sun")]);
    for template in [body.to_owned(), body.replace("{% generation %}", "").replace("{% endgeneration %}", "")]
    {
        let (_dir, tokenizer) = with_template(&template);
        let (row, report) =
            tokenized(&tokenizer, conversation(messages()), &unlimited(), &LearnedPart::default()).unwrap();
        assert_eq!(report.repaired_boundaries, 1);
        let whole: String = runs(&tokenizer, &row).into_iter().map(|(text, _)| text).collect();
        assert_eq!(whole, "user: dry? \nassistant: water it\nuser: so? \nassistant: the sun\n</s>");
        let own: Vec<_> = learned(&tokenizer, &row).iter().map(|text| text.trim().to_owned()).collect();
        assert!(own[0] == "water it" && own[1].starts_with("the sun"), "{own:?}");
    }
}

#[test]
fn options_about_turns_are_refused_for_plain_text() {
    let (_dir, tokenizer) = with_template(&marked());
    let text = || Demonstration {
        body: DemonstrationBody::Text { text: "a text".to_owned() },
        ..conversation(Vec::new())
    };
    for (part, field) in [
        (LearnedPart { assistant_only_loss: Some(true), ..LearnedPart::default() }, "assistant_only_loss"),
        (LearnedPart { last_turn_only: true, ..LearnedPart::default() }, "last_turn_only"),
    ] {
        let error = tokenized(&tokenizer, text(), &unlimited(), &part).unwrap_err();
        assert!(error.starts_with(&format!("{field}: needs conversations")), "{error}");
    }
    assert!(tokenized(&tokenizer, text(), &unlimited(), &LearnedPart::default()).is_ok());
}

#[test]
fn the_last_turn_is_learned_with_the_eos_that_its_template_lacks() {
    let (_dir, tokenizer) = with_template(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
    );
    let row = |messages: &[(&str, &str)]| {
        let row = conversation(turns(messages));
        runs(&tokenizer, &tokenized(&tokenizer, row, &unlimited(), &LearnedPart::default()).unwrap().0)
    };
    let own = |text: &str, is_learned| (text.to_owned(), is_learned);
    assert_eq!(row(&CHAT[1..3]), [own("user: a\nassistant: ", false), own("b\n</s>", true)]);
    let with_another = [("assistant", "b"), ("user", "c")];
    assert_eq!(
        row(&with_another),
        [own("assistant: ", false), own("b\n", true), own("user: c\n</s>", false)]
    );
}
