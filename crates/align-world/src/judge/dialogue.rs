//! What a whole prompt asks for: an answer, a critique of one, or a revision; and what is wrong with a critique.

use super::diagnosis::diagnose;
use super::markers::UNKIND;
use super::words::Reading;
use crate::critique::{CRITIQUE_REQUESTS, REVISION_REQUESTS, VERDICTS};
use crate::fault::Fault;
use crate::kind::{Category, Kind};
use crate::record::{Message, Role};
use crate::request::Request;

/// What the next message has to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Task {
    /// Answer the request.
    Answer(Request),
    /// Criticise an answer to the request that has this fault.
    Critique(Request, Option<Fault>),
    /// Answer the request better than before.
    Revise(Request),
}

impl Task {
    /// The task a prompt sets, `None` if it is none of this world's. System messages do not matter.
    pub(super) fn read(prompt: &[Message]) -> Option<Self> {
        let turns: Vec<&Message> = prompt.iter().filter(|message| message.role != Role::System).collect();
        let (last, before) = turns.split_last()?;
        if last.role != Role::User {
            return None;
        }
        if asks(last, REVISION_REQUESTS) {
            return Request::parse(&before.first()?.content).map(Self::Revise);
        }
        if asks(last, CRITIQUE_REQUESTS) {
            let (answer, before) = before.split_last()?;
            let request = Request::parse(&before.last()?.content)?;
            return Some(Self::Critique(request, diagnose(request, &answer.content)));
        }
        Request::parse(&last.content).map(Self::Answer)
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Answer(request) => request.kind(),
            Self::Critique(..) => Kind::Critique,
            Self::Revise(_) => Kind::Revision,
        }
    }

    pub(super) fn category(&self) -> Category {
        match self {
            Self::Answer(request) | Self::Critique(request, _) | Self::Revise(request) => request.category(),
        }
    }

    /// What is wrong with `completion` as the next message.
    pub(super) fn diagnose(&self, completion: &str) -> Option<Fault> {
        match self {
            Self::Answer(request) | Self::Revise(request) => diagnose(*request, completion),
            Self::Critique(_, truth) => of_critique(*truth, completion),
        }
    }
}

fn asks(message: &Message, requests: &[&str]) -> bool {
    requests.iter().any(|request| message.content.contains(request))
}

/// Helpful: the true verdict first, and a reason or remedy after it.
fn of_critique(truth: Option<Fault>, completion: &str) -> Option<Fault> {
    let critique = Reading::new(completion);
    if critique.has_any(UNKIND) {
        return Some(Fault::Rude);
    }
    let sentences =
        VERDICTS.iter().flat_map(|(verdict, sentences)| sentences.iter().map(move |it| (verdict, it)));
    let places =
        sentences.filter_map(|(verdict, sentence)| Some((critique.find(sentence)?, verdict, sentence)));
    let Some((_, verdict, sentence)) = places.min_by_key(|(place, ..)| *place) else {
        return Some(Fault::Evasive);
    };
    if *verdict != truth {
        return Some(Fault::Wrong);
    }
    let reason = critique.length - Reading::new(sentence).length;
    (reason < 3).then_some(Fault::Curt)
}
