//! Answers to one prompt to token ids, all behind the very same prompt tokens, with the tokens among them that are not to be
//! learned.
//!
//! Of an answer of several turns (a call of a tool, its result, a reply) the assistant's are learned, as in demonstrations:
//! what a tool says is context. So is a turn that the data gives a weight of 0.

use super::boundary::{Completion, Encoder, Prompt};
use super::render::{self, Rendered};
use super::report::{DropReason, RowOutcome};
use super::truncate::{Cut, Lengths};
use super::turns::{self, Conversation, is_one_turn};
use super::{TokenizeOptions, ending};
use crate::error::Result;
use crate::record::{Origin, TemplateArguments, Text};
use crate::tokenizer::Tokenizer;

/// What turns a prompt and its answers into token ids.
pub(super) struct Answers<'a> {
    tokenizer: &'a Tokenizer,
    encoder: Encoder<'a>,
    lengths: Lengths<'a>,
}

/// A prompt with its answers, cut.
pub(super) struct Answered {
    pub(super) cut: Cut,
    /// The answers before they were cut.
    pub(super) whole: Vec<Vec<u32>>,
    /// Places of tokens that are not learned, in the answers put one behind the other.
    pub(super) unlearned: Vec<u32>,
    /// The same in the answers before they were cut.
    pub(super) unlearned_of_whole: Vec<u32>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, options: &'a TokenizeOptions) -> Result<Self> {
        let encoder = Encoder::new(tokenizer, options.add_bos_token)?;
        Ok(Self { tokenizer, encoder, lengths: Lengths::new(options, tokenizer) })
    }

    /// The answers behind their prompt.
    pub(super) fn tokenize<'t>(
        &self,
        prompt: &Text,
        answers: impl Iterator<Item = &'t Text>,
        arguments: &TemplateArguments,
        origin: &Origin,
    ) -> Result<(RowOutcome<()>, Answered)> {
        let render = |text| Ok((text, render::answer(self.tokenizer, prompt, text, arguments, origin)?));
        let texts = answers.map(render).collect::<Result<Vec<_>>>()?;
        let ids = self.encoder.prompt(&texts[0].1)?;
        let (mut by_marks, mut by_rendering, mut repaired) = (false, false, false);
        let mut whole = Vec::with_capacity(texts.len());
        for (answer, text) in &texts {
            let (completion, is_marked) = self.answer(prompt, answer, text, &ids, arguments, origin)?;
            repaired |= completion.repaired;
            by_marks |= is_marked == Some(true);
            by_rendering |= is_marked == Some(false);
            whole.push(completion.ids);
        }
        let mut cut = self.lengths.fit_compared(self.encoder.framed(ids), whole.clone());
        let teaches = |ids: &Vec<u32>| ids.iter().any(|&id| turns::marked(id, true) == id);
        let nothing = !cut.completions.iter().all(teaches);
        let unlearned = unmarked(&mut cut.completions);
        let mut outcome = RowOutcome::of(&cut, repaired, |ids| ending::of(self.tokenizer, ids));
        if nothing {
            outcome.drop_for(DropReason::NothingToLearn);
        }
        outcome.report.supervised_tokens -= unlearned.len();
        outcome.report.turns_by_marks = usize::from(by_marks);
        outcome.report.turns_by_rendering = usize::from(by_rendering && !by_marks);
        let unlearned_of_whole = unmarked(&mut whole);
        Ok((outcome, Answered { cut, whole, unlearned, unlearned_of_whole }))
    }

    /// An answer's token ids, those that are learned marked; and where it has several turns, whether the template's marks
    /// told them apart.
    fn answer(
        &self,
        prompt: &Text,
        answer: &Text,
        text: &Rendered,
        before: &Prompt,
        arguments: &TemplateArguments,
        origin: &Origin,
    ) -> Result<(Completion, Option<bool>)> {
        if let (Text::Messages(prompt), Text::Messages(answer)) = (prompt, answer)
            && !is_one_turn(answer, origin)?
        {
            let messages = [prompt.as_slice(), answer.as_slice()].concat();
            let conversation = Conversation { messages: &messages, prompt: prompt.len(), arguments, origin };
            let is_learned = turns::learned(&messages, prompt.len(), false, origin)?;
            let turns = conversation.render(self.tokenizer, &is_learned)?;
            let ends_with_reply = messages.last().is_some_and(turns::is_assistant);
            let completion = self.encoder.turns_after(before, &turns, ends_with_reply)?;
            return Ok((completion, Some(turns.is_marked)));
        }
        let mut completion = self.encoder.completion(text, before)?;
        completion.ids.iter_mut().for_each(|id| *id = turns::marked(*id, true));
        Ok((completion, None))
    }
}

/// Takes the marks off the tokens of answers; the places of those that have none, in all of them one behind the other.
fn unmarked(answers: &mut [Vec<u32>]) -> Vec<u32> {
    let learned = turns::unmark(answers.iter_mut().flatten());
    (0..).zip(learned).filter_map(|(place, learned)| (!learned).then_some(place)).collect()
}
