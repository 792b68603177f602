//! Chat templates give the text that transformers gives.
//!
//! `tests/fixtures/templates` holds templates, conversations and what transformers makes of them. Any other
//! folder of templates, prepared with `python make.py DIR` there, is replayed with
//! `ALIGN_CHAT_TEMPLATES=DIR cargo test -p align-data --test chat_templates -- --nocapture`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;

use align_data::{ChatTemplate, Message, TemplateArguments, Tokenizer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    conversations: BTreeMap<String, Conversation>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Message>,
    #[serde(flatten)]
    arguments: TemplateArguments,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    add_generation_prompt: bool,
    text: Option<String>,
    error: Option<String>,
}

/// Every case that does not give transformers' text, or that fails where transformers does not.
fn differences(dir: &Path) -> (usize, Vec<String>) {
    let text = std::fs::read_to_string(dir.join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>"), ("pad_token", "<pad>")];
    let tokens: BTreeMap<_, _> = tokens.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let mut differences = Vec::new();
    for case in &expected.cases {
        let source = std::fs::read_to_string(dir.join(&case.template)).unwrap();
        let conversation = &expected.conversations[&case.conversation];
        let got =
            ChatTemplate::new(&source, tokens.clone()).map_err(|error| error.to_string()).and_then(|t| {
                t.render(&conversation.messages, case.add_generation_prompt, &conversation.arguments)
            });
        let same = match (&got, &case.text, &case.error) {
            (Ok(got), Some(text), _) => got == text,
            (Err(_), None, Some(_)) => true,
            _ => false,
        };
        if !same {
            let wanted = case.text.as_ref().or(case.error.as_ref());
            differences
                .push(format!("{} on {}: {got:?}\nwanted {wanted:?}", case.template, case.conversation));
        }
    }
    (expected.cases.len(), differences)
}

#[test]
fn rendered_text_is_transformers() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/templates");
    let (cases, differences) = differences(&dir);
    assert!(cases > 40);
    assert_eq!(differences, [] as [String; 0]);
}

#[test]
fn other_templates_give_transformers_text_too() {
    let Some(dir) = std::env::var_os("ALIGN_CHAT_TEMPLATES") else { return };
    let (cases, differences) = differences(Path::new(&dir));
    println!("{cases} cases, {} differ\n{}", differences.len(), differences.join("\n"));
    assert!(differences.is_empty());
}

#[test]
fn a_template_may_be_named_in_a_list_and_tools_have_their_own() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer/tokenizer.json");
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(fixture, dir.path().join("tokenizer.json")).unwrap();
    let config = r#"{"eos_token": "</s>", "chat_template": [
        {"name": "default", "template": "plain {{ messages[0].content }}{{ eos_token }}"},
        {"name": "tool_use", "template": "{{ tools | length }} tools"}]}"#;
    std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    let template = tokenizer.chat_template().unwrap();
    let messages = [Message::new("user", "a")];
    let mut arguments = TemplateArguments::default();
    assert_eq!(template.render(&messages, false, &arguments).unwrap(), "plain a</s>");
    arguments.tools = vec!["one".into()];
    assert_eq!(template.render(&messages, false, &arguments).unwrap(), "1 tools");
}
