//! Where completions go: to a person, or as JSON lines to a program.
//!
//! Rows have the shape of prompt-completion data sets: a conversation is continued by a list with the
//! assistant's message, a string by a string. What was generated can therefore be trained on as it is.

use std::fmt::{self, Write as _};
use std::path::Path;

use align_cli::JsonLines;
use align_data::{Message, PromptOnly, Text, Tokenizer};
use align_models::generation::Completion;
use serde::Serialize;

/// One completion of one prompt.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    #[serde(flatten)]
    prompt: &'a PromptOnly,
    completion: Text,
    /// Tokens of the completion, the one that ended it included.
    tokens: usize,
    /// Whether the model ended it, rather than `max_new_tokens`.
    finished: bool,
    /// Sum over the tokens, each under the distribution it was picked from before top-k and top-p.
    log_prob: f64,
}

impl<'a> Row<'a> {
    /// The completion as text; `prompt_tokens` is what the model was given.
    pub(crate) fn new(
        prompt: &'a PromptOnly,
        prompt_tokens: &[u32],
        completion: &Completion,
        tokenizer: &Tokenizer,
    ) -> anyhow::Result<Self> {
        let text = continuation(prompt_tokens, &completion.tokens, tokenizer)?;
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

/// The text that `completion` adds. Decoders that drop the space in front of a text would drop it from a
/// completion decoded alone.
fn continuation(prompt: &[u32], completion: &[u32], tokenizer: &Tokenizer) -> anyhow::Result<String> {
    let before = tokenizer.decode(prompt, true)?;
    let whole = tokenizer.decode(&[prompt, completion].concat(), true)?;
    match whole.strip_prefix(&before) {
        Some(text) => Ok(text.to_owned()),
        None => Ok(tokenizer.decode(completion, true)?),
    }
}

/// For reading: the prompt, the completion, what is known of it. What would command the terminal, which
/// a model may well write, does not reach it. JSON lines are for programs and hold the text as it is.
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

/// Where rows go.
pub(crate) enum Output {
    /// Standard output, for reading.
    Readable,
    /// As JSON lines.
    Lines(JsonLines),
}

impl Output {
    /// Checks that the file can be made; it appears when all is done.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match path {
            None => Self::Readable,
            Some(path) if path == Path::new("-") => Self::Lines(JsonLines::Printed),
            Some(path) => Self::Lines(JsonLines::to_new_file(path)?),
        })
    }

    /// Takes the next row.
    pub(crate) fn write(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        match self {
            Self::Readable => align_cli::print_row(row),
            Self::Lines(lines) => lines.write(row),
        }
    }

    /// All rows are there.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Readable => Ok(()),
            Self::Lines(lines) => lines.finish(),
        }
    }
}
