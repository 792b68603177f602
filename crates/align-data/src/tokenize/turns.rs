//! Conversations to text in which the assistant's turns are told apart: where each begins and ends.
//!
//! The chat template's own marks decide where it has any ([`ChatTemplate::render_marked`]). Without them a turn is what the
//! template adds: it begins where the turns before it end with the header of a reply, and ends where the turns up to it do.
//! That holds of templates that only append; one that writes an earlier turn otherwise once others follow (reasoning that is
//! left out, most often) would have its text cut at the wrong places, so such a row is refused with the turn.

use std::ops::Range;

use super::render;
use crate::error::{DataError, Result};
use crate::guard::shortened;
use crate::record::{Message, Origin, TemplateArguments};
use crate::template::{ChatTemplate, Marked};
use crate::tokenizer::Tokenizer;

/// A conversation to be rendered.
pub(super) struct Conversation<'a> {
    pub(super) messages: &'a [Message],
    /// How many of the messages are the prompt.
    pub(super) prompt: usize,
    pub(super) arguments: &'a TemplateArguments,
    pub(super) origin: &'a Origin,
}

/// A conversation's text with the places in it, in bytes.
pub(super) struct Turns {
    pub(super) text: String,
    /// Where the prompt ends; 0 without one.
    pub(super) prompt: usize,
    /// The turns that are learned, none of them empty.
    pub(super) learned: Vec<Range<usize>>,
    /// Whether the template's marks said so.
    pub(super) is_marked: bool,
}

/// Which of the messages are learned: those of the assistant from `first` on, or the last of them, but for those that the data
/// gives a weight of 0.
pub(super) fn learned(
    messages: &[Message],
    first: usize,
    last_only: bool,
    origin: &Origin,
) -> Result<Vec<bool>> {
    let last = messages.iter().rposition(is_assistant);
    let is_wanted = |at: usize| at >= first && (!last_only || Some(at) == last);
    let is_learned = |(at, message): (usize, &Message)| {
        Ok(is_assistant(message) && is_wanted(at) && has_weight(message, at, origin)?)
    };
    let learned = messages.iter().enumerate().map(is_learned).collect::<Result<Vec<_>>>()?;
    match learned.contains(&true) {
        true => Ok(learned),
        false => Err(DataError::Row {
            origin: origin.clone(),
            reason: "no token to learn: the assistant has no turn in it, or none of a weight above 0"
                .to_owned(),
        }),
    }
}

/// Whether an answer is one turn that is learned: then all of it is, whatever it is made of.
pub(super) fn is_one_turn(answer: &[Message], origin: &Origin) -> Result<bool> {
    Ok(answer.len() == 1 && has_weight(&answer[0], 0, origin)?)
}

/// Whether the data says that a turn is to be learned: most say nothing.
pub(super) fn has_weight(message: &Message, at: usize, origin: &Origin) -> Result<bool> {
    let Some((name, weight)) = WEIGHTS.iter().find_map(|name| Some((name, message.extra.get(*name)?))) else {
        return Ok(true);
    };
    match (weight.as_bool(), weight.as_f64()) {
        (Some(learns), _) => Ok(learns),
        (None, Some(0.0)) => Ok(false),
        (None, Some(1.0)) => Ok(true),
        _ => {
            let found = shortened(&weight.to_string());
            let reason = format!("turn {}: `{name}`: expected 0 or 1, found {found}", at + 1);
            Err(DataError::Row { origin: origin.clone(), reason })
        }
    }
}

/// What data sets call the weight of a turn: LLaMA-Factory, `OpenAI`, Axolotl.
const WEIGHTS: [&str; 3] = ["loss_weight", "weight", "train"];

/// Whether the assistant says it.
pub(super) fn is_assistant(message: &Message) -> bool {
    message.role == "assistant"
}

/// The bit that marks a token as learned, above any id, so that the mark goes where the token goes.
const LEARNED: u32 = 1 << 31;

/// A token with its mark.
pub(super) fn marked(id: u32, is_learned: bool) -> u32 {
    if is_learned { id | LEARNED } else { id }
}

/// Takes the marks off the tokens.
pub(super) fn unmark<'a>(ids: impl Iterator<Item = &'a mut u32>) -> Vec<bool> {
    ids.map(|id| std::mem::replace(id, *id & !LEARNED) & LEARNED != 0).collect()
}

