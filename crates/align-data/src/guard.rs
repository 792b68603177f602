//! Panics of libraries as errors: tokenizers and templates come with models that somebody else made, and the
//! libraries that run them panic on some of what they find there.
//!
//! The process's panic hook would report such a panic as a bug before it is caught here. The first guarded call
//! therefore puts a filter in front of the hook, which keeps quiet while a guarded call runs on the thread that panics.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns, or what it panicked with.
///
/// `work` may hold references to things that a panic leaves half changed; the caller does not use them again, or they
/// are never changed.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static FILTER: Once = Once::new();
    FILTER.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                report(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        shortened(text)
    })
}

/// At most 500 characters of a text that somebody else wrote, for an error message.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN: usize = 500;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert_eq!(guarded(|| -> u8 { panic!("index {} of {}", 3, 2) }), Err("index 3 of 2".to_owned()));
        assert_eq!(guarded(|| -> u8 { panic!("plain") }), Err("plain".to_owned()));
        let inner = guarded(|| guarded(|| -> u8 { panic!("inner") }));
        assert_eq!(inner, Ok(Err("inner".to_owned())));
        assert_eq!(shortened(&"é".repeat(1000)).chars().count(), 501);
    }
}
