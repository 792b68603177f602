//! Rewards as a user writes them on a command line: `numeric_answer`, `0.1*length:1..200`, `2*format:^<think>`.

use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::{ExactMatch, FormatMatch, LengthRange, NumericAnswer, Reward, RewardError};

/// What a user may write, for help and complaints.
const EXPECTED: &str = "model, length:MIN..MAX, format:REGEX, exact_match or numeric_answer, with a weight before it \
                        as in 0.5*exact_match";

/// A reward and its weight in a sum. Written `REWARD` or `WEIGHT*REWARD`.
#[derive(Clone, Debug)]
pub struct RewardSpec {
    /// As it was written.
    text: String,
    /// What it is multiplied with; 1 if none was written.
    pub weight: f64,
    /// What is asked for.
    pub kind: RewardKind,
}

/// What can be asked for by name.
#[derive(Clone, Debug)]
pub enum RewardKind {
    /// `model`: a reward model's, which is named elsewhere.
    Model,
    /// `length:MIN..MAX`: 1 for answers of so many characters, both ends included.
    Length(LengthRange),
    /// `format:REGEX`: 1 for answers in which the expression is found.
    Format(FormatMatch),
    /// `exact_match`: 1 for answers that are the reference.
    ExactMatch,
    /// `numeric_answer`: 1 for answers that state the reference's number.
    NumericAnswer,
}

impl RewardSpec {
    /// Whether it compares with a reference answer.
    pub fn needs_reference(&self) -> bool {
        matches!(self.kind, RewardKind::ExactMatch | RewardKind::NumericAnswer)
    }

    /// The rule, without its weight; none for a model's reward.
    pub fn rule(&self) -> Option<Box<dyn Reward>> {
        Some(match &self.kind {
            RewardKind::Model => return None,
            RewardKind::Length(rule) => Box::new(rule.clone()),
            RewardKind::Format(rule) => Box::new(rule.clone()),
            RewardKind::ExactMatch => Box::new(ExactMatch),
            RewardKind::NumericAnswer => Box::new(NumericAnswer),
        })
    }
}

impl FromStr for RewardSpec {
    type Err = RewardError;

    fn from_str(text: &str) -> Result<Self, RewardError> {
        // An expression may hold a `*` too, but no name does: what stands before the first one is a weight, or the
        // one is part of an expression.
        let (weight, name) = match text.split_once('*') {
            Some((weight, name)) if !weight.contains(':') => (number(weight.trim())?, name.trim()),
            _ => (1.0, text.trim()),
        };
        let kind = match name.split_once(':') {
            None if name == "model" => RewardKind::Model,
            None if name == "exact_match" => RewardKind::ExactMatch,
            None if name == "numeric_answer" => RewardKind::NumericAnswer,
            Some(("length", range)) => RewardKind::Length(length(range)?),
            Some(("format", expression)) => RewardKind::Format(FormatMatch::new(expression)?),
            _ => return Err(RewardError::Config(format!("expected {EXPECTED}, found `{name}`"))),
        };
        Ok(Self { text: text.to_owned(), weight, kind })
    }
}

impl std::fmt::Display for RewardSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for RewardSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn number(text: &str) -> Result<f64, RewardError> {
    let weight: Option<f64> = text.parse().ok().filter(|weight: &f64| weight.is_finite() && *weight != 0.0);
    let wrong = || RewardError::Config(format!("expected a weight before `*` that is not 0, found `{text}`"));
    weight.ok_or_else(wrong)
}

fn length(range: &str) -> Result<LengthRange, RewardError> {
    let wrong =
        || RewardError::Config(format!("length: expected a range such as length:1..200, found `{range}`"));
    let (min, max) = range.split_once("..").ok_or_else(wrong)?;
    match (min.trim().parse(), max.trim().parse()) {
        (Ok(min), Ok(max)) => LengthRange::new(min, max),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::task;

    fn spec(text: &str) -> RewardSpec {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn given(text: &str, answers: &[&str]) -> Vec<f64> {
        spec(text).rule().unwrap().rewards(&[task(Some("12"), answers)]).unwrap().remove(0)
    }

    #[test]
    fn rewards_are_read_with_their_weights() {
        assert_eq!(spec("model").weight, 1.0);
        assert!(matches!(spec("-0.5*model").kind, RewardKind::Model));
        assert_eq!((spec("-0.5*model").weight, spec("2 * exact_match").weight), (-0.5, 2.0));
        assert_eq!(spec("format:a*b").weight, 1.0);
        assert_eq!(given("length:1..2", &["a", "abc"]), [1.0, 0.0]);
        assert_eq!(given("3*format:^a*b$", &["aaab", "ca"]), [1.0, 0.0]);
        assert_eq!(given("format:(a|x):b", &["x:b", "xb"]), [1.0, 0.0]);
        assert_eq!(given("exact_match", &["12", "It is 12."]), [1.0, 0.0]);
        assert_eq!(given("numeric_answer", &["12", "It is 12.", "13"]), [1.0, 1.0, 0.0]);
        assert!(spec("0.5*numeric_answer").needs_reference() && !spec("length:1..2").needs_reference());
        assert!(spec("model").rule().is_none());
        assert_eq!(serde_json::to_string(&spec("0.50*model")).unwrap(), "\"0.50*model\"");
    }

    #[test]
    fn what_is_none_is_named_with_what_would_be_one() {
        let complaint = |text: &str| text.parse::<RewardSpec>().unwrap_err().to_string();
        assert!(complaint("lenght:1..2").contains("expected model, length:MIN..MAX"));
        assert!(complaint("lenght:1..2").ends_with("found `lenght:1..2`"));
        assert!(complaint("half*model").contains("expected a weight before `*` that is not 0, found `half`"));
        assert!(complaint("0*model").contains("found `0`"));
        assert!(complaint("length:9").contains("a range such as length:1..200, found `9`"));
        assert!(complaint("length:9..1").contains("from the shorter to the longer"));
        assert!(complaint("format:(").contains("`(` is not a regular expression"));
    }
}
