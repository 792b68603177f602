//! One row, run: the program as a child that cannot take the machine with it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use wait_timeout::ChildExt as _;

use crate::place::{Contents, Place};
use crate::row::{Content, Row};

/// How long a row may take, on a machine with much else to do.
const SECONDS: u64 = 20;
/// How much address space a row may ask for, in kB: what is above is refused by the system, and an allocation that was made
/// for a number in a file ends in an abort.
const KILOBYTES: u64 = 3_000_000;
/// How much of what a program prints is kept.
const KEPT: usize = 200_000;

/// How a program answered.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; none if a signal ended it, or the limit on time.
    pub code: Option<i32>,
    /// What ended it otherwise.
    pub ended: String,
    /// Its standard output, the beginning.
    pub stdout: String,
    /// Its standard error, the beginning.
    pub stderr: String,
    /// What was created, changed or removed.
    pub changed: Vec<String>,
    /// How long it ran.
    pub time: Duration,
}

/// Runs a row with the program at this path.
///
/// # Panics
/// If the row itself is wrong: what it puts there cannot be made, or the call before it fails.
pub fn run(row: &Row, program: &Path) -> Outcome {
    match try_run(row, program) {
        Ok(outcome) => outcome,
        Err(error) => panic!("{row}: cannot be run: {error}"),
    }
}

fn try_run(row: &Row, program: &Path) -> io::Result<Outcome> {
    let place = prepared(&row.before, program)?;
    for (name, content) in &row.files {
        place.put(name, content).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    }
    let before = place.contents()?;
    let mut command = command(&place, program, &row.words, row.shell);
    command.envs(row.variables.iter().map(|(name, value)| (name, value)));
    let input = match &row.input {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Made(make) => make(),
        _ => return Err(io::Error::other("standard input is bytes")),
    };
    let output = ended(command, &input, row.stdout.map(Path::new))?;
    Ok(Outcome { changed: changes(&before, &place.contents()?), ..output })
}

/// A place in which the program has been called with these words already. The same calls are made once for all rows.
fn prepared(calls: &[String], program: &Path) -> io::Result<Place> {
    static PLACES: LazyLock<Mutex<BTreeMap<String, Arc<Place>>>> = LazyLock::new(Mutex::default);
    let key = format!("{}\n{}", program.display(), calls.join("\n"));
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    let place = match places.get(&key) {
        Some(place) => place.clone(),
        None => {
            let place = Arc::new(Place::new()?);
            for words in calls {
                let words: Vec<&str> = words.split_whitespace().collect();
                let outcome = ended(command(&place, program, &words, ":"), &[], None)?;
                if outcome.code != Some(0) {
                    return Err(io::Error::other(format!("{}\n{outcome}", words.join(" "))));
                }
            }
            places.insert(key, place.clone());
            place
        }
    };
    drop(places);
    place.again()
}

fn command(place: &Place, program: &Path, words: &[impl AsRef<OsStr>], shell: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {KILOBYTES}; ulimit -c 0; {shell}; exec \"$0\" \"$@\""));
    command.arg(program).args(words).current_dir(place.dir());
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.env("HOME", place.outer().join("home")).env("TMPDIR", place.outer().join("tmp"));
    command.env("HF_HUB_OFFLINE", "1").env("RAYON_NUM_THREADS", "1");
    command
}

/// Runs a command to its end, or to the limit on time.
fn ended(mut command: Command, input: &[u8], stdout: Option<&Path>) -> io::Result<Outcome> {
    // Files rather than pipes: a program that writes without end must not be read without end.
    let (out, err) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    let to = match stdout {
        Some(path) => File::options().write(true).open(path)?,
        None => out.reopen()?,
    };
    let start = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(to).stderr(err.reopen()?).spawn()?;
    let status = fed(&mut child, input)?;
    let time = start.elapsed();
    let text = |file: &Path| -> io::Result<String> {
        let bytes = fs::read(file)?;
        Ok(String::from_utf8_lossy(&bytes[..bytes.len().min(KEPT)]).into_owned())
    };
    Ok(Outcome {
        code: status.and_then(|status| status.code()),
        ended: status.map_or_else(|| format!("killed after {SECONDS} s"), |status| status.to_string()),
        stdout: text(out.path())?,
        stderr: text(err.path())?,
        changed: Vec::new(),
        time,
    })
}

fn fed(child: &mut Child, input: &[u8]) -> io::Result<Option<ExitStatus>> {
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let status = child.wait_timeout(Duration::from_secs(SECONDS))?;
        if status.is_none() {
            child.kill()?;
            child.wait()?;
        }
        Ok(status)
    })
}

fn changes(before: &Contents, after: &Contents) -> Vec<String> {
    let name =
        |path: &Path| path.strip_prefix("here").map_or_else(|_| Path::new("..").join(path), Path::to_owned);
    let mut changed = Vec::new();
    for (path, content) in before {
        match after.get(path) {
            Some(now) if now == content => {}
            Some(_) => changed.push(format!("changed {}", name(path).display())),
            None => changed.push(format!("removed {}", name(path).display())),
        }
    }
    let new = after.keys().filter(|path| !before.contains_key(*path));
    changed.extend(new.map(|path| format!("created {}", name(path).display())));
    changed
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &str| text.chars().take(1_000).collect::<String>().escape_debug().to_string();
        writeln!(f, "  {} after {:.1} s", self.ended, self.time.as_secs_f64())?;
        writeln!(f, "  stdout: {}", short(&self.stdout).replace("\\n", "\n    "))?;
        write!(f, "  stderr: {}", short(&self.stderr).replace("\\n", "\n    "))?;
        for change in self.changed.iter().take(20) {
            write!(f, "\n  {change}")?;
        }
        Ok(())
    }
}
