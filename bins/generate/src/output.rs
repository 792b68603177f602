//! Where completions go: to a person, or as JSON lines to a program.
//!
//! Rows have the shape of prompt-completion data sets: a conversation is continued by a list with the
//! assistant's message, a string by a string. What was generated can therefore be trained on as it is.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use align_data::{Message, PromptOnly, Text, Tokenizer};
use align_models::generation::Completion;
use anyhow::ensure;
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

/// For reading: the prompt, the completion, what is known of it. Control characters, which a model may
/// well write, do not reach the terminal.
impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_text(&mut text, "prompt", &self.prompt.prompt)?;
        write_text(&mut text, "completion", &self.completion)?;
        for character in text.chars() {
            match character {
                '\n' | '\t' => f.write_char(character)?,
                control if control.is_control() => f.write_char(char::REPLACEMENT_CHARACTER)?,
                other => f.write_char(other)?,
            }
        }
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
#[derive(Debug)]
pub(crate) enum Output {
    /// Standard output, for reading.
    Readable,
    /// Standard output, as JSON lines.
    Lines,
    /// A file that appears when all is done.
    File(PathBuf, Vec<u8>),
}

impl Output {
    /// Checks that the file can be made; does not make it.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let path = match path {
            None => return Ok(Self::Readable),
            Some(path) if path == Path::new("-") => return Ok(Self::Lines),
            Some(path) => path,
        };
        ensure!(!path.exists(), "output {}: exists; remove it or name another file", path.display());
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        tempfile::tempfile_in(parent.unwrap_or(Path::new(".")))
            .map_err(|error| anyhow::anyhow!("output {}: cannot write there: {error}", path.display()))?;
        Ok(Self::File(path.to_owned(), Vec::new()))
    }

    /// Takes the next row.
    #[expect(clippy::print_stdout, reason = "a panic where nobody reads ends the program as SIGPIPE would")]
    pub(crate) fn write(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        match self {
            Self::Readable => println!("{row}"),
            Self::Lines => println!("{}", serde_json::to_string(row)?),
            Self::File(_, lines) => {
                serde_json::to_writer(&mut *lines, row)?;
                lines.push(b'\n');
            }
        }
        Ok(())
    }

    /// All rows are there: the file gets its name.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        if let Self::File(path, lines) = self {
            align_cli::write_atomically(&path, &lines)?;
            let rows = lines.iter().filter(|&&byte| byte == b'\n').count();
            tracing::info!("{rows} completions written to {}", path.display());
        }
        Ok(())
    }
}
