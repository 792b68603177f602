//! Records to text: plain strings as they stand, conversations through the tokenizer's chat template.
//!
//! The text of a completion is what the template adds to the prompt's text once the answer is there. That
//! works with any template that renders the prompt (with the header of the assistant's turn) as a prefix of
//! the whole; one that does not would teach a context the model never sees, so it is an error.

use crate::error::{DataError, Result};
use crate::record::{Message, Origin, TemplateArguments, Text};
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;

/// A prompt's text and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    /// The prompt, up to where the answer begins.
    pub(super) prompt: String,
    /// The answer, with the end of its turn if a template wrote one.
    pub(super) completion: String,
    /// Whether a chat template made the text: then BOS and EOS are the template's business.
    pub(super) templated: bool,
}

/// A prompt with one answer.
pub(super) fn answer(
    tokenizer: &Tokenizer,
    prompt: &Text,
    completion: &Text,
    arguments: &TemplateArguments,
    origin: &Origin,
) -> Result<Rendered> {
    let (prompt, completion) = match (prompt, completion) {
        (Text::Plain(prompt), Text::Plain(completion)) => {
            return Ok(Rendered { prompt: prompt.clone(), completion: completion.clone(), templated: false });
        }
        (Text::Messages(prompt), Text::Messages(completion)) => (prompt, completion),
        _ => {
            let reason = "prompt and answer must both be strings or both be lists of messages".to_owned();
            return Err(DataError::Row { origin: origin.clone(), reason });
        }
    };
    let template = template(tokenizer, origin)?;
    let render = |messages: &[Message], header| {
        template.render(messages, header, arguments).map_err(|reason| DataError::Row {
            origin: origin.clone(),
            reason: format!("chat template: {reason}"),
        })
    };
    // A completion that does not begin with the assistant's turn brings its own header.
    let header = completion.first().is_some_and(|message| message.role == "assistant");
    let prompt_text = render(prompt, header)?;
    let whole = render(&[prompt.as_slice(), completion.as_slice()].concat(), false)?;
    match whole.strip_prefix(&prompt_text) {
        Some(completion) => {
            Ok(Rendered { completion: completion.to_owned(), prompt: prompt_text, templated: true })
        }
        None => Err(not_a_prefix(&prompt_text, &whole, origin)),
    }
}

/// A prompt alone, ending where the assistant is to write.
pub(super) fn prompt(
    tokenizer: &Tokenizer,
    prompt: &Text,
    arguments: &TemplateArguments,
    origin: &Origin,
) -> Result<Rendered> {
    let (prompt, templated) = match prompt {
        Text::Plain(text) => (text.clone(), false),
        Text::Messages(messages) => {
            let text = template(tokenizer, origin)?.render(messages, true, arguments);
            let row = |reason| DataError::Row {
                origin: origin.clone(),
                reason: format!("chat template: {reason}"),
            };
            (text.map_err(row)?, true)
        }
    };
    Ok(Rendered { prompt, completion: String::new(), templated })
}

/// A text that has no prompt; all of it is the completion.
pub(super) fn whole_text(text: &str) -> Rendered {
    Rendered { prompt: String::new(), completion: text.to_owned(), templated: false }
}

/// A conversation that has no prompt; all of it is the completion.
pub(super) fn conversation(
    tokenizer: &Tokenizer,
    messages: &[Message],
    arguments: &TemplateArguments,
    origin: &Origin,
) -> Result<Rendered> {
    let text = template(tokenizer, origin)?.render(messages, false, arguments);
    let row = |reason| DataError::Row { origin: origin.clone(), reason: format!("chat template: {reason}") };
    Ok(Rendered { prompt: String::new(), completion: text.map_err(row)?, templated: true })
}

/// The tokenizer's chat template, which a conversation needs.
pub(super) fn template<'a>(tokenizer: &'a Tokenizer, origin: &Origin) -> Result<&'a ChatTemplate> {
    tokenizer.chat_template().ok_or_else(|| DataError::Row {
        origin: origin.clone(),
        reason: format!(
            "conversations need a chat template, and {} has neither chat_template.jinja nor `chat_template` in \
             tokenizer_config.json",
            tokenizer.dir().display()
        ),
    })
}

/// What follows in two texts where they begin to differ, for a message.
pub(super) fn difference(a: &str, b: &str) -> (String, String) {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    let at: usize = same.map(|(c, _)| c.len_utf8()).sum();
    let shown = |text: &str| text[at..].chars().take(40).collect::<String>();
    (shown(a), shown(b))
}

fn not_a_prefix(prompt: &str, whole: &str, origin: &Origin) -> DataError {
    let (alone, within) = difference(prompt, whole);
    DataError::Row {
        origin: origin.clone(),
        reason: format!(
            "the chat template renders the prompt alone differently from the prompt with its answer: \
             {alone:?} becomes {within:?}; set the template's switch for it in a `chat_template_kwargs` column, or use a \
             template that only appends"
        ),
    }
}
