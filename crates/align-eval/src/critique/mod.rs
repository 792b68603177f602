//! Constitutional critique (Bai et al. 2022, arXiv:2212.08073): answers are held against written principles, criticised
//! and revised by a model, and what was revised becomes a preference pair to train on.
//!
//! Principles are applied one after the other, each to the answer as the ones before left it, as in the paper; unlike
//! there, an answer that keeps a principle is not revised by it. The first answer is rejected, the last one chosen.

mod chat;
mod principle;
mod reading;

use align_data::{Message, PromptOnly, Text};
use align_report::{Critique, CritiqueExample, Principle as ReportPrinciple};
use serde::Serialize;

pub use chat::{Chat, EndpointChat, PolicyChat};
pub use principle::Principle;
pub use reading::Finding;

use crate::Result;
use crate::text::reply;

/// Examples that the report shows.
const SHOWN: usize = 20;

/// A model that criticises answers by principles and writes them anew.
pub struct ConstitutionalCritic<'a> {
    chat: &'a dyn Chat,
    principles: Vec<Principle>,
}

/// An answer on its way through the principles.
#[derive(Clone, Debug)]
pub struct Criticised {
    /// What was asked.
    pub prompt: PromptOnly,
    /// The first answer.
    pub answer: String,
    /// The answer after all revisions; the first one if there was none.
    pub revision: String,
    /// The principles that were found broken, by their place, with the critiques.
    pub findings: Vec<(usize, Finding)>,
    /// Critiques that could not be read, and conversations that had no room for one.
    pub unreadable: usize,
}

/// A row of a preference file.
#[derive(Clone, Debug, Serialize)]
pub struct RevisedPair {
    /// What was asked.
    #[serde(flatten)]
    pub prompt: PromptOnly,
    /// The revision.
    pub chosen: Text,
    /// The first answer.
    pub rejected: Text,
    /// Names of the principles that it broke.
    pub principles: Vec<String>,
    /// What was said of it.
    pub critique: String,
}

impl<'a> ConstitutionalCritic<'a> {
    /// A critic with these principles, in the order in which they are applied.
    pub fn new(chat: &'a dyn Chat, principles: Vec<Principle>) -> Self {
        Self { chat, principles }
    }

    /// The principles.
    pub fn principles(&self) -> &[Principle] {
        &self.principles
    }

    /// Which principle each answer breaks according to the critic, and what it suggests; `None` where the critique cannot
    /// be read.
    ///
    /// # Errors
    /// If the model cannot be asked.
    pub fn critique(
        &self,
        answers: &[(&PromptOnly, &str)],
        principle: usize,
    ) -> Result<Vec<Option<Finding>>> {
        let principle = &self.principles[principle];
        let conversations: Vec<Vec<Message>> = answers
            .iter()
            .map(|(prompt, answer)| conversation(prompt, &[answer, principle.critique.as_str()]))
            .collect();
        let critiques = self.chat.replies(&conversations)?;
        Ok(critiques.into_iter().map(|critique| reading::read(&critique?, principle)).collect())
    }

    /// Answers written anew after their critiques; `None` where the model said nothing.
    ///
    /// # Errors
    /// If the model cannot be asked.
    pub fn revise(
        &self,
        answers: &[(&PromptOnly, &str, &str)],
        principle: usize,
    ) -> Result<Vec<Option<String>>> {
        let principle = &self.principles[principle];
        let conversations: Vec<Vec<Message>> = answers
            .iter()
            .map(|(prompt, answer, critique)| {
                conversation(
                    prompt,
                    &[answer, principle.critique.as_str(), critique, principle.revision.as_str()],
                )
            })
            .collect();
        let revisions = self.chat.replies(&conversations)?;
        let some =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(revisions.into_iter().map(some).collect())
    }

