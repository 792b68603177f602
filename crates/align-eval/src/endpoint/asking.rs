//! Many questions at once, and an end to it when nobody answers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::client::{ChatClient, EndpointError};

/// Questions in a row without an answer after which no more are asked.
const MOST_IN_A_ROW: usize = 5;

/// What came of all questions.
pub(crate) struct Asked<T> {
    /// The answer of each question that has one.
    pub(crate) answers: Vec<Option<T>>,
    /// Why questions have none, in the order in which that turned out.
    pub(crate) failures: Vec<EndpointError>,
    /// Whether asking ended before the last question, and after how many failures in a row.
    pub(crate) stopped: Option<usize>,
}

/// Asks `count` questions, `concurrency` at a time.
///
/// It ends early where so many in a row fail that the endpoint is gone, or at once where it refuses to answer at all or
/// answers cannot be kept.
pub(crate) fn ask_all<T: Send>(
    count: usize,
    concurrency: usize,
    ask: impl Fn(usize) -> Result<T, EndpointError> + Sync,
) -> Asked<T> {
    ask_in(thread::Builder::new, count, concurrency, ask)
}

/// As [`ask_all`], in threads that `builder` makes. Where the system gives no more of them, those that there are ask.
fn ask_in<T: Send>(
    builder: impl Fn() -> thread::Builder,
    count: usize,
    concurrency: usize,
    ask: impl Fn(usize) -> Result<T, EndpointError> + Sync,
) -> Asked<T> {
    let (next, in_a_row, is_over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let answers = Mutex::new((0..count).map(|_| None).collect::<Vec<Option<T>>>());
    let failures = Mutex::new(Vec::new());
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let question = next.fetch_add(1, Ordering::Relaxed);
            if question >= count {
                break;
            }
            match ask(question) {
                Ok(answer) => {
                    in_a_row.store(0, Ordering::Relaxed);
                    answers.lock().unwrap_or_else(PoisonError::into_inner)[question] = Some(answer);
                }
                Err(error) => {
                    let failed = in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                    if failed >= MOST_IN_A_ROW || is_final(&error) {
                        is_over.store(true, Ordering::Relaxed);
                    }
                    failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                }
            }
        }
    };
    thread::scope(|scope| {
        let threads = concurrency.clamp(1, count.max(1));
        // This thread is one of them.
        for number in 1..threads {
            if let Err(error) = builder().spawn_scoped(scope, work) {
                tracing::warn!(
                    "{number} questions are underway at the same time instead of {threads}: {error}"
                );
                break;
            }
        }
        work();
    });
    let stopped = is_over.into_inner().then(|| in_a_row.into_inner());
    Asked {
        answers: answers.into_inner().unwrap_or_else(PoisonError::into_inner),
        failures: failures.into_inner().unwrap_or_else(PoisonError::into_inner),
        stopped,
    }
}

impl<T> Asked<T> {
    /// What a reader must know of answers that are missing; nothing if there are none.
    ///
    /// # Errors
    /// Where asking ended early, with an account of what is there.
    pub(crate) fn account(&mut self, client: &ChatClient) -> Result<Option<String>, EndpointError> {
        let (asked, answered) = (self.answers.len(), self.answers.iter().flatten().count());
        let failures = std::mem::take(&mut self.failures);
        let unreadable = failures.iter().filter(|it| matches!(it, EndpointError::Unreadable { .. })).count();
        let (count, first) = (failures.len(), failures.first().map(ToString::to_string).unwrap_or_default());
        let Some(last) = failures.into_iter().next_back() else { return Ok(None) };
        let Some(failed) = self.stopped else {
            let never = count - unreadable;
            return Ok(Some(format!(
                "{count} of {asked} questions to {} have no answer: {unreadable} replies could not be read, {never} never \
                 came (the first: {first}). What needs them is left out; the same command asks again for these only.",
                client.options().base_url
            )));
        };
        if is_final(&last) {
            return Err(last);
        }
        let (url, store) = (client.options().url(), client.store().path().to_owned());
        Err(EndpointError::Stopped { url, failed, problem: last.to_string(), answered, asked, store })
    }
}

fn is_final(error: &EndpointError) -> bool {
    matches!(error, EndpointError::Refused { .. } | EndpointError::Store { .. } | EndpointError::Options(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_threads_it_is_asked_all_the_same() {
        let no_thread = || thread::Builder::new().stack_size(1 << 60);
        assert!(no_thread().spawn(|| ()).is_err());
        let asked = ask_in(no_thread, 9, 4, |question| Ok(question * question));
        assert_eq!(asked.answers, (0..9).map(|it| Some(it * it)).collect::<Vec<_>>());
        assert!(asked.failures.is_empty() && asked.stopped.is_none());
    }
}
