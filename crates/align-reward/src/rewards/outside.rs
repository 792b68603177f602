//! Rewards that this process does not compute: what is asked, what must be answered, and the options that name who is.
//!
//! A question is a line of JSON with the columns that TRL gives its reward functions, a value for each answer:
//! `{"prompts": […], "completions": […], "answer": […]}`. Prompts and completions are texts, or lists of messages where the
//! data has those; the third column has the right answers under the name of the data's column, null where a row has none.
//! The reply is `{"rewards": [1.0, …]}` or the list alone: a finite number for each answer, in their order. Who carries
//! both is no concern of this file ([`CommandReward`], [`UrlReward`]).

use std::time::Duration;

use align_data::Origin;
use align_http::shown;
use align_stage::Given;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{CommandReward, Reward, RewardError, Task, UrlReward};

/// Columns of a question that no data can name.
const PROMPTS: &str = "prompts";
const COMPLETIONS: &str = "completions";

/// Who is asked for rewards, and how patiently.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Reward")]
pub struct OutsideOptions {
    /// Program that gives rewards, such as "python score.py": started once, asked by lines of JSON on its standard input,
    /// answers each by a line of JSON. No shell reads the words
    #[arg(long, value_name = "COMMAND")]
    pub reward_command: Option<String>,
    /// Address that rewards are asked of, by POST, with the same JSON
    #[arg(long, value_name = "URL")]
    pub reward_url: Option<String>,
    /// Longest wait for one reply of either, in seconds
    #[arg(long, value_parser = align_limits::number(1e-3..=1e6), default_value_t = 120.0, value_name = "SECONDS")]
    pub reward_timeout: f64,
    /// Most answers that either is asked about at a time
    #[arg(long, value_parser = align_limits::whole(1..=65_536), default_value_t = 64, value_name = "N")]
    pub reward_batch_size: usize,
}

impl OutsideOptions {
    /// Options that have no effect where nobody is named.
    pub const OF_REQUESTS: &[&str] = &["reward_timeout", "reward_batch_size"];

    /// Refuses those of them that were given where nobody is named.
    ///
    /// # Errors
    /// Names the first.
    pub fn refuse_without_effect(&self, given: &Given) -> align_stage::Result<()> {
        match self.count() {
            0 => given.refuse(Self::OF_REQUESTS, "without `reward_command` or `reward_url`"),
            _ => Ok(()),
        }
    }

    /// How many rewards they name.
    pub fn count(&self) -> usize {
        usize::from(self.reward_command.is_some()) + usize::from(self.reward_url.is_some())
    }

    /// What each of these rewards gives a sample answer, in words: for who looks before a run.
    ///
    /// # Errors
    /// As [`Reward::rewards`].
    pub fn tried(rewards: &[Box<dyn Reward>], sample: &Task) -> Result<Vec<String>, RewardError> {
        let tried = |reward: &dyn Reward| {
            let given = reward.rewards(std::slice::from_ref(sample))?;
            let (name, origin) = (reward.name(), &sample.candidates.origin);
            let given: Vec<String> = given.iter().flatten().map(ToString::to_string).collect();
            Ok(format!("`reward_{name}` gives {} to a sample answer to {origin}", given.join(", ")))
        };
        rewards.iter().map(|reward| tried(reward.as_ref())).collect()
    }

    /// Starts the program and makes sense of the address, in this order. Right answers are sent as column
    /// `reference_column`.
    ///
    /// # Errors
    /// A program that cannot be started, an address that is none, a column of a name that a question has already.
    pub fn open(&self, reference_column: &str) -> Result<Vec<Box<dyn Reward>>, RewardError> {
        let mut rewards: Vec<Box<dyn Reward>> = Vec::new();
        let questions = || Questions::new(reference_column, self.reward_batch_size);
        let timeout = Duration::try_from_secs_f64(self.reward_timeout).map_err(|error| {
            RewardError::Config(format!("`reward_timeout` = {}: {error}", self.reward_timeout))
        })?;
        if let Some(command) = &self.reward_command {
            rewards.push(Box::new(CommandReward::start(command, timeout, questions()?)?));
        }
        if let Some(url) = &self.reward_url {
            rewards.push(Box::new(UrlReward::new(url, timeout, questions()?)?));
        }
        Ok(rewards)
    }
}

