//! A prompt and answers to it, in whichever way the two are written: answers by themselves, as the assistant's turns, or at the
//! end of whole conversations that repeat the prompt.
//!
//! What comes out is of one kind: a string with strings, which nobody's chat template touches, or messages with the
//! assistant's. A string beside messages, or beside a system turn, becomes the turn that it is.

use super::implicit_prompt;
use super::prompt;
use super::rows::Row;
use crate::error::Result;
use crate::record::{Message, Text};

/// Whether answers stand by themselves or at the end of transcripts that repeat the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Answers,
    Transcripts,
}

/// A prompt with its answers.
pub(super) struct Replies {
    pub(super) prompt: Text,
    /// The answers, in their order, all of the kind of the prompt.
    pub(super) answers: Vec<Text>,
    pub(super) layout: Layout,
}

/// The answers of a row, given with the names of their columns, with the prompt that they reply to.
pub(super) fn replies(row: &mut Row, answers: Vec<(String, Text)>) -> Result<Replies> {
    let are_strings = answers.iter().all(|(_, answer)| !is_messages(answer));
    let replies = as_written(row, answers)?;
    if are_strings && replies.layout == Layout::Answers {
        prompt::note_format(row, &replies.prompt);
    }
    Ok(replies)
}

fn as_written(row: &mut Row, answers: Vec<(String, Text)>) -> Result<Replies> {
    let given = prompt::given(row)?;
    let (fields, texts): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    if let Some(odd) = texts.iter().position(|text| is_messages(text) != is_messages(&texts[0])) {
        let expected = format!("{}, as in `{}`", kind(&texts[0]), fields[0]);
        return Err(row.wrong(&fields[odd], expected, kind(&texts[odd])));
    }
    let replies = match is_messages(&texts[0]) {
        false => of_strings(row, given, &fields, texts)?,
        true => of_messages(row, given, &fields, texts.into_iter().map(prompt::into_turns).collect())?,
    };
    for (field, answer) in fields.iter().zip(&replies.answers) {
        row.refuse_empty(field, answer)?;
        row.check_reply(field, answer)?;
    }
    Ok(replies)
}

/// The same of answers to a question: a prompt that is a string is what a user says.
pub(super) fn turns(row: &mut Row, answers: Vec<(String, Text)>) -> Result<Replies> {
    let replies = as_written(row, answers)?;
    let prompt = match replies.prompt {
        Text::Plain(text) if replies.layout == Layout::Answers => {
            Text::from(vec![Message::new("user", text)])
        }
        _ => return Ok(replies),
    };
    let answers = replies.answers.into_iter().map(into_reply).collect();
    Ok(Replies { prompt, answers, layout: Layout::Answers })
}

fn of_strings(row: &mut Row, given: Option<Text>, fields: &[String], answers: Vec<Text>) -> Result<Replies> {
    let layout = Layout::Answers;
    match given {
        Some(prompt @ Text::Plain(_)) => Ok(Replies { prompt, answers, layout }),
        Some(prompt) => {
            Ok(Replies { prompt, answers: answers.into_iter().map(into_reply).collect(), layout })
        }
        None => of_transcripts(row, fields, &answers),
    }
}

/// An answer as the assistant's turn.
pub(super) fn into_reply(answer: Text) -> Text {
    match answer {
        Text::Plain(text) => vec![Message::new("assistant", text)].into(),
        turns @ Text::Messages(_) => turns,
    }
}

/// Transcripts as hh-rlhf has them.
fn of_transcripts(row: &Row, fields: &[String], answers: &[Text]) -> Result<Replies> {
    let texts: Vec<&str> =
        answers.iter().map(|text| if let Text::Plain(text) = text { text } else { "" }).collect();
    let Some(at) = implicit_prompt::of_texts(&texts) else {
        let expected = "a string (or transcripts in `chosen` and `rejected` that share an `Assistant:` turn)";
        return Err(row.missing("prompt", expected));
    };
    for (field, text) in fields.iter().zip(&texts) {
        if text.len() == at {
            let found = "nothing: the transcript ends there; correct or remove the row";
            return Err(row.wrong(field, "an answer after the last `Assistant:`", found));
        }
    }
    let answers = texts.iter().map(|text| text[at..].into()).collect();
    Ok(Replies { prompt: texts[0][..at].into(), answers, layout: Layout::Transcripts })
}

fn of_messages(
    row: &mut Row,
    given: Option<Text>,
    fields: &[String],
    mut answers: Vec<Vec<Message>>,
) -> Result<Replies> {
    let begin_with_reply = answers.iter().all(|turns| turns[0].role == "assistant");
    if let (Some(prompt), true) = (&given, begin_with_reply) {
        let prompt = prompt::into_turns(prompt.clone()).into();
        let answers = answers.into_iter().map(Text::from).collect();
        return Ok(Replies { prompt, answers, layout: Layout::Answers });
    }
    let at = implicit_prompt::of_messages(&answers);
    let tails: Vec<Text> = answers.iter_mut().map(|turns| turns.split_off(at).into()).collect();
    let shared = std::mem::take(&mut answers[0]);
    let prompt = match given {
        // A row of answers by somebody else than the assistant is told what is wrong with them.
        _ if shared.is_empty() => {
            for (field, answer) in fields.iter().zip(&tails) {
                row.check_reply(field, answer)?;
            }
            let expected = "conversations that share the turns before their last answers, or a `prompt`";
            return Err(row.wrong(&fields[0], expected, "answers alone"));
        }
        None => prompt::with_system(row, shared.into())?,
        Some(given) => repeated(row, given, shared)?,
    };
    Ok(Replies { prompt, answers: tails, layout: Layout::Transcripts })
}

/// The prompt of conversations beside which the row gives it once more: the turns hold it, else something would be lost.
pub(super) fn repeated(row: &Row, given: Text, shared: Vec<Message>) -> Result<Text> {
    let (system, given) = match given {
        Text::Plain(text) => (None, vec![Message::new("user", text)]),
        Text::Messages(turns) if turns.len() > 1 && turns[0].role == "system" => {
            let mut turns = turns.into_iter();
            (turns.next(), turns.collect())
        }
        Text::Messages(turns) => (None, turns),
    };
    let text_of = |turn: &Message| turn.content.as_deref().unwrap_or_default().trim().to_owned();
    let texts: Vec<String> = shared.iter().map(text_of).collect();
    // A turn of them, or all of them written as one text.
    let is_there = |turn: &Message| {
        let text = text_of(turn);
        texts.iter().any(|other| other.contains(&text)) || texts.iter().all(|other| text.contains(other))
    };
    if !given.iter().all(is_there) {
        let expected = "what the conversations beside it begin with";
        return Err(row.wrong("prompt", expected, "another text, which would be lost"));
    }
    match system {
        Some(system) if shared[0].role != "system" => Ok([vec![system], shared].concat().into()),
        Some(system) if !is_there(&system) => {
            Err(row.wrong("system", "the system turn that the conversations begin with", "another one"))
        }
        _ => Ok(shared.into()),
    }
}

fn is_messages(text: &Text) -> bool {
    matches!(text, Text::Messages(_))
}

pub(super) fn kind(text: &Text) -> &'static str {
    if is_messages(text) { "a list of messages" } else { "a string" }
}