impl Conversation<'_> {
    /// The text, with the turns for which `is_learned` says so.
    ///
    /// # Errors
    /// A template that cannot render the messages, or whose text does not tell which part of it is which turn's.
    pub(super) fn render(&self, tokenizer: &Tokenizer, is_learned: &[bool]) -> Result<Turns> {
        let template = render::template(tokenizer, self.origin)?;
        let marked =
            template.render_marked(self.messages, self.arguments).map_err(|why| self.refuses(&why))?;
        let (text, learned, is_marked) = match marked {
            Some(Marked { text, parts }) => {
                let learned = self.chosen(parts, is_learned)?;
                (text, learned, true)
            }
            None => {
                let text = self.rendered(template, self.messages.len(), false)?;
                let learned = self.appended(template, &text, is_learned)?;
                (text, learned, false)
            }
        };
        let prompt = match self.prompt {
            0 => 0,
            prompt => {
                let header = is_assistant(&self.messages[prompt]);
                self.end_of(&self.rendered(template, prompt, header)?, &text, prompt)?
            }
        };
        Ok(Turns { text, prompt, learned, is_marked })
    }

    /// The marked parts of the turns that are learned; all of them where all of the assistant's are.
    fn chosen(&self, parts: Vec<Range<usize>>, is_learned: &[bool]) -> Result<Vec<Range<usize>>> {
        let replies = || self.messages.iter().zip(is_learned).filter(|(message, _)| is_assistant(message));
        if replies().all(|(_, &learned)| learned) {
            return Ok(parts);
        }
        let count = replies().count();
        if parts.len() != count {
            let found = parts.len();
            return Err(self.wrong(format!(
                "the chat template marks {found} parts as generated in {count} turns of the assistant, which does not tell \
                 those to learn from the others; use a template that marks each turn as a whole"
            )));
        }
        Ok(parts
            .into_iter()
            .zip(replies())
            .filter_map(|(part, (_, &learned))| learned.then_some(part))
            .collect())
    }

    /// The turns that are learned, each by what the template adds to the text of those before it.
    fn appended(
        &self,
        template: &ChatTemplate,
        text: &str,
        is_learned: &[bool],
    ) -> Result<Vec<Range<usize>>> {
        let turns = is_learned.iter().enumerate().filter(|(_, is_learned)| **is_learned);
        turns
            .map(|(turn, _)| {
                let begin = self.end_of(&self.rendered(template, turn, true)?, text, turn)?;
                let end = match turn + 1 == self.messages.len() {
                    true => text.len(),
                    false => self.end_of(&self.rendered(template, turn + 1, false)?, text, turn)?,
                };
                match begin < end {
                    true => Ok(begin..end),
                    false => {
                        Err(self.wrong(format!("turn {}: the chat template writes nothing of it", turn + 1)))
                    }
                }
            })
            .collect()
    }

    /// The text of the first `turns` messages.
    fn rendered(&self, template: &ChatTemplate, turns: usize, header: bool) -> Result<String> {
        template.render(&self.messages[..turns], header, self.arguments).map_err(|why| match turns {
            whole if whole == self.messages.len() => self.refuses(&why),
            _ => self.wrong(format!(
                "chat template: {why}, when it is given the first {turns} messages to tell the turn of the assistant that \
                 follows; use a template with `generation` marks, or `assistant_only_loss = false` to learn all turns"
            )),
        })
    }

    /// Where in the text the first turns, up to the one with this index, end.
    fn end_of(&self, beginning: &str, text: &str, turn: usize) -> Result<usize> {
        if text.starts_with(beginning) {
            return Ok(beginning.len());
        }
        let (alone, within) = render::difference(beginning, text);
        Err(self.wrong(format!(
            "turn {}: the chat template writes the turns up to it otherwise when others follow: {alone:?} becomes \
             {within:?}; set the template's switch for it in a `chat_template_kwargs` column, use a template with \
             `generation` marks or one that only appends, or learn the last turn only (`last_turn_only`) or all turns \
             (`assistant_only_loss = false`)",
            turn + 1
        )))
    }

    fn refuses(&self, reason: &str) -> DataError {
        self.wrong(format!("chat template: {reason}"))
    }

    fn wrong(&self, reason: String) -> DataError {
        DataError::Row { origin: self.origin.clone(), reason }
    }
}
