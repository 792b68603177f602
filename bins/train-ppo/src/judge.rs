//! The rule of the embedded world as a measure: it knows what a good answer is, and no training uses it.

use align_data::{Text, TokenizedTask};
use align_ppo::ScoreSource;
use align_reward::{Reward, RewardError, Task};
use align_world::{Message, Role, judge};

/// The world's judge, if every prompt is one of its own.
pub(crate) fn of_this_world(tasks: &[TokenizedTask]) -> Option<(String, ScoreSource)> {
    let known = |task: &TokenizedTask| {
        messages(&task.task.prompt.prompt).is_some_and(|it| judge::classify(&it).is_some())
    };
    let all = !tasks.is_empty() && tasks.iter().all(known);
    all.then(|| (WorldJudge.name().to_owned(), ScoreSource::Texts(Box::new(WorldJudge))))
}

struct WorldJudge;

impl Reward for WorldJudge {
    fn name(&self) -> &str {
        "world judge"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let of_task = |task: &Task| {
            let candidates = &task.candidates;
            let foreign = || {
                let problem = format!("{}: the prompt is none of the judge's world", candidates.origin);
                RewardError::Config(problem)
            };
            let prompt = messages(&candidates.prompt).ok_or_else(foreign)?;
            let quality = |answer: &Text| judge::quality(&prompt, &plain(answer)).ok_or_else(foreign);
            candidates.completions.iter().map(quality).collect()
        };
        tasks.iter().map(of_task).collect()
    }
}

/// A conversation in the world's terms.
fn messages(prompt: &Text) -> Option<Vec<Message>> {
    let Text::Messages(messages) = prompt else { return None };
    let message = |message: &align_data::Message| {
        let role = match message.role.as_str() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return None,
        };
        Some(Message { role, content: message.content.clone()? })
    };
    messages.iter().map(message).collect()
}

fn plain(answer: &Text) -> String {
    match answer {
        Text::Plain(text) => text.clone(),
        Text::Messages(messages) => {
            messages.iter().filter_map(|message| message.content.as_deref()).collect::<Vec<_>>().join("\n")
        }
    }
}
