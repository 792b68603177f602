//! The records training data is made of: preference pairs, demonstrations, prompts.
//!
//! A record is what a row *means*, whatever file layout it came from: an implicit prompt has been split
//! off, lists of messages and plain strings are told apart, and every record remembers the `file:line` it
//! came from so that each later error can name it. Nothing here knows a tokenizer or a chat template.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{DataError, Result};

/// Where a record came from; displayed as `file:line`.
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

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or whatever the chat template knows.
    pub role: String,
    /// The text; absent where a turn consists of tool calls alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Everything else the chat template may read: `tool_calls`, `name`, `reasoning_content`, …
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

/// What a row passes to the chat template beside its messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateArguments {
    /// JSON schemas of the tools the assistant may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// Further variables of the template, for example `enable_thinking`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub chat_template_kwargs: Map<String, Value>,
}

/// Two answers to one prompt, the first preferred over the second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PreferencePair {
    /// What both answers reply to.
    pub prompt: Text,
    /// The preferred answer.
    pub chosen: Text,
    /// The other answer.
    pub rejected: Text,
    /// Tools and template variables of this row.
    #[serde(flatten)]
    pub template: TemplateArguments,
    /// The row.
    #[serde(skip)]
    pub origin: Origin,
}

impl PreferencePair {
    /// Pairs from parallel lists, as code that generates its own data has them.
    ///
    /// # Errors
    /// Lists of unequal length are an error: zipping them would silently pair answers with the wrong prompts.
    pub fn from_lists<T: Into<Text>>(prompts: Vec<T>, chosen: Vec<T>, rejected: Vec<T>) -> Result<Vec<Self>> {
        if prompts.len() != chosen.len() || prompts.len() != rejected.len() {
            return Err(DataError::UnequalLists {
                prompts: prompts.len(),
                chosen: chosen.len(),
                rejected: rejected.len(),
            });
        }
        let rows = prompts.into_iter().zip(chosen).zip(rejected).enumerate();
        Ok(rows
            .map(|(row, ((prompt, chosen), rejected))| Self {
                prompt: prompt.into(),
                chosen: chosen.into(),
                rejected: rejected.into(),
                template: TemplateArguments::default(),
                origin: Origin::in_code(row),
            })
            .collect())
    }
}

/// Text to imitate.
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
        /// What the answer replies to.
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
        /// The turns, learned whole as the chat template renders them.
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
    fn lists_of_unequal_length_are_an_error() {
        let error = PreferencePair::from_lists(vec!["a", "b"], vec!["x", "y"], vec!["z"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "lists of unequal length: 2 prompts, 2 chosen, 1 rejected; \
             every prompt needs one chosen and one rejected answer"
        );
    }

    #[test]
    fn pairs_from_lists_keep_their_rows_together() {
        let pairs = PreferencePair::from_lists(vec!["p", "q"], vec!["c", "d"], vec!["r", "s"]).unwrap();
        assert_eq!(pairs[1].prompt, Text::from("q"));
        assert_eq!(pairs[1].chosen, Text::from("d"));
        assert_eq!(pairs[1].rejected, Text::from("s"));
        assert_eq!(pairs[1].origin.to_string(), "row 2");
    }

    #[test]
    fn messages_keep_their_extra_keys() {
        let json = r#"{"role":"assistant","tool_calls":[{"name":"weather"}]}"#;
        let message: Message = serde_json::from_str(json).unwrap();
        assert_eq!(message.content, None);
        assert_eq!(serde_json::to_string(&message).unwrap(), json);
    }
}
