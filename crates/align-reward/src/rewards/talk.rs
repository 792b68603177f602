//! A program that answers lines by lines, and what becomes of it when it does not.
//!
//! Three threads carry what goes through its pipes, so that none of them can fill and stop both sides. What it prints as
//! errors goes to the log. It is the head of a process group of its own: a Ctrl-C at the terminal is for the run, which
//! ends the program when it has saved its checkpoint, and all that the program started ends with it.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use align_files::Unfinished;
use align_http::shown;
use align_text::shortened;

/// The longest reply that is read, in bytes.
const LARGEST: u64 = 4 << 20;
/// The longest line of errors that stays one, in bytes.
const LONGEST_LINE: u64 = 4096;
/// How many lines of errors are logged of what it prints to one question, and how many characters of each: it must not
/// fill the terminal.
const LOGGED: usize = 100;
const LOGGED_CHARACTERS: usize = 500;
/// How many of its last lines of errors are repeated.
const LAST_WORDS: usize = 5;
/// How long it may take to end by itself once it is asked nothing more.
const GRACE: Duration = Duration::from_secs(2);

/// A running program.
pub(super) struct Talk {
    child: Child,
    status: Option<ExitStatus>,
    /// Ends it where a signal ends this process, whose terminal is not the program's.
    unfinished: Option<Unfinished>,
    /// Lines for its standard input, which closes when this is gone.
    questions: Option<Sender<String>>,
    said: Receiver<Said>,
    errors: Arc<Errors>,
    /// Says nothing, and breaks off when all errors have been read.
    no_more_errors: Receiver<()>,
}

/// What it printed as errors.
#[derive(Default)]
struct Errors {
    last: Mutex<VecDeque<String>>,
    /// Lines since the last question.
    count: AtomicUsize,
}

/// What came from its standard output.
enum Said {
    Line(String),
    TooMuch,
    Ended,
}

/// Why there is no reply.
#[derive(Debug, PartialEq)]
pub(super) enum Trouble {
    /// The program is gone: started again, it may answer.
    Lost(String),
    /// It hangs, or keeps its reply: started again, it may answer.
    Silent(String),
    /// It says what it should not.
    Wrong(String),
}

