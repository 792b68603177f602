//! The prompts: from the job, a data set or whoever runs it, as records and then as token ids.
//!
//! A row of a data set means here what it means in training: messages go through the chat template, a
//! string is continued as it stands. Text typed or piped in is a user's message wherever the model can
//! chat. Prompts are never truncated and never left out: one that cannot be used ends the job.

use std::path::Path;
use std::sync::Arc;

use align_data::{
    Message, Origin, PromptOnly, TemplateArguments, Text, TokenizeOptions, Tokenizer, load_prompts,
    tokenize_prompts,
};
use align_hub::Hub;
use align_stage::{Error, Result, Verdict, data_set, ensure};
use serde::Serialize;

/// Prompts from somewhere that the job does not name, such as standard input: asked for only where it names none.
#[derive(Clone, Copy)]
pub struct Elsewhere<'a> {
    /// What messages call the place: `<stdin>`.
    pub name: &'a str,
    /// The prompts.
    pub texts: &'a dyn Fn() -> Verdict<Vec<String>>,
}

/// Where the prompts come from and how they are read.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Prompts")]
pub struct PromptOptions {
    /// A prompt; repeat it for more. Without --prompt and --prompts, each line of standard input is one
    #[arg(long, value_name = "TEXT", conflicts_with = "prompts")]
    pub prompt: Vec<String>,

    /// Data set with a `prompt` column: a file (Parquet, JSON lines, CSV, …), a directory with files per split, a
    /// pattern such as 'data/*.parquet', or a hub id
    #[arg(long, alias = "dataset-name", alias = "dataset", value_name = "PATH")]
    pub prompts: Option<String>,

    /// Config of --prompts, where its card (README.md) has several [default: the one that the card says]
    #[arg(long, value_name = "CONFIG")]
    pub dataset_config: Option<String>,

    /// Split to read, where --prompts is a directory [default: test]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,

    /// What a prompt that is a string means: chat, a user's message for the chat template, or raw, text to
    /// continue as it stands [default: raw in a data set, as in training; elsewhere chat if the model has a
    /// chat template]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub prompt_format: Option<PromptFormat>,

    /// System message to put in front of each conversation
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,

    /// Whether prompts begin with a BOS token [default: as the tokenizer or the chat template does it]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub add_bos_token: Option<bool>,
}

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "a description here would be one in the help")]
pub enum PromptFormat {
    Chat,
    Raw,
}

impl PromptOptions {
    /// The prompts as the model will be asked them, in order; at least one.
    pub(crate) fn read(
        &self,
        elsewhere: Option<Elsewhere<'_>>,
        hub: &Hub,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<PromptOnly>> {
        let (prompts, usual) = match &self.prompts {
            Some(name) => (self.data_set(hub, name)?, PromptFormat::Raw),
            None => {
                ensure!(self.split.is_none(), "`split` has no effect without `--prompts`; remove it");
                ensure!(
                    self.dataset_config.is_none(),
                    "`dataset_config` has no effect without `--prompts`; remove it"
                );
                let can_chat = tokenizer.chat_template().is_some();
                (self.typed(elsewhere)?, if can_chat { PromptFormat::Chat } else { PromptFormat::Raw })
            }
        };
        let chat = self.prompt_format.unwrap_or(usual) == PromptFormat::Chat;
        prompts.into_iter().map(|prompt| self.asked(prompt, chat)).collect()
    }

    /// Token ids of `prompts`, each leaving room for `max_new_tokens` within `max_positions`.
    pub(crate) fn tokenize(
        &self,
        prompts: &[PromptOnly],
        tokenizer: &Tokenizer,
        max_new_tokens: usize,
        max_positions: usize,
    ) -> Result<Vec<Vec<u32>>> {
        let uncut = TokenizeOptions {
            max_length: None,
            add_bos_token: self.add_bos_token,
            ..TokenizeOptions::default()
        };
        let (tokenized, _) = tokenize_prompts(prompts, tokenizer, &uncut)?;
        for (row, prompt) in prompts.iter().enumerate() {
            // Rows without a token are left out, the others keep their order.
            let is_there = tokenized.get(row).is_some_and(|tokenized| tokenized.row == row);
            ensure!(is_there, "{}: the prompt has no tokens", prompt.origin);
            let length = tokenized[row].tokens.len();
            ensure!(
                length.saturating_add(max_new_tokens) <= max_positions,
                "{}: the prompt has {length} tokens; with `max_new_tokens` {max_new_tokens} that is more than \
                 the model's max_position_embeddings {max_positions}",
                prompt.origin
            );
        }
        Ok(tokenized.into_iter().map(|prompt| prompt.tokens).collect())
    }

    fn data_set(&self, hub: &Hub, name: &str) -> Result<Vec<PromptOnly>> {
        let split = self.split.as_deref().unwrap_or("test");
        let dataset = data_set(hub, name, self.dataset_config.as_deref(), split)?;
        ensure!(
            self.split.is_none() || dataset.path.is_dir(),
            "`split` has no effect: {} is a file, all of which is read",
            dataset.path.display()
        );
        Ok(load_prompts(dataset, split)?.records)
    }

    /// The job's own texts, else those from elsewhere.
    fn typed(&self, elsewhere: Option<Elsewhere<'_>>) -> Result<Vec<PromptOnly>> {
        let (place, texts) = match (self.prompt.as_slice(), elsewhere) {
            ([], Some(elsewhere)) => (elsewhere.name, (elsewhere.texts)().map_err(Error::Method)?),
            (texts, _) => ("--prompt", texts.to_vec()),
        };
        ensure!(
            !texts.is_empty(),
            "no prompts: pass `--prompt TEXT` or `--prompts FILE`, or pipe them in, one a line"
        );
        let place: Arc<Path> = Arc::from(Path::new(place));
        let prompt = |(index, text): (usize, String)| {
            let origin = Origin::new(Arc::clone(&place), index + 1);
            ensure!(!text.trim().is_empty(), "{origin}: the prompt is empty");
            Ok(PromptOnly { prompt: Text::Plain(text), template: TemplateArguments::default(), origin })
        };
        texts.into_iter().enumerate().map(prompt).collect()
    }

    /// The prompt with its string made a message and the system message in front, as asked for.
    fn asked(&self, mut prompt: PromptOnly, chat: bool) -> Result<PromptOnly> {
        let origin = &prompt.origin;
        let mut messages = match prompt.prompt {
            Text::Plain(text) if chat => vec![Message::new("user", text)],
            Text::Plain(_) if self.system.is_some() => {
                return Err(Error::Inputs(format!(
                    "{origin}: `--system` needs a conversation, but the prompt is continued as it stands; remove \
                     it, or pass `--prompt-format chat`"
                )));
            }
            Text::Plain(_) => return Ok(prompt),
            Text::Messages(_) if self.prompt_format == Some(PromptFormat::Raw) => {
                return Err(Error::Inputs(format!(
                    "{origin}: `--prompt-format raw` needs strings, but the prompt is a list of messages; remove it"
                )));
            }
            Text::Messages(messages) => messages,
        };
        if let Some(system) = &self.system {
            ensure!(
                messages.first().is_none_or(|first| first.role != "system"),
                "{origin}: the prompt has a system message of its own; remove `--system`"
            );
            messages.insert(0, Message::new("system", system));
        }
        prompt.prompt = Text::Messages(messages);
        Ok(prompt)
    }
}
