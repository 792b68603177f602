//! The records training data is made of: preference pairs, labelled answers, demonstrations, prompts.
//!
//! A record is what a row *means*, whatever file layout it came from: an implicit prompt has been split
//! off, lists of messages and plain strings are told apart, and every record remembers the `file:line` it
//! came from so that each later error can name it. Nothing here knows a tokenizer or a chat template.

mod candidates;
mod judged;
mod preference;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use candidates::{Candidates, Ranking};
pub use judged::{JudgedPair, ListPlace, Vote};
pub(crate) use preference::are_of_pairs;
pub use preference::{PreferencePair, UnpairedPreference, unpair_preferences};

/// The origin of a record; displayed as `file:line`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    file: Option<Arc<Path>>,
    line: usize,
}

impl Origin {
    /// Line `line` (counted from 1) of `file`.
    pub fn new(file: Arc<Path>, line: usize) -> Self {
        Self { file: Some(file), line }
    }

    /// Row `row` (counted from 0) of data that was built in code.
    pub fn in_code(row: usize) -> Self {
        Self { file: None, line: row + 1 }
    }

    /// The file; none of data that was built in code.
    pub(crate) fn file(&self) -> Option<&Arc<Path>> {
        self.file.as_ref()
    }

    /// The line in the file, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{}", file.display(), self.line),
            None => write!(f, "row {}", self.line),
        }
    }
}

/// A message: one turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or whatever the chat template knows.
    pub role: String,
    /// The text; absent where a turn consists of tool calls alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Other keys that the chat template may read: `tool_calls`, `name`, `reasoning_content`, …
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Message {
    /// A turn with a role and a text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(content.into()), extra: Map::new() }
    }
}

/// A prompt or an answer: a plain string, or messages that a chat template turns into one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// Used as it stands.
    Plain(String),
    /// Rendered by the tokenizer's chat template.
    Messages(Vec<Message>),
}

impl Text {
    /// Characters of text, without what a template adds.
    pub fn chars(&self) -> usize {
        match self {
            Self::Plain(text) => text.chars().count(),
            Self::Messages(messages) => {
                messages.iter().filter_map(|m| m.content.as_deref()).map(|text| text.chars().count()).sum()
            }
        }
    }

    /// The text as a person reads it: of one message its content, of several who says what.
    pub fn readable(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Messages(turns) => match turns.as_slice() {
                [turn] => turn.content.clone().unwrap_or_default(),
                turns => {
                    let line = |turn: &Message| {
                        format!("{}: {}", turn.role, turn.content.as_deref().unwrap_or_default())
                    };
                    turns.iter().map(line).collect::<Vec<_>>().join("\n")
                }
            },
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl From<Vec<Message>> for Text {
    fn from(messages: Vec<Message>) -> Self {
        Self::Messages(messages)
    }
}

/// Arguments that a row passes to the chat template beside its messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateArguments {
    /// JSON schemas of the tools the assistant may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// Further variables of the template, for example `enable_thinking`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub chat_template_kwargs: Map<String, Value>,
}

/// A demonstration: text to imitate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Demonstration {
    /// The text and its shape.
    #[serde(flatten)]
    pub body: DemonstrationBody,
    /// Tools and template variables of this row.
    #[serde(flatten)]
    pub template: TemplateArguments,
    /// The row.
    #[serde(skip)]
    pub origin: Origin,
}

/// The three shapes a demonstration comes in.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DemonstrationBody {
    /// An answer to a prompt; by default only the answer is learned.
    PromptCompletion {
        /// The prompt that the answer replies to.
        prompt: Text,
        /// The answer.
        completion: Text,
    },
    /// Running text.
    Text {
        /// The text, learned whole.
        text: String,
    },
    /// A whole conversation.
    Messages {
        /// The turns, of which the assistant's are learned unless all are wanted ([`LearnedPart`](crate::LearnedPart)).
        messages: Vec<Message>,
    },
}

/// A prompt without an answer, to generate from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromptOnly {
    /// The prompt.
    pub prompt: Text,
    /// Tools and template variables of this row.
    #[serde(flatten)]
    pub template: TemplateArguments,
    /// The row.
    #[serde(skip)]
    pub origin: Origin,
}

/// A prompt to answer, with what is known of the right answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromptTask {
    /// The prompt.
    #[serde(flatten)]
    pub prompt: PromptOnly,
    /// The right answer, where the data has one.
    pub reference: Option<String>,
}

impl From<&PreferencePair> for PromptOnly {
    fn from(pair: &PreferencePair) -> Self {
        let PreferencePair { prompt, template, origin, .. } = pair.clone();
        Self { prompt, template, origin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_extra_keys() {
        let json = r#"{"role":"assistant","tool_calls":[{"name":"weather"}]}"#;
        let message: Message = serde_json::from_str(json).unwrap();
        assert_eq!(message.content, None);
        assert_eq!(serde_json::to_string(&message).unwrap(), json);
    }
}
