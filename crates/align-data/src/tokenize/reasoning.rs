//! What the assistant thought before it answered: learned, or left out.
//!
//! Chat templates write the reasoning of the turn that is being answered and leave out that of the turns before. So a turn
//! with its reasoning is learned where it is the last: a conversation becomes a row for each turn of the assistant's, which is
//! what the model will see when it comes to say it. Where reasoning is not to be learned it is taken out of the messages, as if
//! the answers had been given without.

use super::demonstrations::LearnedPart;
use super::turns::is_assistant;
use crate::error::{DataError, Result};
use crate::record::{Demonstration, DemonstrationBody, Message, Origin, Text};

/// Keys of a message that hold reasoning apart from its content.
const KEYS: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];
/// What encloses it within the content.
const BEGIN: &str = "<think>";
const END: &str = "</think>";

impl LearnedPart {
    /// The demonstrations that are learned where something is said about reasoning ([`LearnedPart::train_on_reasoning`]): without
    /// any, or with a row for each turn of the assistant's where earlier ones have some.
    pub fn of_reasoning(&self, demonstrations: Vec<Demonstration>) -> Vec<Demonstration> {
        match self.train_on_reasoning {
            None => demonstrations,
            Some(false) => demonstrations.into_iter().map(without).collect(),
            Some(true) if self.last_turn_only => demonstrations,
            Some(true) => demonstrations.into_iter().flat_map(by_turns).collect(),
        }
    }

    /// Refuses a row whose reasoning is to be learned and does not stand in the text that is.
    pub(super) fn check_reasoning(
        &self,
        last: Option<&Message>,
        learned: &str,
        origin: &Origin,
    ) -> Result<()> {
        let of = last.filter(|_| self.train_on_reasoning == Some(true)).and_then(reasoning);
        match of {
            Some(text) if !learned.contains(text.trim()) => Err(DataError::Row {
                origin: origin.clone(),
                reason: "the chat template does not write the reasoning of the last turn, which is to be learned \
                         (`train_on_reasoning`); use a template that does, or put it into the content between <think> and \
                         </think>"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// The reasoning of a turn; none where there is nothing in it.
fn reasoning(message: &Message) -> Option<&str> {
    let apart = KEYS.iter().find_map(|key| message.extra.get(*key)?.as_str());
    let within = || {
        let (_, rest) = message.content.as_deref()?.split_once(BEGIN)?;
        Some(rest.split_once(END)?.0)
    };
    apart.or_else(within).filter(|text| !text.trim().is_empty())
}

/// A row for each turn of the assistant's that is the end of a conversation up to it, where one before the last has reasoning.
fn by_turns(demonstration: Demonstration) -> Vec<Demonstration> {
    let Demonstration { body, template, origin } = demonstration;
    let (prompt, messages) = match body {
        DemonstrationBody::Messages { messages } => (0, messages),
        DemonstrationBody::PromptCompletion {
            prompt: Text::Messages(prompt),
            completion: Text::Messages(completion),
        } if completion.len() > 1 => (prompt.len(), [prompt, completion].concat()),
        body => return vec![Demonstration { body, template, origin }],
    };
    let replies = |messages: &[Message]| {
        let own = messages.iter().enumerate().skip(prompt).filter(|(_, message)| is_assistant(message));
        own.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let ends = replies(&messages);
    let has_earlier = ends
        .split_last()
        .is_some_and(|(_, before)| before.iter().any(|&at| reasoning(&messages[at]).is_some()));
    let row = |prompt: usize, end: usize| {
        let body = match prompt {
            0 => DemonstrationBody::Messages { messages: messages[..end].to_vec() },
            _ => DemonstrationBody::PromptCompletion {
                prompt: messages[..prompt].to_vec().into(),
                completion: messages[prompt..end].to_vec().into(),
            },
        };
        Demonstration { body, template: template.clone(), origin: origin.clone() }
    };
    match has_earlier {
        false => vec![row(prompt, messages.len())],
        // What comes before the turn is its prompt.
        true => ends.into_iter().filter(|&at| at > 0).map(|at| row(at, at + 1)).collect(),
    }
}

fn without(demonstration: Demonstration) -> Demonstration {
    let strip =
        |messages: &mut Vec<Message>| messages.iter_mut().filter(|it| is_assistant(it)).for_each(strip);
    let mut body = demonstration.body;
    match &mut body {
        DemonstrationBody::Messages { messages } => strip(messages),
        DemonstrationBody::PromptCompletion { prompt, completion } => {
            for text in [prompt, completion] {
                if let Text::Messages(messages) = text {
                    strip(messages);
                }
            }
        }
        DemonstrationBody::Text { .. } => {}
    }
    Demonstration { body, ..demonstration }
}

fn strip(message: &mut Message) {
    KEYS.iter().for_each(|key| drop(message.extra.remove(*key)));
    let answer = message.content.as_deref().and_then(|content| {
        let (before, rest) = content.split_once(BEGIN)?;
        let (_, after) = rest.split_once(END)?;
        before.trim().is_empty().then(|| after.trim_start().to_owned())
    });
    if answer.is_some() {
        message.content = answer;
    }
}
