//! Constitutional critique: answers held against principles, criticised and revised.

use serde::{Deserialize, Serialize};

/// A critique: answers criticised and revised, and what became of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Critique {
    /// The model that answered first.
    pub model: String,
    /// The critic, who criticised and revised.
    pub critic: String,
    /// The principles, in their file's order.
    pub principles: Vec<Principle>,
    /// Answers criticised.
    pub answers: usize,
    /// Answers in which a violation was found.
    pub violating: usize,
    /// Answers that were revised.
    pub revised: usize,
    /// Critiques that could not be read.
    pub unreadable: usize,
    /// Mean reward before revision, where there is a reward.
    pub reward_before: Option<f64>,
    /// Mean reward after revision.
    pub reward_after: Option<f64>,
    /// The preference file that was written.
    pub preference_file: Option<String>,
    /// Its pairs.
    pub pairs: usize,
    /// Some of them in full.
    #[serde(default)]
    pub examples: Vec<CritiqueExample>,
}

/// A principle and how often it was broken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Principle {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Answers that break it.
    pub violations: usize,
}

/// An answer, its critique and its revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CritiqueExample {
    /// The prompt, without markup.
    pub prompt: String,
    /// The first answer.
    pub answer: String,
    /// The critique.
    pub critique: String,
    /// Names of the principles that the answer breaks.
    #[serde(default)]
    pub violations: Vec<String>,
    /// The critic's suggestions.
    #[serde(default)]
    pub suggestions: Vec<String>,
    /// The answer after that.
    pub revision: String,
}
