//! The rows of the data files, as they are written: conversations in the usual columns, and what the generator
//! knows about each row in three more (`kind`, `category`, `fault`), which no training reads.

use serde::{Deserialize, Serialize};

use crate::kind::{Category, Kind};

/// Who speaks in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the whole conversation. The world's own data has none.
    System,
    /// The person who asks.
    User,
    /// The model that answers.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of the person who asks.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// A message of the model.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// A row of `sft.jsonl`: a prompt and one answer, good or bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demonstration {
    /// The conversation so far; the last message is the user's.
    pub prompt: Vec<Message>,
    /// One message of the assistant.
    pub completion: Vec<Message>,
    /// The kind of request.
    pub kind: Kind,
    /// Helpfulness or safety.
    pub category: Category,
    /// The name of the answer's fault, `none` for a helpful one.
    pub fault: String,
}

/// A row of `preference/`: a prompt and two answers, the better one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    /// The conversation so far; the last message is the user's.
    pub prompt: Vec<Message>,
    /// The better answer, one message.
    pub chosen: Vec<Message>,
    /// The worse answer, one message.
    pub rejected: Vec<Message>,
    /// The kind of request.
    pub kind: Kind,
    /// Helpfulness or safety.
    pub category: Category,
    /// The name of the worse answer's fault.
    pub fault: String,
}

/// A row of `preference-noisy/`: a row of `preference/`, its two answers exchanged where `flipped` says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoisyPreference {
    /// The row; `fault` is still that of the truly worse answer.
    #[serde(flatten)]
    pub pair: Preference,
    /// True where the label is wrong.
    pub flipped: bool,
}

/// A row of `prompts/`: a question without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// The conversation: one message of the user.
    pub prompt: Vec<Message>,
    /// The kind of request.
    pub kind: Kind,
    /// Helpfulness or safety.
    pub category: Category,
    /// What the request is about, for example `bake a loaf of bread`.
    pub topic: String,
    /// The word or words a right answer has to contain; empty where many answers are right.
    pub answer: String,
}
