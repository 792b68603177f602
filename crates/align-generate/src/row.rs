//! A completion as it is handed out.
//!
//! Rows have the shape of prompt-completion data sets: a conversation is continued by a list with the
//! assistant's message, a string by a string. What was generated can therefore be trained on as it is.

use std::fmt::{self, Write as _};

use align_data::{Message, PromptOnly, Text, Tokenizer};
use align_models::generation::Completion;
use serde::Serialize;

/// One completion of one prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Row<'a> {
    /// What the model was asked, with the system message.
    #[serde(flatten)]
    pub prompt: &'a PromptOnly,
    /// A list with the assistant's message, or a string where the prompt is one.
    pub completion: Text,
    /// Tokens of the completion, the one that ended it included.
    pub tokens: usize,
    /// Whether the model ended it, rather than `max_new_tokens`.
    pub finished: bool,
    /// Log-prob of the completion in nats: the sum over the tokens, each under the distribution it was picked from before
    /// top-k and top-p.
    pub log_prob: f64,
}

impl<'a> Row<'a> {
    /// The completion as text; `prompt_tokens` is what the model was given.
    pub(crate) fn new(
        prompt: &'a PromptOnly,
        prompt_tokens: &[u32],
        completion: &Completion,
        tokenizer: &Tokenizer,
    ) -> align_data::Result<Self> {
        let text = tokenizer.continuation(prompt_tokens, &completion.tokens)?;
        Ok(Self {
            prompt,
            completion: match prompt.prompt {
                Text::Plain(_) => Text::Plain(text),
                Text::Messages(_) => Text::Messages(vec![Message::new("assistant", text)]),
            },
            tokens: completion.tokens.len(),
            finished: completion.finished,
            log_prob: completion.log_probs.iter().copied().map(f64::from).sum(),
        })
    }
}

/// For reading: the prompt, the completion, what is known of it. What would command the terminal, which
/// a model may well write, does not reach it. Serialised rows are for programs and hold the text as it is.
impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_text(&mut text, "prompt", &self.prompt.prompt)?;
        write_text(&mut text, "completion", &self.completion)?;
        f.write_str(&align_text::printable(&text))?;
        let end = if self.finished { "" } else { ", cut at max_new_tokens" };
        writeln!(f, "({} tokens{end}; log-prob {:.2})", self.tokens, self.log_prob)
    }
}

fn write_text(out: &mut String, name: &str, text: &Text) -> fmt::Result {
    match text {
        Text::Plain(text) => writeln!(out, "{name}: {text}"),
        Text::Messages(messages) => messages.iter().try_for_each(|message| {
            writeln!(out, "{}: {}", message.role, message.content.as_deref().unwrap_or_default())
        }),
    }
}
