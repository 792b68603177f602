//! The true quality of answers in the world of the fixtures, as a reward that no training uses.

use align_data::{Message, Origin, Text};
use align_reward::{Reward, RewardError, Task};
use align_world::{Category, Role, judge};

/// The quality of an answer in [0, 1], by the rule of the fixtures' world; only for prompts of that world.
#[derive(Clone, Copy, Debug)]
pub struct WorldQuality;

/// What a prompt of the fixtures' world is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The kind of request: `how-to`, `sum`, …
    pub kind: String,
    /// The side of an assistant that it tests: `helpfulness` or `safety`.
    pub category: &'static str,
}

impl WorldQuality {
    /// The class of a prompt; none for a prompt of another world.
    pub fn classify(prompt: &Text) -> Option<Class> {
        let (kind, category) = judge::classify(&conversation(prompt)?)?;
        let kind = serde_json::to_value(kind).ok()?.as_str()?.to_owned();
        let category = match category {
            Category::Helpfulness => "helpfulness",
            Category::Safety => "safety",
        };
        Some(Class { kind, category })
    }

    /// Refuses prompts that the rule knows nothing of.
    ///
    /// # Errors
    /// Names the first such prompt.
    pub fn check<'a>(prompts: impl IntoIterator<Item = (&'a Text, &'a Origin)>) -> Result<(), RewardError> {
        match prompts.into_iter().find(|(prompt, _)| Self::classify(prompt).is_none()) {
            None => Ok(()),
            Some((_, origin)) => Err(foreign(origin)),
        }
    }

    /// The quality of one answer.
    ///
    /// # Errors
    /// A prompt of another world, which `origin` names.
    pub fn of(prompt: &Text, answer: &Text, origin: &Origin) -> Result<f64, RewardError> {
        let quality = conversation(prompt).and_then(|prompt| judge::quality(&prompt, &answer.readable()));
        quality.ok_or_else(|| foreign(origin))
    }
}

impl Reward for WorldQuality {
    fn name(&self) -> &str {
        "world"
    }

    fn knows(&self, prompt: &Text, origin: &Origin) -> Result<(), RewardError> {
        Self::check([(prompt, origin)])
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let of_task = |task: &Task| {
            let candidates = &task.candidates;
            let quality = |answer: &Text| Self::of(&candidates.prompt, answer, &candidates.origin);
            candidates.completions.iter().map(quality).collect()
        };
        tasks.iter().map(of_task).collect()
    }
}

fn foreign(origin: &Origin) -> RewardError {
    RewardError::Config(format!(
        "{origin}: the prompt is none of the fixtures' world, which is all that `--judge world` knows; name another judge, \
         or none"
    ))
}

/// A string is a user's message; a turn of a tool is nothing the world knows.
fn conversation(prompt: &Text) -> Option<Vec<align_world::Message>> {
    let turn = |message: &Message| {
        let role = match message.role.as_str() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return None,
        };
        Some(align_world::Message { role, content: message.content.clone().unwrap_or_default() })
    };
    match prompt {
        Text::Plain(text) => Some(vec![align_world::Message::user(text)]),
        Text::Messages(turns) => turns.iter().map(turn).collect(),
    }
}

#[cfg(test)]
mod tests {
    use align_data::{Candidates, TemplateArguments};

    use super::*;

    #[test]
    fn right_answers_are_worth_more_and_foreign_prompts_are_refused() {
        let task = |prompt: &str| {
            let candidates = Candidates {
                prompt: prompt.into(),
                completions: vec!["Four plus seven is eleven.".into(), "It is nine.".into()],
                template: TemplateArguments::default(),
                origin: Origin::in_code(0),
            };
            Task { candidates, reference: None }
        };
        let quality = WorldQuality.rewards(&[task("What is four plus seven?")]).unwrap();
        assert_eq!(quality, [[1.0, 0.1]]);
        let error = WorldQuality.rewards(&[task("Why?")]).unwrap_err().to_string();
        assert!(error.starts_with("row 1: the prompt is none of the fixtures' world"), "{error}");
    }

    #[test]
    fn prompts_of_the_world_have_a_kind_and_a_category() {
        let class = WorldQuality::classify(&"What is four plus seven?".into());
        assert_eq!(class, Some(Class { kind: "sum".to_owned(), category: "helpfulness" }));
        assert_eq!(WorldQuality::classify(&"Why?".into()), None);
        assert_eq!(WorldQuality::classify(&vec![Message::new("tool", "four")].into()), None);
    }
}
