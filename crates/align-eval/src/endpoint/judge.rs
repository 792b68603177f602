//! An endpoint as a judge: asked about each pair of answers in both orders.
//!
//! Models prefer answers by their place. Asked twice, a judge that only looks at the place gives a tie, and how often it
//! contradicts itself is reported.

use std::sync::{Mutex, PoisonError};

use super::asking::ask_all;
use super::client::{ChatClient, EndpointError};
use super::verdict::{Criteria, Preferred, read};
use crate::Result;
use crate::judge::{Judge, Opinion, Opinions, Slate};

/// Compares by asking.
pub struct EndpointJudge {
    client: ChatClient,
    criteria: Criteria,
    name: String,
    notes: Mutex<Vec<String>>,
}

/// One question: which slate, which of its answers against the first, which of the two is shown first.
#[derive(Clone, Copy)]
struct Question {
    slate: usize,
    answer: usize,
    baseline_first: bool,
}

impl EndpointJudge {
    /// A judge by these criteria.
    pub fn new(client: ChatClient, criteria: Criteria) -> Self {
        let options = client.options();
        let name = format!("{} at {}", options.model, options.base_url);
        Self { client, criteria, name, notes: Mutex::default() }
    }

    /// The endpoint.
    pub fn client(&self) -> &ChatClient {
        &self.client
    }

    fn ask(&self, slates: &[Slate], question: Question) -> std::result::Result<Preferred, EndpointError> {
        let slate = &slates[question.slate];
        let (baseline, answer) = (slate.answers[0].as_str(), slate.answers[question.answer].as_str());
        let (first, second) = if question.baseline_first { (baseline, answer) } else { (answer, baseline) };
        let turns = self.criteria.question(&slate.task.prompt.prompt, first, second);
        self.client.ask(&turns, read)
    }
}

impl Judge for EndpointJudge {
    fn kind(&self) -> &str {
        "endpoint"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_asked_per_answer(&self) -> bool {
        true
    }

    fn judge(&self, slates: &[Slate]) -> Result<Vec<Opinions>> {
        let places =
            slates.iter().enumerate().flat_map(|(slate, it)| (1..it.answers.len()).map(move |j| (slate, j)));
        // The same answer twice is a tie that nobody need be asked about.
        let differ =
            |&(slate, answer): &(usize, usize)| slates[slate].answers[answer] != slates[slate].answers[0];
        let pairs: Vec<(usize, usize)> = places.filter(differ).collect();
        let questions: Vec<Question> = pairs
            .iter()
            .flat_map(|&(slate, answer)| {
                [true, false].map(|baseline_first| Question { slate, answer, baseline_first })
            })
            .collect();
        let mut found =
            ask_all(questions.len(), self.client.options().concurrency, |it| self.ask(slates, questions[it]));
        if let Some(note) = found.account(&self.client)? {
            tracing::warn!("{note}");
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        }

        let tie = || Some(Opinion { preference: 0.5, is_consistent: Some(true), reason: None });
        let opinions = |slate: &Slate| Opinions {
            scores: None,
            opinions: slate.answers[1..].iter().map(|_| tie()).collect(),
        };
        let mut all: Vec<Opinions> = slates.iter().map(opinions).collect();
        for (&(slate, answer), verdicts) in pairs.iter().zip(found.answers.chunks(2)) {
            all[slate].opinions[answer - 1] = match verdicts {
                [Some(baseline_first), Some(answer_first)] => Some(opinion(baseline_first, answer_first)),
                _ => None,
            };
        }
        Ok(all)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The mean of both orders: a contradiction is a tie.
fn opinion(baseline_first: &Preferred, answer_first: &Preferred) -> Opinion {
    let preference = |place: Option<usize>, own: usize| match place {
        None => 0.5,
        Some(place) => f64::from(u8::from(place == own)),
    };
    let (second, first) = (preference(baseline_first.place, 1), preference(answer_first.place, 0));
    Opinion {
        preference: (first + second) / 2.0,
        is_consistent: Some(first == second),
        reason: Some(answer_first.reason.clone()).filter(|reason| !reason.is_empty()),
    }
}
