//! Several answers to one prompt: to be scored, or in the order of their quality.

use serde::Serialize;

use super::{Origin, PreferencePair, TemplateArguments, Text};

/// The candidates: answers to one prompt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidates {
    /// The prompt that they reply to.
    pub prompt: Text,
    /// The answers; at least one.
    pub completions: Vec<Text>,
    /// Tools and template variables of this row.
    #[serde(flatten)]
    pub template: TemplateArguments,
    /// The row.
    #[serde(skip)]
    pub origin: Origin,
}

/// A ranking: answers to one prompt, the best first. A preference pair, or a longer list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// The answers; at least two.
    #[serde(flatten)]
    pub answers: Candidates,
    /// The margin by which the chosen answer of a pair should win at least, where the data says so.
    pub margin: Option<f64>,
    /// The row's source, as the data names it: figures are reported for each source too.
    pub source: Option<String>,
}

impl From<PreferencePair> for Candidates {
    fn from(pair: PreferencePair) -> Self {
        let PreferencePair { prompt, chosen, rejected, template, origin, .. } = pair;
        Self { prompt, completions: vec![chosen, rejected], template, origin }
    }
}
