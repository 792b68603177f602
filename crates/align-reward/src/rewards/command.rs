//! Rewards of a program.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use align_http::shown;

use super::outside::Questions;
use super::talk::{Talk, Trouble};
use super::{Reward, RewardError, Task};

/// How often a question is put: a program that is gone or hangs is started once more.
const STARTS: usize = 2;

/// The usual reason of a program that says nothing.
const UNFLUSHED: &str =
    "; a reply that is printed and not flushed never arrives (in Python: `print(…, flush=True)`)";

/// A program that is started once and answers questions of one line by replies of one line. It ends with this value.
pub struct CommandReward {
    words: Vec<String>,
    name: String,
    timeout: Duration,
    questions: Questions,
    /// None when it was lost, until it is started again.
    running: Mutex<Option<Talk>>,
}

impl CommandReward {
    /// Starts the program. Words are split as a shell splits them (quotes, backslashes), but no shell is asked: variables,
    /// `~`, `|` and `>` have no meaning; `sh -c '…'` has one. `timeout` is for each reply, the first one's start included.
    ///
    /// # Errors
    /// A command that is none, a program that cannot be started.
    pub fn start(command: &str, timeout: Duration, questions: Questions) -> Result<Self, RewardError> {
        let name = format!("reward_command `{}`", shown(command));
        let words = shlex::split(command).filter(|words| !words.is_empty()).ok_or_else(|| {
            RewardError::outside(&name, "expected a program and its arguments, with quotes in pairs")
        })?;
        if let Some(word) = meant_for_a_shell(command, &words) {
            let problem = format!(
                "no shell reads the words, so that `{word}` would be an argument of the program; write sh -c '…' around the \
                 command, or quotes around `{word}` where the program is to have it"
            );
            return Err(RewardError::outside(&name, problem));
        }
        let reward = Self { words, name, timeout, questions, running: Mutex::default() };
        *reward.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(reward.started()?);
        Ok(reward)
    }

    fn started(&self) -> Result<Talk, RewardError> {
        let problem = |error| format!("`{}` cannot be started: {error}", shown(&self.words[0]));
        Talk::start(&self.words, "reward command")
            .map_err(|error| RewardError::outside(&self.name, problem(error)))
    }

    fn ask(&self, question: &str) -> Result<String, RewardError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for start in 1.. {
            let mut talk = running.take().map_or_else(|| self.started(), Ok)?;
            let (problem, may_mend, hint) = match talk.ask(question, self.timeout) {
                Ok(reply) => {
                    *running = Some(talk);
                    return Ok(reply);
                }
                Err(Trouble::Lost(problem)) => (problem, start < STARTS, ""),
                Err(Trouble::Silent(problem)) => (problem, start < STARTS, UNFLUSHED),
                Err(Trouble::Wrong(problem)) => (problem, false, ""),
            };
            let last_words = match talk.last_words() {
                words if words.is_empty() => words,
                words => format!("; its last errors: {words}"),
            };
            if !may_mend {
                let again = if start > 1 { ", started again too" } else { "" };
                return Err(RewardError::outside(&self.name, format!("{problem}{again}{last_words}{hint}")));
            }
            tracing::warn!("{}: {problem}{last_words}; it is started once more", self.name);
        }
        unreachable!("starts are counted to their number")
    }
}

/// A word that only a shell would make something of. The `words` that were in quotes are the program's.
fn meant_for_a_shell<'a>(command: &'a str, words: &[String]) -> Option<&'a str> {
    let is_operator = |word: &&str| {
        let redirected = word.trim_start_matches(|first: char| first.is_ascii_digit() || first == '&');
        matches!(*word, "|" | "||" | "|&" | "&" | "&&" | ";") || redirected.starts_with(['>', '<'])
    };
    let is_bare = |word: &&str| words.iter().any(|read| read == word);
    command.split_whitespace().filter(is_operator).find(is_bare)
}

impl Reward for CommandReward {
    fn name(&self) -> &str {
        "command"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        self.questions.rewards(tasks, &self.name, |question| self.ask(question))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_is_no_argument() {
        let found = |command: &str| {
            let words = shlex::split(command).unwrap();
            meant_for_a_shell(command, &words).map(str::to_owned)
        };
        for (command, word) in [
            ("python score.py | tee log", "|"),
            ("cd scores && python score.py", "&&"),
            ("python score.py 2> log", "2>"),
            ("python score.py 2>/dev/null", "2>/dev/null"),
            ("python score.py &>log", "&>log"),
            ("true ; python score.py", ";"),
        ] {
            assert_eq!(found(command).as_deref(), Some(word), "{command}");
        }
        for command in
            ["sh -c 'python score.py 2>/dev/null | tail -1'", "grep '|'", "score --above \\> 3", "score a|b"]
        {
            assert_eq!(found(command), None, "{command}");
        }
    }
}
