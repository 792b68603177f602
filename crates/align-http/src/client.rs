//! One request, and what came of it.

use std::time::Duration;

use align_text::printable;

use crate::retry::{is_worth_another, seconds};

/// Characters of a server's complaint that are repeated.
const SHOWN: usize = 200;

/// Sends requests, each within the same time.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    largest: u64,
}

/// A request that brought no reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// What happened.
    pub problem: String,
    /// Whether it may go better the next time.
    pub is_worth_another: bool,
    /// How long the server wants to be left alone.
    pub wait: Option<Duration>,
}

impl Failed {
    /// What may go better the next time.
    pub fn by_chance(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), is_worth_another: true, wait: None }
    }
}

impl Client {
    /// A client that waits for a reply no longer than `timeout` and reads at most `largest` bytes of it. Makes no
    /// connection yet, and follows nobody elsewhere.
    pub fn new(timeout: Duration, largest: u64) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(timeout))
            .build();
        Self { agent: config.into(), largest }
    }

    /// The reply to `body`, which is JSON, with the key as a bearer token if there is one. Of texts that errors repeat
    /// `cleaned` takes out what must not be shown.
    ///
    /// # Errors
    /// A server that cannot be reached, another status than 200, a reply that breaks off or is too long.
    pub fn post(
        &self,
        url: &str,
        key: Option<&str>,
        body: &str,
        cleaned: impl Fn(&str) -> String,
    ) -> Result<String, Failed> {
        let mut request = self.agent.post(url).header("Content-Type", "application/json");
        if let Some(key) = key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let failed = |error: ureq::Error| Failed::by_chance(cleaned(&error.to_string()));
        let mut response = request.send(body).map_err(failed)?;
        let status = response.status().as_u16();
        let wait = response.headers().get("retry-after").and_then(|value| seconds(value.to_str().ok()?));
        let text = response.body_mut().with_config().limit(self.largest).read_to_string();
        if status != 200 {
            let said = shown(&cleaned(&text.unwrap_or_default()));
            let problem =
                if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
            return Err(Failed { problem, is_worth_another: is_worth_another(status), wait });
        }
        text.map_err(|error| Failed::by_chance(format!("the reply broke off: {error}")))
    }
}

/// The beginning of a text in one line.
pub fn shown(text: &str) -> String {
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
    fn a_text_is_shown_in_one_short_line() {
        assert_eq!(shown("a\n  b\u{7}"), "a b\\u{7}");
        assert_eq!(shown(&"é".repeat(300)).chars().count(), SHOWN + 1);
    }
}
