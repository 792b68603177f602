//! The true quality of answers in the world of the fixtures, as a reward that no training uses.

use align_data::{Message, Text};
use align_reward::{Reward, RewardError, Task};
use align_world::Role;

/// The quality of an answer in [0, 1], by the rule of the fixtures' world; only for prompts of that world.
#[derive(Clone, Copy, Debug)]
pub struct WorldQuality;

impl WorldQuality {
    /// Helpfulness or safety, and the kind of request; none for a prompt of another world.
    pub fn classify(prompt: &Text) -> Option<(align_world::Kind, align_world::Category)> {
        align_world::judge::classify(&conversation(prompt)?)
    }
}

impl Reward for WorldQuality {
    fn name(&self) -> &str {
        "world"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let of_task = |task: &Task| {
            let candidates = &task.candidates;
            let foreign = || {
                RewardError::Config(format!(
                    "{}: the prompt is none of the fixtures' world, so that its rule cannot judge the answer; name \
                     another judge",
                    candidates.origin
                ))
            };
            let prompt = conversation(&candidates.prompt).ok_or_else(foreign)?;
            let quality = |answer: &Text| {
                align_world::judge::quality(&prompt, &crate::text::readable(answer)).ok_or_else(foreign)
            };
            candidates.completions.iter().map(quality).collect()
        };
        tasks.iter().map(of_task).collect()
    }
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
    use align_data::{Candidates, Origin, TemplateArguments};

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
}