    /// Critique and revision by all principles.
    ///
    /// # Errors
    /// If the model cannot be asked.
    pub fn apply(&self, answers: Vec<(PromptOnly, String)>) -> Result<Vec<Criticised>> {
        let begun = |(prompt, answer): (PromptOnly, String)| Criticised {
            prompt,
            revision: answer.clone(),
            answer,
            findings: Vec::new(),
            unreadable: 0,
        };
        let mut all: Vec<Criticised> = answers.into_iter().map(begun).collect();
        for principle in 0..self.principles.len() {
            let shown: Vec<(&PromptOnly, &str)> =
                all.iter().map(|it| (&it.prompt, it.revision.as_str())).collect();
            let findings = self.critique(&shown, principle)?;
            let broken: Vec<usize> = (0..all.len())
                .filter(|&place| findings[place].as_ref().is_some_and(|finding| finding.is_violation))
                .collect();
            let revised: Vec<(&PromptOnly, &str, &str)> = broken
                .iter()
                .filter_map(|&place| {
                    let finding = findings[place].as_ref()?;
                    Some((&all[place].prompt, all[place].revision.as_str(), finding.critique.as_str()))
                })
                .collect();
            let revisions = self.revise(&revised, principle)?;
            for (&place, revision) in broken.iter().zip(revisions) {
                all[place].revision = revision.unwrap_or_else(|| all[place].revision.clone());
            }
            for (criticised, finding) in all.iter_mut().zip(findings) {
                match finding {
                    None => criticised.unreadable += 1,
                    Some(finding) if finding.is_violation => criticised.findings.push((principle, finding)),
                    Some(_) => {}
                }
            }
        }
        Ok(all)
    }

    /// The section of a report. `model` answered first; `rewards` are those of each answer before and after, where there
    /// is a reward.
    pub fn report(&self, model: &str, criticised: &[Criticised], rewards: Option<&[(f64, f64)]>) -> Critique {
        let principle = |(place, principle): (usize, &Principle)| ReportPrinciple {
            name: principle.name.clone(),
            text: principle.text.clone(),
            violations: criticised.iter().filter(|it| it.findings.iter().any(|(of, _)| *of == place)).count(),
        };
        let mean = |side: fn(&(f64, f64)) -> f64| {
            let rewards = rewards.filter(|rewards| !rewards.is_empty())?;
            Some(rewards.iter().map(side).sum::<f64>() / rewards.len() as f64)
        };
        let shown = criticised.iter().filter(|it| it.is_revised()).take(SHOWN);
        Critique {
            model: model.to_owned(),
            critic: self.chat.name().to_owned(),
            principles: self.principles.iter().enumerate().map(principle).collect(),
            answers: criticised.len(),
            violating: criticised.iter().filter(|it| !it.findings.is_empty()).count(),
            revised: criticised.iter().filter(|it| it.is_revised()).count(),
            unreadable: criticised.iter().map(|it| it.unreadable).sum(),
            reward_before: mean(|it| it.0),
            reward_after: mean(|it| it.1),
            preference_file: None,
            pairs: 0,
            examples: shown.map(|it| self.example(it)).collect(),
        }
    }

    /// The pair to train on; none if nothing was revised.
    pub fn pair(&self, criticised: &Criticised) -> Option<RevisedPair> {
        let prompt = &criticised.prompt.prompt;
        criticised.is_revised().then(|| RevisedPair {
            prompt: criticised.prompt.clone(),
            chosen: reply(prompt, criticised.revision.as_str()),
            rejected: reply(prompt, criticised.answer.trim()),
            principles: self.names(criticised),
            critique: critiques(criticised),
        })
    }

    fn names(&self, criticised: &Criticised) -> Vec<String> {
        criticised.findings.iter().map(|(place, _)| self.principles[*place].name.clone()).collect()
    }

    fn example(&self, criticised: &Criticised) -> CritiqueExample {
        CritiqueExample {
            prompt: criticised.prompt.prompt.readable(),
            answer: criticised.answer.trim().to_owned(),
            critique: critiques(criticised),
            violations: self.names(criticised),
            suggestions: criticised.findings.iter().flat_map(|(_, it)| it.suggestions.clone()).collect(),
            revision: criticised.revision.clone(),
        }
    }
}

impl Criticised {
    /// Whether there is a revision that says something else than the answer.
    pub fn is_revised(&self) -> bool {
        !self.answer.trim().is_empty() && self.revision.trim() != self.answer.trim()
    }
}

fn critiques(criticised: &Criticised) -> String {
    criticised.findings.iter().map(|(_, it)| it.critique.as_str()).collect::<Vec<_>>().join("\n")
}

/// The prompt, then turns of the assistant's and the user's by turns.
fn conversation(prompt: &PromptOnly, turns: &[&str]) -> Vec<Message> {
    let mut messages = match &prompt.prompt {
        Text::Plain(text) => vec![Message::new("user", text)],
        Text::Messages(messages) => messages.clone(),
    };
    let roles = ["assistant", "user"].into_iter().cycle();
    messages.extend(roles.zip(turns).map(|(role, text)| Message::new(role, *text)));
    messages
}
