//! Whether and when a request is made again.

use std::thread::sleep;
use std::time::Duration;

use crate::Failed;

/// Longest wait that a server may ask for: beyond it, the attempt counts as failed all the same.
const LONGEST: Duration = Duration::from_secs(120);

/// Attempts and the waits between them.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// How often it is tried, at least once.
    pub attempts: u32,
    /// Wait after the first failed attempt; it doubles with each.
    pub first_wait: Duration,
}

/// A question that has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The server will not answer, however often it is asked; what it said.
    Refused(String),
    /// Every attempt failed.
    Exhausted {
        /// How many there were.
        attempts: u32,
        /// What came of the last one.
        problem: String,
    },
}

impl Retry {
    /// Sends until a reply comes, and waits between attempts as the server asks, else twice as long each time. `url` is
    /// for the log.
    ///
    /// # Errors
    /// A failure that no other attempt would mend; as many failures as there are attempts.
    pub fn insist<T>(self, url: &str, mut send: impl FnMut() -> Result<T, Failed>) -> Result<T, Unanswered> {
        let mut attempt = 1;
        loop {
            let failed = match send() {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            if !failed.is_worth_another {
                return Err(Unanswered::Refused(failed.problem));
            }
            if attempt >= self.attempts {
                return Err(Unanswered::Exhausted { attempts: attempt, problem: failed.problem });
            }
            tracing::debug!("{url}: attempt {attempt}: {}", failed.problem);
            sleep(self.wait(attempt, failed.wait));
            attempt += 1;
        }
    }

    /// The wait after failed attempt `attempt` (from 1): what the server asked for, else twice as long each time.
    fn wait(self, attempt: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        asked.unwrap_or(doubled).min(LONGEST)
    }
}

/// Seconds of a `Retry-After` header; its other form, a date, is not read.
pub(crate) fn seconds(header: &str) -> Option<Duration> {
    let seconds: f64 = header.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Whether a request with this answer may go better the next time: too many at once, too slow, or the server's fault.
pub(crate) fn is_worth_another(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_unless_the_server_names_one() {
        let retry = Retry { attempts: 5, first_wait: Duration::from_millis(500) };
        let waits: Vec<_> = (1..=3).map(|attempt| retry.wait(attempt, None).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000]);
        assert_eq!(retry.wait(1, seconds("7")), Duration::from_secs(7));
        assert_eq!(retry.wait(9, None), LONGEST);
        assert_eq!(seconds("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert!(is_worth_another(429) && is_worth_another(503) && !is_worth_another(401));
    }

    #[test]
    fn what_another_attempt_may_mend_is_tried_again() {
        let retry = Retry { attempts: 3, first_wait: Duration::ZERO };
        let count = |failures: u32, failed: &Failed| {
            let mut sent = 0;
            let answer = retry.insist("u", || {
                sent += 1;
                if sent > failures { Ok("reply") } else { Err(failed.clone()) }
            });
            (sent, answer)
        };
        let chance = Failed::by_chance("gone");
        assert_eq!(count(2, &chance), (3, Ok("reply")));
        let exhausted = Unanswered::Exhausted { attempts: 3, problem: "gone".to_owned() };
        assert_eq!(count(9, &chance), (3, Err(exhausted)));
        let fault = Failed { is_worth_another: false, ..chance };
        assert_eq!(count(9, &fault), (1, Err(Unanswered::Refused("gone".to_owned()))));
    }
}
