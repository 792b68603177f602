//! One request to a chat endpoint, and what its reply says.

use align_http::{Client, Failed, shown};
use serde_json::{Value, json};

use super::client::Turn;
use super::options::ChatOptions;

/// What is sent: the same question always in the same words, at temperature 0.
pub(super) fn body(options: &ChatOptions, turns: &[Turn]) -> String {
    json!({
        "model": options.model,
        "messages": turns,
        "temperature": 0,
        "max_tokens": options.max_tokens,
        "stream": false,
    })
    .to_string()
}

/// Sends it once.
pub(super) fn send(client: &Client, options: &ChatOptions, body: &str) -> Result<String, Failed> {
    let cleaned = |text: &str| options.without_key(text);
    let text = client.post(&options.url(), options.api_key.as_deref(), body, cleaned)?;
    content(&text).map(|said| options.without_key(&said)).ok_or_else(|| {
        Failed::by_chance(format!(
            "the reply is no chat completion (`choices[0].message.content`): {}",
            shown(&options.without_key(&text))
        ))
    })
}

/// What the model said.
fn content(text: &str) -> Option<String> {
    let reply: Value = serde_json::from_str(text).ok()?;
    Some(reply.get("choices")?.get(0)?.get("message")?.get("content")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_chat_completion_has_content() {
        assert_eq!(content(r#"{"choices":[{"message":{"content":"[[A]]"}}]}"#).as_deref(), Some("[[A]]"));
        for other in
            ["", "<html>", "{}", r#"{"choices":[]}"#, r#"{"choices":[{"message":{"content":null}}]}"#]
        {
            assert_eq!(content(other), None, "{other}");
        }
    }
}