impl Talk {
    /// Starts a program, the first of the words, whose errors are logged under `name`.
    pub(super) fn start(words: &[String], name: &str) -> io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else { unreachable!("all three are pipes") };
        let (questions, asked) = channel();
        // Of few places: a program that never stops talking must not fill the memory.
        let (says, said) = sync_channel(4);
        let (reading_errors, no_more_errors) = channel();
        let errors = Arc::<Errors>::default();
        let id = child.id();
        let unfinished = Some(Unfinished::new(move || kill_group(id)));
        let questions = Some(questions);
        let talk = Self { child, status: None, unfinished, questions, said, errors, no_more_errors };
        let (kept, name) = (Arc::clone(&talk.errors), name.to_owned());
        let spawn = |work: Box<dyn FnOnce() + Send>| thread::Builder::new().spawn(work);
        spawn(Box::new(move || pass_on(stdin, &asked)))?;
        spawn(Box::new(move || listen(stdout, &says)))?;
        spawn(Box::new(move || log(stderr, &name, &kept, reading_errors)))?;
        Ok(talk)
    }

    /// The line that it answers a line with.
    pub(super) fn ask(&mut self, question: &str, timeout: Duration) -> Result<String, Trouble> {
        match self.said.try_recv() {
            Ok(Said::Line(line)) => {
                let problem = "says more than one line to a question, or one before it; standard output is for replies, and \
                               everything else for standard error";
                return Err(Trouble::Wrong(format!("{problem}: {}", shown(&line))));
            }
            Ok(Said::TooMuch) => return Err(too_much()),
            Ok(Said::Ended) => return Err(Trouble::Lost(self.end())),
            Err(_) => {}
        }
        self.errors.count.store(0, Ordering::Relaxed);
        // If it reads no more, that shows in what it says.
        let _ = self.questions.as_ref().map(|questions| questions.send(format!("{question}\n")));
        match self.said.recv_timeout(timeout) {
            Ok(Said::Line(line)) => Ok(line),
            Ok(Said::TooMuch) => Err(too_much()),
            Ok(Said::Ended) | Err(RecvTimeoutError::Disconnected) => Err(Trouble::Lost(self.end())),
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                let seconds = timeout.as_secs_f64();
                Err(Trouble::Silent(format!("gave no reply within {seconds} s (`reward_timeout`)")))
            }
        }
    }

    /// The last lines that it printed as errors, when it is over.
    pub(super) fn last_words(&mut self) -> String {
        self.kill();
        let _ = self.no_more_errors.recv_timeout(GRACE);
        let errors = self.errors.last.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().map(|line| shown(line)).collect::<Vec<_>>().join(" / ")
    }

    /// How it ended, in words.
    fn end(&mut self) -> String {
        self.kill();
        self.status.map_or_else(|| "ended".to_owned(), |status| format!("ended ({status})"))
    }

    /// Ends it and what it started. Of a program that is over already this collects the exit code.
    fn kill(&mut self) {
        if self.status.is_none() {
            self.questions = None;
            self.unfinished = None;
            // Not collected yet, so that nobody else can have the number.
            kill_group(self.child.id());
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Talk {
    /// Closes its standard input, and ends it if it is still there a moment later.
    fn drop(&mut self) {
        self.questions = None;
        let end = Instant::now() + GRACE;
        let left = || end.saturating_duration_since(Instant::now());
        while self.status.is_none() && matches!(self.said.recv_timeout(left()), Ok(Said::Line(_))) {}
        self.kill();
    }
}

#[cfg(unix)]
fn kill_group(leader: u32) {
    if let Some(group) = rustix::process::Pid::from_raw(leader.cast_signed()) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// Where there are no groups, the program itself is ended.
#[cfg(not(unix))]
fn kill_group(_leader: u32) {}

fn too_much() -> Trouble {
    Trouble::Wrong(format!("says a line of more than {LARGEST} bytes"))
}

fn pass_on(mut stdin: ChildStdin, questions: &Receiver<String>) {
    while let Ok(question) = questions.recv() {
        if stdin.write_all(question.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            break;
        }
    }
}

fn listen(stdout: ChildStdout, says: &SyncSender<Said>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let said = match line(&mut stdout, LARGEST) {
            Some(line) if line.len() as u64 > LARGEST => Said::TooMuch,
            Some(line) if line.trim().is_empty() => continue,
            Some(line) => Said::Line(line),
            None => Said::Ended,
        };
        let is_last = !matches!(said, Said::Line(_));
        if says.send(said).is_err() || is_last {
            break;
        }
    }
}

/// `_until_the_end` goes when this function does, which tells the other side.
fn log(stderr: ChildStderr, name: &str, kept: &Errors, _until_the_end: Sender<()>) {
    let mut stderr = BufReader::new(stderr);
    while let Some(line) = line(&mut stderr, LONGEST_LINE) {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        match kept.count.fetch_add(1, Ordering::Relaxed) {
            count if count < LOGGED => tracing::info!("{name}: {}", shortened(line, LOGGED_CHARACTERS)),
            LOGGED => tracing::warn!(
                "{name}: more than {LOGGED} lines of errors to one question; the others are not shown"
            ),
            _ => {}
        }
        let mut kept = kept.last.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(line.to_owned());
        if kept.len() > LAST_WORDS {
            kept.pop_front();
        }
    }
}

/// The next line, or as much of it as `most` bytes and one; none at the end.
fn line(from: &mut impl BufRead, most: u64) -> Option<String> {
    let mut line = Vec::new();
    let read = from.take(most + 1).read_until(b'\n', &mut line);
    let is_over = line.is_empty() || read.is_err();
    (!is_over).then(|| String::from_utf8_lossy(&line).into_owned())
}
