//! A reward as a judge: the answer with the higher reward is better, whoever gives the rewards.

use align_data::Candidates;
use align_reward::{Reward, Task};

use super::{Judge, Opinion, Opinions, Slate};
use crate::text::reply;
use crate::{Error, Result};

/// Compares by rewards.
pub struct RewardJudge<'a> {
    reward: &'a dyn Reward,
    kind: &'static str,
    name: String,
}

impl<'a> RewardJudge<'a> {
    /// A judge whose scores a model gives.
    pub fn model(reward: &'a dyn Reward, name: impl Into<String>) -> Self {
        Self { reward, kind: "reward_model", name: name.into() }
    }

    /// A judge whose scores follow from a rule.
    pub fn rule(reward: &'a dyn Reward) -> Self {
        Self { reward, kind: "rule", name: reward.name().to_owned() }
    }
}

impl Judge for RewardJudge<'_> {
    fn kind(&self) -> &str {
        self.kind
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, slates: &[Slate]) -> Result<Vec<Opinions>> {
        let opinions = |scores: Vec<f64>| {
            let preference = |score: &f64| align_stats::hit(score - scores[0]);
            let opinion = |score| Some(Opinion { preference: preference(score), ..Opinion::default() });
            Opinions { opinions: scores[1..].iter().map(opinion).collect(), scores: Some(scores) }
        };
        Ok(scores(self.reward, slates)?.into_iter().map(opinions).collect())
    }
}

/// The rewards of all answers of each slate. An empty answer, of which a model has nothing to read, is scored as a
/// single space.
///
/// # Errors
/// As [`Reward::rewards`]; rewards that are no numbers.
pub(crate) fn scores(reward: &dyn Reward, slates: &[Slate]) -> Result<Vec<Vec<f64>>> {
    let task = |slate: &Slate| {
        let prompt = &slate.task.prompt;
        let answer = |text: &String| reply(&prompt.prompt, if text.is_empty() { " " } else { text });
        Task {
            candidates: Candidates {
                prompt: prompt.prompt.clone(),
                completions: slate.answers.iter().map(answer).collect(),
                template: prompt.template.clone(),
                origin: prompt.origin.clone(),
            },
            reference: slate.task.reference.clone(),
        }
    };
    let mut rewards = reward.rewards(&slates.iter().map(task).collect::<Vec<_>>())?;
    for (slate, rewards) in slates.iter().zip(&mut rewards) {
        // The same answer has the same reward: where it stood in a batch may change the last digits.
        for place in 1..slate.answers.len() {
            if let Some(first) = slate.answers[..place].iter().position(|it| *it == slate.answers[place]) {
                rewards[place] = rewards[first];
            }
        }
        if let Some(reward) = rewards.iter().find(|reward| !reward.is_finite()) {
            let origin = &slate.task.prompt.origin;
            return Err(Error::Config(format!(
                "{origin}: the reward of an answer is {reward}; rewards must be finite"
            )));
        }
    }
    Ok(rewards)
}

#[cfg(test)]
mod tests {
    use align_data::{Origin, PromptOnly, PromptTask, TemplateArguments};
    use align_reward::LengthRange;

    use super::*;

    #[test]
    fn the_higher_reward_wins_and_equal_ones_tie() {
        let reward = LengthRange::new(4, 9).unwrap();
        let prompt = PromptOnly {
            prompt: "p".into(),
            template: TemplateArguments::default(),
            origin: Origin::in_code(0),
        };
        let answers = ["no", "four", "also four", ""].map(str::to_owned).to_vec();
        let slate = Slate { task: PromptTask { prompt, reference: None }, answers };
        let found = RewardJudge::rule(&reward).judge(&[slate]).unwrap().remove(0);
        let preferences: Vec<_> = found.opinions.iter().map(|it| it.as_ref().unwrap().preference).collect();
        assert_eq!((preferences, found.scores.unwrap()), (vec![1.0, 1.0, 0.5], vec![0.0, 1.0, 1.0, 0.0]));
    }
}
