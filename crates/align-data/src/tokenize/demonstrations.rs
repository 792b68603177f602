//! Demonstrations to token ids with a loss mask: which part of each is learned.

use serde::Serialize;

use super::boundary::Encoder;
use super::collect::collect;
use super::report::{RowOutcome, TokenizeReport};
use super::truncate::Lengths;
use super::turns::{self, Conversation};
use super::{TokenizeOptions, ending, render};
use crate::error::{DataError, Result};
use crate::record::{Demonstration, DemonstrationBody, Message, Origin, Text};
use crate::tokenizer::Tokenizer;

/// The learned part of demonstrations: which of their tokens are labels. Made by checking
/// [`DemonstrationOptions`](crate::DemonstrationOptions).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LearnedPart {
    /// Of a prompt with its completion, whether the completion alone; none is true for such rows.
    pub completion_only_loss: Option<bool>,
    /// Of a conversation, whether the assistant's turns alone; none is true for conversations.
    pub assistant_only_loss: Option<bool>,
    /// Of the assistant's turns, whether the last one alone.
    pub last_turn_only: bool,
    /// Of those, whether with the reasoning before the answer; none is as the chat template has it.
    pub train_on_reasoning: Option<bool>,
}

/// A demonstration as token ids with its loss mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedExample {
    /// The whole sequence.
    pub tokens: Vec<u32>,
    /// `[tokens]`; true where the token is a label. The first token can be marked but is never predicted.
    pub mask: Vec<bool>,
    /// Index of the record it was made of.
    pub row: usize,
    /// The record's origin.
    pub origin: Origin,
}

/// Token ids and masks of demonstrations, and what happened to them.
///
/// Of a conversation the assistant's turns are learned with what ends them, and so they are of a completion in which
/// others have turns (a tool, say): by the `{% generation %}` marks of the chat template, or where it has none by
/// rendering the conversation turn by turn. Texts are learned whole.
///
/// # Errors
/// As [`tokenize_pairs`](crate::tokenize_pairs); and an option about prompts, completions or turns for a row that is not
/// divided into them. A conversation whose turns cannot be told apart in its text is a row that cannot be used.
pub fn tokenize_demonstrations(
    demonstrations: &[Demonstration],
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
    learned: &LearnedPart,
) -> Result<(Vec<TokenizedExample>, TokenizeReport)> {
    collect(demonstrations, options, demonstrations_tokenized(tokenizer, options, learned)?)
}

/// What makes token ids of a demonstration.
pub(crate) fn demonstrations_tokenized<'a>(
    tokenizer: &'a Tokenizer,
    options: &'a TokenizeOptions,
    learned: &'a LearnedPart,
) -> Result<impl Fn(usize, &Demonstration) -> Result<RowOutcome<TokenizedExample>> + 'a> {
    let encoder = Encoder::new(tokenizer, options.add_bos_token)?;
    let lengths = Lengths::new(options, tokenizer);
    let marks = Marks { tokenizer, options, learned, encoder, lengths };
    Ok(move |row, demonstration: &Demonstration| marks.tokenize(row, demonstration))
}

/// What turns demonstrations into token ids.
struct Marks<'a> {
    tokenizer: &'a Tokenizer,
    options: &'a TokenizeOptions,
    learned: &'a LearnedPart,
    encoder: Encoder<'a>,
    lengths: Lengths<'a>,
}

/// Refuses turns that are not to be learned where all of them are.
fn refuse_weights(messages: &[Message], origin: &Origin) -> Result<()> {
    for (at, message) in messages.iter().enumerate() {
        if !turns::has_weight(message, at, origin)? {
            let reason = format!(
                "turn {}: its weight of 0 says that it is not to be learned, and `assistant_only_loss = false` learns all turns",
                at + 1
            );
            return Err(DataError::Row { origin: origin.clone(), reason });
        }
    }
    Ok(())
}

