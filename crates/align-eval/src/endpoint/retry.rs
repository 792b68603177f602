//! How long to wait before a request is made again.

use std::time::Duration;

/// Longest wait that a server may ask for: beyond it, the attempt counts as failed all the same.
const LONGEST: Duration = Duration::from_secs(120);

/// Attempts and the waits between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    pub(super) attempts: u32,
    pub(super) first_wait: Duration,
}

impl Retry {
    /// The wait after failed attempt `attempt` (from 1): what the server asked for, else twice as long each time.
    pub(super) fn wait(self, attempt: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        asked.unwrap_or(doubled).min(LONGEST)
    }
}

/// Seconds of a `Retry-After` header; its other form, a date, is not read.
pub(super) fn seconds(header: &str) -> Option<Duration> {
    let seconds: f64 = header.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Whether a request with this answer may go better the next time: too many at once, too slow, or the server's fault.
pub(super) fn is_worth_another(status: u16) -> bool {
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
}
