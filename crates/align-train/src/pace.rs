//! The pace of a long computation: a line in the log now and then, on a terminal or off it, for whoever waits.

use std::time::{Duration, Instant};

/// What takes less has nothing to say.
const FIRST: Duration = Duration::from_secs(2);
/// Lines come at twice the time of the one before, but not further apart.
const LONGEST: Duration = Duration::from_secs(60);

/// How far a computation of known length is.
#[derive(Debug)]
pub struct Pace {
    what: String,
    total: usize,
    done: usize,
    start: Instant,
    next: Duration,
}

impl Pace {
    /// Of `total` parts of what is computed, which begins now.
    pub fn new(what: impl Into<String>, total: usize) -> Self {
        Self { what: what.into(), total, done: 0, start: Instant::now(), next: FIRST }
    }

    /// So many more parts are done.
    pub fn advance(&mut self, parts: usize) {
        self.done += parts;
        if let Some(line) = self.line(self.start.elapsed()) {
            tracing::info!("{line}");
        }
    }

    /// The line that is due after so much time, if one is.
    fn line(&mut self, elapsed: Duration) -> Option<String> {
        if elapsed < self.next || self.done >= self.total {
            return None;
        }
        self.next = elapsed + elapsed.clamp(FIRST, LONGEST);
        let Self { what, total, done, .. } = self;
        let left = elapsed.as_secs_f64() / (*done).max(1) as f64 * (*total - *done) as f64;
        Some(format!("{what}: {done} of {total}, about {left:.0} s to go"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_says_nothing_and_what_is_long_ever_more_seldom() {
        let mut pace = Pace::new("features", 1000);
        let mut said = Vec::new();
        for second in 1..=100 {
            pace.done = second * 10;
            said.extend(pace.line(Duration::from_secs(second as u64)).map(|line| (second, line)));
        }
        let seconds: Vec<_> = said.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 64]);
        assert_eq!(said[0].1, "features: 20 of 1000, about 98 s to go");
    }
}