/// How rewards are asked for: a few answers at a time.
#[derive(Clone, Debug)]
pub struct Questions {
    reference_column: String,
    batch_size: usize,
}

impl Questions {
    /// With right answers as column `reference_column`, about at most `batch_size` answers at a time, at least 1.
    ///
    /// # Errors
    /// A column of a name that a question has already.
    pub fn new(reference_column: &str, batch_size: usize) -> Result<Self, RewardError> {
        if [PROMPTS, COMPLETIONS].contains(&reference_column) {
            return Err(RewardError::Config(format!(
                "`reference_column`: a question has a column `{reference_column}` already; give the data's another name"
            )));
        }
        Ok(Self { reference_column: reference_column.to_owned(), batch_size: batch_size.max(1) })
    }

    /// The rewards of all answers, from `ask`, which brings the reply to a question of one line, whoever it is that it asks:
    /// errors call them `who`.
    ///
    /// # Errors
    /// What `ask` returns; a reply that is none.
    pub fn rewards(
        &self,
        tasks: &[Task],
        who: &str,
        mut ask: impl FnMut(&str) -> Result<String, RewardError>,
    ) -> Result<Vec<Vec<f64>>, RewardError> {
        let answers = |task: &Task| task.candidates.completions.len();
        let places =
            tasks.iter().enumerate().flat_map(|(row, task)| (0..answers(task)).map(move |it| (row, it)));
        let places: Vec<(usize, usize)> = places.collect();
        let mut rewards: Vec<Vec<f64>> = tasks.iter().map(|task| Vec::with_capacity(answers(task))).collect();
        for batch in places.chunks(self.batch_size) {
            let reply = ask(&self.question(tasks, batch)?)?;
            let origin = |at: usize| &tasks[batch[at].0].candidates.origin;
            let found =
                read(&reply, batch.len(), origin).map_err(|problem| RewardError::outside(who, problem))?;
            for (&(row, _), reward) in batch.iter().zip(found) {
                rewards[row].push(reward);
            }
        }
        Ok(rewards)
    }

    fn question(&self, tasks: &[Task], batch: &[(usize, usize)]) -> Result<String, RewardError> {
        let column = |value: &dyn Fn(&Task, usize) -> serde_json::Result<Value>| {
            let values = batch.iter().map(|&(row, answer)| value(&tasks[row], answer));
            values.collect::<serde_json::Result<Vec<_>>>().map(Value::Array)
        };
        let columns = || {
            let prompts = column(&|task, _| serde_json::to_value(&task.candidates.prompt))?;
            let completions =
                column(&|task, answer| serde_json::to_value(&task.candidates.completions[answer]))?;
            let references = column(&|task, _| serde_json::to_value(&task.reference))?;
            let columns = [
                (PROMPTS.to_owned(), prompts),
                (COMPLETIONS.to_owned(), completions),
                (self.reference_column.clone(), references),
            ];
            serde_json::to_string(&Map::from_iter(columns))
        };
        columns()
            .map_err(|error| RewardError::Config(format!("a question cannot be written as JSON: {error}")))
    }
}

