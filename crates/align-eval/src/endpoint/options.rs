//! Where an endpoint is and how patiently it is asked, checked before anything is asked.

use std::fmt;
use std::time::Duration;

use align_http::{BadAddress, check_address, is_sendable};

use super::client::EndpointError;
use super::secret::masked;

/// The longest wait that can be asked for, twelve days: beyond it clocks overflow.
pub(super) const LONGEST: Duration = Duration::from_secs(1_000_000);
/// A key of fewer characters is a placeholder (`EMPTY`), and a word that replies may hold.
const SHORTEST_SECRET: usize = 6;

/// Where the endpoint is and how patiently it is asked.
#[derive(Clone)]
pub struct ChatOptions {
    /// Address with its version, such as `http://localhost:8000/v1`.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// Sent as a bearer token; never shown or stored.
    pub api_key: Option<String>,
    /// Longest wait for one reply, at most 1,000,000 s.
    pub timeout: Duration,
    /// How often one question is sent before it is given up; at least 1.
    pub attempts: u32,
    /// Wait after the first failed attempt, at most 1,000,000 s; it doubles with each.
    pub first_wait: Duration,
    /// Questions underway at the same time; at least 1.
    pub concurrency: usize,
    /// Most tokens of a reply.
    pub max_tokens: usize,
}

impl ChatOptions {
    /// Refuses settings without meaning.
    ///
    /// # Errors
    /// Names the setting. A password or a key is not repeated.
    pub fn check(&self) -> Result<(), EndpointError> {
        let refuse = |problem: String| Err(EndpointError::Options(problem));
        self.check_address()?;
        if self.model.is_empty() {
            return refuse("the endpoint's model has no name".to_owned());
        }
        if self.attempts == 0 || self.concurrency == 0 {
            return refuse("attempts and concurrency of an endpoint must be at least 1".to_owned());
        }
        if self.timeout > LONGEST || self.first_wait > LONGEST || self.timeout.is_zero() {
            return refuse(format!(
                "waits for an endpoint must be above 0 and at most {} s",
                LONGEST.as_secs()
            ));
        }
        match &self.api_key {
            Some(key) if key.is_empty() => refuse("the endpoint's key is empty".to_owned()),
            Some(key) if !is_sendable(key) => refuse(
                "the endpoint's key cannot be sent: it has a line break or a letter that is not of ASCII, which no key has"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    fn check_address(&self) -> Result<(), EndpointError> {
        let url = &self.base_url;
        check_address(url)
            .and_then(|()| match url.contains(['?', '#']) {
                false => Ok(()),
                true => {
                    let problem = "a `?` or `#` in it leaves no place for the path that is added";
                    Err(BadAddress { found: url.clone(), problem })
                }
            })
            .map_err(|bad| {
                let expected = "expected an address such as http://localhost:8000/v1";
                EndpointError::Options(format!("endpoint {bad}; {expected}"))
            })
    }

    pub(super) fn url(&self) -> String {
        format!("{}/chat/completions", self.base_url.trim_end_matches('/'))
    }

    /// What a server said, without the key: some repeat it.
    pub(super) fn without_key(&self, text: &str) -> String {
        match &self.api_key {
            Some(key) if key.len() >= SHORTEST_SECRET => masked(text, key),
            _ => text.to_owned(),
        }
    }
}

impl fmt::Debug for ChatOptions {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.api_key.as_ref().map(|_| "…");
        let Self { base_url, model, timeout, attempts, concurrency, .. } = self;
        f.debug_struct("ChatOptions")
            .field("base_url", base_url)
            .field("model", model)
            .field("api_key", &key)
            .field("timeout", timeout)
            .field("attempts", attempts)
            .field("concurrency", concurrency)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ChatOptions {
        ChatOptions {
            base_url: "http://localhost:8000/v1".to_owned(),
            model: "judge".to_owned(),
            api_key: Some("sk-secret".to_owned()),
            timeout: Duration::from_secs(1),
            attempts: 1,
            first_wait: Duration::from_secs(1),
            concurrency: 1,
            max_tokens: 1,
        }
    }

    #[test]
    fn an_address_is_one_before_anything_is_asked() {
        let check = |url: &str| ChatOptions { base_url: url.to_owned(), ..options() }.check();
        for good in
            ["http://localhost:8000/v1", "https://api.openai.com/v1/", "http://[::1]:8000", "HTTP://h"]
        {
            check(good).unwrap();
        }
        for bad in [
            "",
            "judge",
            "localhost:8000",
            "ftp://h/v1",
            "http://",
            "http:///v1",
            "http://a b/v1",
            "http://h:99999/v1",
            "http://h/v1?x=1",
        ] {
            let error = check(bad).expect_err(bad).to_string();
            assert!(error.starts_with(&format!("endpoint `{bad}`: ")), "{error}");
        }
        let error = check("https://user:pass@w0rd@host/v1").unwrap_err().to_string();
        assert!(
            error.contains("`https://…@host/v1`") && !error.contains("pass@") && !error.contains("user:"),
            "{error}"
        );
    }

    #[test]
    fn a_key_can_be_sent_or_is_refused_without_showing_it() {
        for bad in ["", "sk-secret\n", "sk-\nsecret", "sk-schlüssel", "sk-secret\u{7f}"] {
            let error = ChatOptions { api_key: Some(bad.to_owned()), ..options() }
                .check()
                .expect_err(bad)
                .to_string();
            assert!(error.contains("the endpoint's key") && !error.contains("sk-"), "{error}");
        }
        let said = "{\"error\": \"no such key: sk-secret\"}";
        assert_eq!(options().without_key(said), "{\"error\": \"no such key: …\"}");
        let placeholder = ChatOptions { api_key: Some("A".to_owned()), ..options() };
        assert_eq!(placeholder.without_key("[[A]]"), "[[A]]");
    }

    #[test]
    fn waits_end() {
        let day = Duration::from_secs(86_400);
        ChatOptions { timeout: 10 * day, first_wait: 10 * day, ..options() }.check().unwrap();
        for (timeout, first_wait) in [(12 * day, day), (day, Duration::MAX), (Duration::ZERO, day)] {
            let error = ChatOptions { timeout, first_wait, ..options() }.check().unwrap_err().to_string();
            assert!(error.contains("at most 1000000 s"), "{error}");
        }
    }
}
