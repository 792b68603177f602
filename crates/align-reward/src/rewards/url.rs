//! Rewards of a server.

use std::time::Duration;

use align_http::{Client, Retry, Unanswered, check_address};

use super::outside::Questions;
use super::{Reward, RewardError, Task};

/// The largest reply that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// How often a question is sent where the server is away, busy or broken.
const ATTEMPTS: u32 = 5;
/// Seconds of the first wait between two attempts; the others are twice as long each, 7.5 s together.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// A server that answers questions by POST.
pub struct UrlReward {
    url: String,
    name: String,
    client: Client,
    retry: Retry,
    questions: Questions,
}

impl UrlReward {
    /// Makes no connection yet. `timeout` is for each reply, connecting included.
    ///
    /// # Errors
    /// An address that is none, or that holds a password.
    pub fn new(url: &str, timeout: Duration, questions: Questions) -> Result<Self, RewardError> {
        check_address(url).map_err(|bad| {
            let expected = "expected an address such as http://localhost:8000/rewards";
            RewardError::outside("reward_url", format!("{bad}; {expected}"))
        })?;
        let (client, retry) =
            (Client::new(timeout, LARGEST), Retry { attempts: ATTEMPTS, first_wait: FIRST_WAIT });
        Ok(Self { url: url.to_owned(), name: format!("reward_url {url}"), client, retry, questions })
    }

    /// With other attempts than five over 7.5 s.
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    fn ask(&self, question: &str) -> Result<String, RewardError> {
        let send = || self.client.post(&self.url, None, question, str::to_owned);
        self.retry.insist(&self.url, send).map_err(|unanswered| {
            let problem = match unanswered {
                Unanswered::Refused(problem) => problem,
                Unanswered::Exhausted { attempts, problem } => {
                    format!("no answer after {attempts} attempts; the last: {problem}")
                }
            };
            RewardError::outside(&self.name, problem)
        })
    }
}

impl Reward for UrlReward {
    fn name(&self) -> &str {
        "url"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        self.questions.rewards(tasks, &self.name, |question| self.ask(question))
    }
}