impl Marks<'_> {
    fn tokenize(&self, row: usize, demonstration: &Demonstration) -> Result<RowOutcome<TokenizedExample>> {
        let Demonstration { body, origin, .. } = demonstration;
        let (outcome, tokens, mask) = match body {
            DemonstrationBody::Text { text } => {
                self.refuse_for_prompts(origin)?;
                self.refuse_for_turns(origin)?;
                self.whole(&render::whole_text(text))?
            }
            DemonstrationBody::Messages { messages } => {
                self.refuse_for_prompts(origin)?;
                match self.learned.assistant_only_loss {
                    Some(false) => {
                        refuse_weights(messages, origin)?;
                        let template = &demonstration.template;
                        self.whole(&render::conversation(self.tokenizer, messages, template, origin)?)?
                    }
                    _ => self.turns(demonstration, messages, 0)?,
                }
            }
            DemonstrationBody::PromptCompletion {
                prompt: Text::Messages(prompt),
                completion: Text::Messages(completion),
            } if self.is_by_turns(completion, origin)? => {
                let messages = [prompt.as_slice(), completion.as_slice()].concat();
                self.turns(demonstration, &messages, prompt.len())?
            }
            DemonstrationBody::PromptCompletion { prompt, completion } => {
                if matches!(prompt, Text::Plain(_)) {
                    self.refuse_for_turns(origin)?;
                }
                self.prompt_completion(demonstration, prompt, completion)?
            }
        };
        Ok(outcome.with(TokenizedExample { tokens, mask, row, origin: origin.clone() }))
    }

    /// Whether the completion of a conversation is more than one turn to be learned, or less.
    fn is_by_turns(&self, completion: &[Message], origin: &Origin) -> Result<bool> {
        let LearnedPart { completion_only_loss, assistant_only_loss, last_turn_only, .. } = self.learned;
        // All of it is learned, whatever it is made of.
        let learns_all = *completion_only_loss == Some(false) && assistant_only_loss.is_none();
        if *assistant_only_loss == Some(false) || (learns_all && !last_turn_only) {
            return Ok(false);
        }
        let learns_earlier_turns = *assistant_only_loss == Some(true) && *completion_only_loss == Some(false);
        Ok(!turns::is_one_turn(completion, origin)? || *last_turn_only || learns_earlier_turns)
    }

    /// One text, learned whole.
    fn whole(&self, text: &render::Rendered) -> Result<(RowOutcome<()>, Vec<u32>, Vec<bool>)> {
        let cut = self.lengths.fit_whole(self.encoder.whole(text)?);
        let outcome = RowOutcome::of(&cut, false, |ids| ending::of(self.tokenizer, ids));
        let tokens: Vec<u32> = cut.completions.into_iter().flatten().collect();
        let mask = vec![true; tokens.len()];
        Ok((outcome, tokens, mask))
    }

    fn prompt_completion(
        &self,
        demonstration: &Demonstration,
        prompt: &Text,
        completion: &Text,
    ) -> Result<(RowOutcome<()>, Vec<u32>, Vec<bool>)> {
        let Demonstration { template, origin, .. } = demonstration;
        let text = render::answer(self.tokenizer, prompt, completion, template, origin)?;
        let last = if let Text::Messages(turns) = completion { turns.last() } else { None };
        self.learned.check_reasoning(last, &text.completion, origin)?;
        let prompt = self.encoder.prompt(&text)?;
        let completion = self.encoder.completion(&text, &prompt)?;
        let cut = self.lengths.fit(self.encoder.framed(prompt), vec![completion.ids]);
        let mut outcome = RowOutcome::of(&cut, completion.repaired, |ids| ending::of(self.tokenizer, ids));
        let learn_prompt = self.learned.completion_only_loss == Some(false);
        if learn_prompt {
            outcome.learn_prompt(cut.prompt.len());
        }
        let mut mask = vec![learn_prompt; cut.prompt.len()];
        let mut tokens = cut.prompt;
        tokens.extend(cut.completions.into_iter().flatten());
        mask.resize(tokens.len(), true);
        Ok((outcome, tokens, mask))
    }

    /// A conversation whose first `prompt` turns are its prompt, of which the assistant's turns are learned.
    fn turns(
        &self,
        demonstration: &Demonstration,
        messages: &[Message],
        prompt: usize,
    ) -> Result<(RowOutcome<()>, Vec<u32>, Vec<bool>)> {
        let Demonstration { template, origin, .. } = demonstration;
        let first = if self.learned.completion_only_loss == Some(false) { 0 } else { prompt };
        let conversation = Conversation { messages, prompt, arguments: template, origin };
        let is_learned = turns::learned(messages, first, self.learned.last_turn_only, origin)?;
        let text = conversation.render(self.tokenizer, &is_learned)?;
        let own: String = text.learned.iter().map(|turn| &text.text[turn.clone()]).collect();
        let last = messages.iter().zip(&is_learned).rev().find_map(|(turn, learned)| learned.then_some(turn));
        self.learned.check_reasoning(last, &own, origin)?;
        let ends_with_reply = messages.last().is_some_and(turns::is_assistant);
        let row = self.encoder.turns(&text, ends_with_reply)?;
        let (mut before, completion) = row.marked();
        let mut cut = match prompt {
            0 => self.lengths.fit_whole(completion),
            _ => self.lengths.fit(std::mem::take(&mut before), vec![completion]),
        };
        let mask = turns::unmark(cut.prompt.iter_mut().chain(cut.completions.iter_mut().flatten()));
        let ending = |ids: &[u32]| ending::of(self.tokenizer, ids);
        let mut outcome = RowOutcome::of(&cut, row.repaired, ending);
        let is_whole = cut.complete == [true];
        let tokens: Vec<u32> = cut.prompt.into_iter().chain(cut.completions.into_iter().flatten()).collect();
        outcome.learn_turns(&tokens, &mask, is_whole, ending);
        outcome.report.turns_by_marks = usize::from(text.is_marked);
        outcome.report.turns_by_rendering = usize::from(!text.is_marked);
        Ok((outcome, tokens, mask))
    }

    /// Refuses options that are about prompts and completions apart, for a row that is one text. Nothing says where in it a
    /// prompt would end, so they could not be applied.
    fn refuse_for_prompts(&self, row: &Origin) -> Result<()> {
        let only = self.learned.completion_only_loss.filter(|&only| only);
        let given = [
            ("completion_only_loss", only.map(|only| only.to_string())),
            ("max_prompt_length", self.options.max_prompt_length.map(|tokens| tokens.to_string())),
            ("max_completion_length", self.options.max_completion_length.map(|tokens| tokens.to_string())),
        ];
        refuse(given, &format!("needs `prompt` and `completion` columns, which {row} lacks"))
    }

    /// Refuses options that are about turns, for a row of plain text.
    fn refuse_for_turns(&self, row: &Origin) -> Result<()> {
        let only = self.learned.assistant_only_loss.filter(|&only| only);
        let given = [
            ("assistant_only_loss", only.map(|only| only.to_string())),
            ("last_turn_only", self.learned.last_turn_only.then(|| "true".to_owned())),
        ];
        refuse(given, &format!("needs conversations, which {row} is not: it is plain text"))
    }
}

fn refuse<const N: usize>(given: [(&'static str, Option<String>); N], rule: &str) -> Result<()> {
    match given.into_iter().find_map(|(field, value)| Some((field, value?))) {
        None => Ok(()),
        Some((field, value)) => Err(DataError::Option { field, rule: rule.to_owned(), value }),
    }
}
