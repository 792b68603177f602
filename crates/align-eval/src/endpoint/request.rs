//! One request to a chat endpoint, and what came of it.

use std::time::Duration;

use align_text::printable;
use serde_json::{Value, json};

use super::client::Turn;
use super::options::ChatOptions;
use super::retry::{is_worth_another, seconds};

/// The largest reply that is read, in bytes.
const LARGEST: u64 = 1 << 20;
/// Characters of a server's complaint that are repeated.
const SHOWN: usize = 200;

/// A request that brought no reply.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failed {
    /// What happened.
    pub(super) problem: String,
    /// Whether it may go better the next time.
    pub(super) is_worth_another: bool,
    /// How long the server wants to be left alone.
    pub(super) wait: Option<Duration>,
}

impl Failed {
    fn by_chance(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), is_worth_another: true, wait: None }
    }
}

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
pub(super) fn send(agent: &ureq::Agent, options: &ChatOptions, body: &str) -> Result<String, Failed> {
    let mut request = agent.post(options.url()).header("Content-Type", "application/json");
    if let Some(key) = &options.api_key {
        request = request.header("Authorization", format!("Bearer {key}"));
    }
    let failed = |error: ureq::Error| Failed::by_chance(options.without_key(&error.to_string()));
    let mut response = request.send(body).map_err(failed)?;
    let status = response.status().as_u16();
    let wait = response.headers().get("retry-after").and_then(|value| seconds(value.to_str().ok()?));
    let text = response.body_mut().with_config().limit(LARGEST).read_to_string();
    if status != 200 {
        let said = shown(&options.without_key(&text.unwrap_or_default()));
        let problem =
            if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        return Err(Failed { problem, is_worth_another: is_worth_another(status), wait });
    }
    let text = text.map_err(|error| Failed::by_chance(format!("the reply broke off: {error}")))?;
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

/// The beginning of a text in one line.
pub(super) fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => printable(&line[..end]) + "…",
        None => printable(&line),
    }
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
        assert_eq!(shown("a\n  b\u{7}"), "a b\\u{7}");
        assert_eq!(shown(&"é".repeat(300)).chars().count(), SHOWN + 1);
    }
}
