//! From `main` to an exit code: the policies for memory and threads, logging, arguments, the program's own function, and
//! its errors as one line.
//!
//! Exit codes: 0 done; 1 training or the program failed; 2 the input is wrong (arguments, data, model
//! files), known before work began; 101 a bug (a panic). An error says which it is only where the
//! moment does not: see [`input_error`] and [`internal_error`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use align_hub::policy;
use align_stage::Given;
use align_train::Ranks;

use crate::arguments::{self, ArgumentError, Parsed, Program};
use crate::audience::Audience;
use crate::moot::made_moot;
use crate::ranks::{self, Ended, Joined};
use crate::{logging, signals};

/// One call of a program.
#[derive(Debug)]
pub struct Invocation {
    /// The program.
    pub program: Program,
    /// All its options as TOML, as [`crate::Parsed::settings`].
    pub settings: String,
    /// The options that were set to something other than the default, as [`crate::Parsed::given`].
    pub given: BTreeSet<String>,
    /// All options that the program has, as [`crate::Parsed::known`].
    known: BTreeSet<String>,
    working: AtomicBool,
    /// The processes that the launcher started together.
    pub(crate) ranks: Ranks,
}

impl Invocation {
    /// For a program that parses its options itself.
    pub fn new<C>(program: Program, parsed: &Parsed<C>) -> Self {
        let (settings, given, known) = (parsed.settings.clone(), parsed.given.clone(), parsed.known.clone());
        Self { program, settings, given, known, working: AtomicBool::new(false), ranks: Ranks::default() }
    }

    fn on(self, ranks: Ranks) -> Self {
        Self { ranks, ..self }
    }

    /// The options that were given, as a job's host has them.
    pub(crate) fn given(&self) -> Given {
        Given::new(self.given.clone(), self.known.clone())
    }

