//! Asking a chat endpoint until it answers, or it is plain that it will not.

use std::io;
use std::path::PathBuf;

use align_http::{Client, Retry, Unanswered, shown};
use serde::{Deserialize, Serialize};

use super::options::ChatOptions;
use super::request;
use super::store::ReplyStore;

/// The largest reply that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// How often a reply that cannot be read is asked for again. At temperature 0 a third try would say the same.
const READINGS: u32 = 2;

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// A client of one model at one endpoint, with what it has said before.
pub struct ChatClient {
    client: Client,
    options: ChatOptions,
    store: ReplyStore,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address or the settings make no sense.
    #[error("{0}")]
    Options(String),
    /// The server will not answer, however often it is asked.
    #[error("endpoint {url}: {problem}; the address, the model's name or the key is wrong")]
    Refused {
        /// Where.
        url: String,
        /// What it said.
        problem: String,
    },
    /// One question failed as often as it was sent.
    #[error("endpoint {url}: no answer after {attempts} attempts; the last: {problem}")]
    Exhausted {
        /// Where.
        url: String,
        /// How often it was sent.
        attempts: u32,
        /// What came of the last one.
        problem: String,
    },
    /// The reply came and is not of the form that was asked for.
    #[error("endpoint {url}: a reply cannot be read: {reply}")]
    Unreadable {
        /// Where.
        url: String,
        /// Its beginning.
        reply: String,
    },
    /// So many questions in a row failed that no more are asked.
    #[error(
        "endpoint {url}: stopped after {failed} questions in a row without an answer; the last: {problem}. {answered} of \
         {asked} answers are there and kept in {}; run the same command again to ask for the others only", store.display()
    )]
    Stopped {
        /// Where.
        url: String,
        /// Questions in a row.
        failed: usize,
        /// What came of the last.
        problem: String,
        /// Answers there are.
        answered: usize,
        /// Questions there are.
        asked: usize,
        /// The file with the answers.
        store: PathBuf,
    },
    /// The file with the replies.
    #[error("{}: {source}", path.display())]
    Store {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<align_files::Error> for EndpointError {
    fn from(error: align_files::Error) -> Self {
        Self::Store { path: error.path, source: error.source }
    }
}

impl Turn {
    /// A turn of the user's.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".to_owned(), content: content.into() }
    }

    /// What the model is told before.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: "system".to_owned(), content: content.into() }
    }
}

impl ChatClient {
    /// Makes no connection yet.
    ///
    /// # Errors
    /// As [`ChatOptions::check`].
    pub fn new(options: ChatOptions, store: ReplyStore) -> Result<Self, EndpointError> {
        options.check()?;
        Ok(Self { client: Client::new(options.timeout, LARGEST), options, store })
    }

    /// The settings.
    pub fn options(&self) -> &ChatOptions {
        &self.options
    }

    /// What was said before.
    pub fn store(&self) -> &ReplyStore {
        &self.store
    }

    /// What `read` makes of the reply to `turns`: of the one that is stored, else of a new one. A reply is stored if
    /// `read` can read it.
    ///
    /// # Errors
    /// A server that does not answer, or whose reply cannot be read; a store that cannot be written.
    pub fn ask<T>(&self, turns: &[Turn], read: impl Fn(&str) -> Option<T>) -> Result<T, EndpointError> {
        let body = request::body(&self.options, turns);
        let key = ReplyStore::key(&self.options.url(), &body);
        if let Some(found) = self.store.get(&key).and_then(|reply| read(&reply)) {
            return Ok(found);
        }
        let mut unreadable = String::new();
        for _ in 0..READINGS {
            let reply = self.insist(&body)?;
            if let Some(found) = read(&reply) {
                self.store.put(&key, &self.options.model, turns, &reply)?;
                return Ok(found);
            }
            unreadable = shown(&reply);
        }
        Err(EndpointError::Unreadable { url: self.options.url(), reply: unreadable })
    }

    /// Sends until a reply comes.
    fn insist(&self, body: &str) -> Result<String, EndpointError> {
        let retry = Retry { attempts: self.options.attempts, first_wait: self.options.first_wait };
        let url = self.options.url();
        let answer = retry.insist(&url, || request::send(&self.client, &self.options, body));
        answer.map_err(|unanswered| match unanswered {
            Unanswered::Refused(problem) => EndpointError::Refused { url, problem },
            Unanswered::Exhausted { attempts, problem } => {
                EndpointError::Exhausted { url, attempts, problem }
            }
        })
    }
}
