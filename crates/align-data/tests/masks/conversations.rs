//! Random conversations.

use align_data::{LearnedPart, Message, Tokenizer};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{conversation, marked, runs, tokenized, unlimited, unmarked, with_template};

/// A text that merges with what is around it, or looks like it.
fn content() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ \n]{0,2}[a-zé語🎉 .\n]{0,12}[ \n]{0,2}",
        Just("\n\nassistant\nyes".to_owned()),
        Just("water it. \n".to_owned()),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let called = content().prop_map(|text| {
        let call = serde_json::json!([{ "type": "function", "function": { "name": "f", "arguments": { "é": text } } }]);
        let mut message = Message::new("assistant", text);
        message.extra.insert("tool_calls".to_owned(), call);
        message
    });
    let plain = (prop_oneof![Just("user"), Just("assistant"), Just("tool")], content())
        .prop_map(|(role, text)| Message::new(role, text));
    prop_oneof![4 => plain, 1 => called]
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let system = proptest::option::of(content().prop_map(|text| Message::new("system", text)));
    (system, proptest::collection::vec(message(), 1..9))
        .prop_map(|(system, turns)| system.into_iter().chain(turns).collect())
}

/// What the templates above write of a conversation, with the parts that are the assistant's own.
fn expected(messages: &[Message], is_marked: bool) -> Vec<(String, bool)> {
    let mut parts: Vec<(String, bool)> = Vec::new();
    let mut add = |text: String, is_learned: bool| match parts.last_mut() {
        Some((before, learned)) if *learned == is_learned => before.push_str(&text),
        _ => parts.push((text, is_learned)),
    };
    for (at, message) in messages.iter().enumerate() {
        let text = message.content.as_deref().unwrap();
        let is_tool =
            |at: Option<usize>| at.and_then(|at| messages.get(at)).is_some_and(|m| m.role == "tool");
        match message.role.as_str() {
            "tool" => {
                let begin = if is_tool(at.checked_sub(1)) { "" } else { "<|im_start|>user" };
                let end = if is_tool(Some(at + 1)) { "" } else { "<|im_end|>\n" };
                add(format!("{begin}\n<result>{text}</result>{end}"), false);
            }
            "assistant" => {
                add("<|im_start|>assistant\n".to_owned(), false);
                let call = message.extra.get("tool_calls").map(|calls| {
                    let arguments = &calls[0]["function"]["arguments"];
                    format!("<call>{{\"name\": \"f\", \"arguments\": {{\"é\": {}}}}}</call>", arguments["é"])
                });
                let (inside, outside) = if is_marked { ("", "\n") } else { ("\n", "") };
                add(format!("{text}{}<|im_end|>{inside}", call.unwrap_or_default()), true);
                add(outside.to_owned(), false);
            }
            role => add(format!("<|im_start|>{role}\n{text}<|im_end|>\n"), false),
        }
    }
    parts.retain(|(text, _)| !text.is_empty());
    parts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// No token outside a turn of the assistant's is learned, and every one in it with the token that ends it.
    #[test]
    fn a_random_conversation_is_learned_where_the_assistant_speaks(messages in messages(), is_marked: bool) {
        thread_local! {
            static TOKENIZERS: [(TempDir, Tokenizer); 2] = [with_template(&unmarked()), with_template(&marked())];
        }
        TOKENIZERS.with(|tokenizers| {
            let tokenizer = &tokenizers[usize::from(is_marked)].1;
            let expected = expected(&messages, is_marked);
            let has_reply = messages.iter().any(|message| message.role == "assistant");
            match tokenized(tokenizer, conversation(messages), &unlimited(), &LearnedPart::default()) {
                Ok((row, _)) => prop_assert_eq!(runs(tokenizer, &row), expected),
                Err(error) => prop_assert!(!has_reply && error.contains("no token to learn"), "{}", error),
            }
            Ok(())
        })?;
    }
}