    /// All input has been checked: failures from now on are not the user's (exit code 1). A job says so to its host.
    pub fn work_starts(&self) {
        self.working.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::work_starts`] was called.
    pub(crate) fn has_work_started(&self) -> bool {
        self.working.load(Ordering::Relaxed)
    }
}

/// Runs a program on the words of a command line, its name first; the whole of a binary's `main`.
///
/// The policies for memory and threads come first, while there is one thread. `work` gets the options and the
/// invocation; an [`crate::Entry`] is this for programs that run a job.
pub fn main<C: clap::Args>(
    program: &Program,
    words: impl IntoIterator<Item = OsString>,
    work: impl Fn(&C, &Invocation) -> anyhow::Result<()>,
) -> ExitCode {
    policy::keep_memory();
    policy::leave_threads_to_the_kernels();
    std::panic::set_hook(Box::new(report_panic));
    signals::limits_are_errors();
    let words: Vec<OsString> = words.into_iter().collect();
    match ranks::join() {
        Ok(joined) => joined.run(|joined| run(program, &words, joined, work)),
        Err(refused) => refused.end(),
    }
}

/// Runs a program among its ranks.
fn run<C: clap::Args>(
    program: &Program,
    words: &[OsString],
    joined: &Joined,
    work: impl Fn(&C, &Invocation) -> anyhow::Result<()>,
) -> Ended {
    let mut moot = BTreeSet::new();
    loop {
        let parsed = match arguments::parse_without::<C>(program, words.iter().cloned(), &moot) {
            Ok(parsed) => parsed,
            Err(ArgumentError::Help(text)) => {
                return ended(crate::print(text.trim_end()), |_| 1);
            }
            Err(ArgumentError::Invalid(message)) => return refused(message),
            Err(ArgumentError::Several(problems)) => return refused_all(&problems, &joined.ranks),
        };
        if let Err(problem) = align_stage::Isa::most() {
            return refused(problem);
        }
        Audience::of(|option| parsed.given.contains(option)).listens();
        logging::start(Audience::now(), &joined.ranks);
        if let (Some(notice), true) = (&joined.notice, moot.is_empty()) {
            tracing::info!("{notice}");
        }
        for notice in parsed.notices.iter().filter(|_| moot.is_empty()) {
            tracing::warn!("{notice}");
        }
        let invocation = Invocation::new(*program, &parsed).on(joined.ranks.clone());
        let result = work(&parsed.options, &invocation);
        match result.as_ref().err().and_then(|error| made_moot(error, &parsed, &moot, &invocation)) {
            Some(option) => {
                let below = parsed.below;
                tracing::warn!(
                    "`{option}` of {below} has no effect beside the options given here, and is left out"
                );
                moot.insert(option);
            }
            None => return ended(result, |error| exit_code(error, &invocation)),
        }
    }
}

/// Complains of a command line that no program takes.
pub fn refuse(message: &str) -> ExitCode {
    complain(message);
    ExitCode::from(2)
}

fn refused(message: String) -> Ended {
    Ended { code: 2, message: Some(message), by_another: false }
}

/// Complains of a command line with several things wrong: a line for each, before the error that sums them up.
fn refused_all(problems: &[String], ranks: &Ranks) -> Ended {
    for problem in problems.iter().filter(|_| ranks.leads()) {
        let _ = writeln!(std::io::stderr().lock(), "{}", shown(problem));
    }
    refused(
        "options cannot be taken, for the reasons above: change or remove them; a flag goes before a line of a file"
            .to_owned(),
    )
}

/// The exit code, and the error in words.
fn ended(result: anyhow::Result<()>, code: impl Fn(&anyhow::Error) -> u8) -> Ended {
    let Err(error) = result else { return Ended { code: 0, message: None, by_another: false } };
    let code = code(&error);
    let by_another =
        matches!(error.downcast_ref(), Some(align_stage::Error::Train(align_train::Error::Rank { .. })));
    Ended { code, message: (code != READER_GONE).then(|| one_line(&error)), by_another }
}

/// Marks an error as the input's fault, whenever it is found: exit code 2.
pub fn input_error(error: impl Into<anyhow::Error>) -> anyhow::Error {
    Marked { error: error.into(), code: 2 }.into()
}

/// Marks an error as not the input's fault, even before work began: exit code 1.
pub fn internal_error(error: impl Into<anyhow::Error>) -> anyhow::Error {
    Marked { error: error.into(), code: 1 }.into()
}

/// What a shell shows for SIGPIPE.
const READER_GONE: u8 = 128 + 13;

/// Nobody reads standard output any more: the program ends without a word.
pub(crate) fn reader_gone() -> anyhow::Error {
    Marked { error: anyhow::anyhow!("nobody reads standard output"), code: READER_GONE }.into()
}

/// A run that a signal ended, with what was saved in `message`: exit code 128 + signal, as shells have it.
pub fn interrupted(signal: i32, message: impl std::fmt::Display) -> anyhow::Error {
    let code = u8::try_from(128 + signal).unwrap_or(1);
    Marked { error: anyhow::anyhow!("interrupted; {message}"), code }.into()
}

#[derive(Debug, thiserror::Error)]
#[error("{error}")]
struct Marked {
    #[source]
    error: anyhow::Error,
    code: u8,
}

/// What a marked error says, else what the moment says.
pub(crate) fn exit_code(error: &anyhow::Error, invocation: &Invocation) -> u8 {
    let marked = error.chain().find_map(|cause| cause.downcast_ref::<Marked>());
    let by_time = if invocation.has_work_started() { 1 } else { 2 };
    marked.map_or(by_time, |marked| marked.code)
}

/// Characters of an error: more than a screenful helps nobody, and a name in it may have any length.
const LONGEST: usize = 2000;

/// The chain of causes joined by `: `, as one line that can be shown. A cause that its parent already quotes is not
/// repeated.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let cause = align_text::without_backtrace(&cause).split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    shown(&line)
}

/// Every error passes here: strangers' texts in it break no line, command no terminal and fill no screen.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "error: {}", shown(message));
}

/// The same of what is no error, where there may be no time for the log.
#[cfg(feature = "mpi")]
pub(crate) fn warn(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "warning: {}", shown(message));
}

fn shown(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    align_text::shortened(&align_text::printable(&line), LONGEST - "error: ".len())
}

/// Says that the program is wrong, and where; the default would print a Rust developer's backtrace note.
fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
        // `println!` with nobody left to read it. Not a bug.
        std::process::exit(READER_GONE.into());
    }
    let place = panic.location().map_or(String::new(), |place| format!(" ({place})"));
    complain(&format!("this is a bug, please report it with the command that led here: {message}{place}"));
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        let _ = writeln!(std::io::stderr().lock(), "{}", std::backtrace::Backtrace::force_capture());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};

    const PROGRAM: Program = Program::new("train-demo", "");

    #[test]
    fn a_chain_is_one_line_without_repeats() {
        let check = |error: anyhow::Error, line: &str| assert_eq!(one_line(&error), line);
        check(anyhow!("no tokenizer.json"), "no tokenizer.json");
        check(anyhow!("no tokenizer.json").context("model x"), "model x: no tokenizer.json");
        check(anyhow!("end of file").context("x: end of file").context("loading"), "loading: x: end of file");
        check(anyhow!("a\n  b").context("top"), "top: a b");
        check(
            anyhow!("column `a\u{1b}[2J\u{9b}\u{202e}\u{2028}b`"),
            "column `a\\u{1b}[2J\\u{9b}\\u{202e} b`",
        );
        let long = one_line(&anyhow!("columns {}", "a, ".repeat(100_000)).context("data.jsonl:1"));
        assert!(long.chars().count() < 2000 && long.starts_with("data.jsonl:1: columns a, "), "{long}");
        check(input_error(anyhow!("row 3").context("data")), "data: row 3");
    }

    fn invocation() -> Invocation {
        Invocation::new(PROGRAM, &Parsed::<()>::default())
    }

    #[test]
    fn the_moment_decides_the_exit_code_unless_the_error_does() {
        let run = invocation();
        assert_eq!(exit_code(&anyhow!("bad"), &run), 2);
        assert_eq!(exit_code(&internal_error(anyhow!("disk")), &run), 1);
        run.work_starts();
        assert_eq!(exit_code(&anyhow!("NaN"), &run), 1);
        let wrapped = Err::<(), _>(input_error(anyhow!("row 7"))).context("evaluation").unwrap_err();
        assert_eq!(exit_code(&wrapped, &run), 2);
    }
}