/// The rewards in a reply about `count` answers, whose rows `origin` names.
fn read<'a>(reply: &str, count: usize, origin: impl Fn(usize) -> &'a Origin) -> Result<Vec<f64>, String> {
    const EXPECTED: &str = "expected {\"rewards\": [a number for each answer]} or the list alone";
    let value: Value = serde_json::from_str(reply)
        .map_err(|error| format!("{EXPECTED}, found what is no JSON ({error}): {}", shown(reply)))?;
    let list = value.get("rewards").unwrap_or(&value).as_array();
    let list = list.ok_or_else(|| format!("{EXPECTED}, found {}", shown(reply)))?;
    if list.len() != count {
        return Err(format!(
            "expected a reward for each of {count} answers, found {}: {}",
            list.len(),
            shown(reply)
        ));
    }
    let reward = |(at, value): (usize, &Value)| {
        let number = value.as_f64().filter(|number| number.is_finite());
        number.ok_or_else(|| {
            format!("{}: expected a finite number, found {}", origin(at), shown(&value.to_string()))
        })
    };
    list.iter().enumerate().map(reward).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::task;

    fn asked(
        tasks: &[Task],
        batch_size: usize,
        reply: impl Fn(usize) -> String,
    ) -> (Vec<Value>, Result<Vec<Vec<f64>>, RewardError>) {
        let mut questions = Vec::new();
        let rewards = Questions::new("answer", batch_size).unwrap().rewards(tasks, "who", |question| {
            assert!(!question.contains('\n'));
            questions.push(serde_json::from_str(question).unwrap());
            Ok(reply(questions.len()))
        });
        (questions, rewards)
    }

    #[test]
    fn answers_are_asked_about_a_few_at_a_time_and_come_back_in_their_places() {
        let tasks = [task(Some("4"), &["a", "b\n"]), task(None, &["c"])];
        let (questions, rewards) = asked(&tasks, 2, |number| match number {
            1 => "{\"rewards\": [1, -2.5], \"note\": 3}".to_owned(),
            _ => "[3]".to_owned(),
        });
        assert_eq!(rewards.unwrap(), [vec![1.0, -2.5], vec![3.0]]);
        let expected = serde_json::json!({
            "prompts": ["Question?", "Question?"], "completions": ["a", "b\n"], "answer": ["4", "4"]
        });
        assert_eq!(questions[0], expected);
        assert_eq!(questions[1]["answer"], serde_json::json!([null]));
        assert_eq!(asked(&[], 2, |_| unreachable!()).1.unwrap(), [[0.0; 0]; 0]);
    }

    #[test]
    fn messages_are_sent_as_messages() {
        let mut chat = task(None, &[]);
        chat.candidates.prompt = vec![align_data::Message::new("user", "Hi")].into();
        chat.candidates.completions = vec![vec![align_data::Message::new("assistant", "Ho")].into()];
        let (questions, _) = asked(&[chat], 8, |_| "[0]".to_owned());
        assert_eq!(questions[0]["prompts"], serde_json::json!([[{ "role": "user", "content": "Hi" }]]));
        assert_eq!(
            questions[0]["completions"],
            serde_json::json!([[{ "role": "assistant", "content": "Ho" }]])
        );
    }

    #[test]
    fn a_reply_that_is_none_is_shown() {
        let complaint = |reply: &str| {
            let (_, rewards) = asked(&[task(None, &["a", "b"])], 8, |_| reply.to_owned());
            rewards.unwrap_err().to_string()
        };
        for (reply, expected) in [
            (
                "Loading…",
                "who: expected {\"rewards\": [a number for each answer]} or the list alone, found what is no JSON",
            ),
            ("{\"rewards\": [NaN, 1]}", "no JSON"),
            ("{\"rewards\": [1e999, 1]}", "no JSON"),
            ("{\"error\": \"no\"}", "or the list alone, found {\"error\": \"no\"}"),
            ("3", "or the list alone, found 3"),
            ("[1]", "a reward for each of 2 answers, found 1: [1]"),
            ("[1, null]", "who: row 1: expected a finite number, found null"),
            ("[\"1\", 2]", "found \"1\""),
            ("[true, 2]", "found true"),
        ] {
            assert!(complaint(reply).contains(expected), "{reply}: {}", complaint(reply));
        }
        let taken = Questions::new("prompts", 1).unwrap_err().to_string();
        assert!(taken.contains("`reference_column`"), "{taken}");
    }

    #[test]
    fn options_that_a_resumed_run_may_change_exist() {
        let free = align_train::FREE_OPTIONS.iter().filter(|(group, _)| *group == "outside");
        for option in free.map(|(_, option)| option).chain(OutsideOptions::OF_REQUESTS) {
            assert!(OutsideOptions::NAMES.contains(option), "{option}");
        }
    }
}
