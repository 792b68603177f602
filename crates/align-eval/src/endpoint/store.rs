//! Replies of an endpoint on disk, by a hash of what was asked: asked once, known for good.
//!
//! One JSON object per line, written and flushed as each reply comes, so that a process that is killed loses at most the
//! reply it was writing. What such an end has damaged, wherever it cut, is left out and asked for again. The file is mended
//! when the first new reply comes and not when it is read, and what is taken out of it then stays in a file beside it: it
//! may be somebody's, whose name was given by mistake.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::client::{EndpointError, Turn};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 30;

/// What an endpoint has said.
#[derive(Debug)]
pub struct ReplyStore {
    path: PathBuf,
    content: Mutex<Content>,
}

#[derive(Debug)]
struct Content {
    replies: BTreeMap<String, String>,
    /// Whether a reply can be added to the file as it is.
    is_whole: bool,
    /// None before the first new reply, so that a run that asks nothing leaves nothing.
    file: Option<File>,
}

/// A line of the file: the question beside the answer, for whoever wants to read the verdicts.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    model: String,
    messages: Vec<Turn>,
    reply: String,
}

impl ReplyStore {
    /// Reads the file if there is one; it is made, with the directories above it, when the first reply comes.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds something else.
    pub fn open(path: &Path) -> Result<Self, EndpointError> {
        let bytes = match align_files::read(path, LARGEST) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                can_be_made(path).map(|()| Vec::new())?
            }
            read => read?,
        };
        let read = Read::of(path, &bytes)?;
        if !read.damaged.is_empty() {
            let lines = align_text::shortened(&read.damaged.join(", "), 200);
            tracing::warn!(
                "{}: broke off in line {lines}; what was said there is asked for again, and what is left of it goes to {}",
                path.display(),
                damaged(path).display()
            );
        }
        let content = Content { is_whole: read.whole == bytes, replies: read.replies, file: None };
        Ok(Self { path: path.to_owned(), content: Mutex::new(content) })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many replies it holds.
    pub fn len(&self) -> usize {
        self.lock().replies.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn key(url: &str, body: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(url);
        hasher.update([0]);
        hasher.update(body);
        align_files::hex(&hasher.finalize())
    }

    pub(super) fn get(&self, key: &str) -> Option<String> {
        self.lock().replies.get(key).cloned()
    }

    pub(super) fn put(
        &self,
        key: &str,
        model: &str,
        turns: &[Turn],
        reply: &str,
    ) -> Result<(), EndpointError> {
        let wrong = |source| EndpointError::Store { path: self.path.clone(), source };
        let line = Line {
            key: key.to_owned(),
            model: model.to_owned(),
            messages: turns.to_vec(),
            reply: reply.to_owned(),
        };
        let mut text = serde_json::to_string(&line).map_err(std::io::Error::from).map_err(wrong)?;
        text.push('\n');
        let mut content = self.lock();
        if !std::mem::replace(&mut content.is_whole, true) {
            mend(&self.path)?;
        }
        let file = match &mut content.file {
            Some(file) => file,
            none => none.insert(appending(&self.path)?),
        };
        file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(wrong)?;
        content.replies.insert(line.key, line.reply);
        Ok(())
    }

    /// A thread that panicked while it held the lock had written its line or not: both are fine.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the directories above a new file can be: found out before anything is asked.
fn can_be_made(path: &Path) -> Result<(), EndpointError> {
    match path.ancestors().skip(1).find(|above| above.exists()) {
        Some(above) if !above.is_dir() => {
            let problem = "is a file, expected a directory for the replies";
            Err(align_files::Error::new(above, io::ErrorKind::NotADirectory, problem).into())
        }
        _ => Ok(()),
    }
}

fn appending(path: &Path) -> Result<File, EndpointError> {
    if let Some(parent) = path.parent() {
        align_files::create_dir_all(parent)?;
    }
    let opened = OpenOptions::new().append(true).create(true).open(path);
    Ok(opened.map_err(align_files::Error::at(path))?)
}

/// What is in a file.
struct Read {
    replies: BTreeMap<String, String>,
    /// The lines of the replies, byte for byte.
    whole: Vec<u8>,
    /// All others that hold something, as lines too.
    dropped: Vec<u8>,
    /// The numbers of those, from 1.
    damaged: Vec<String>,
}

impl Read {
    fn of(path: &Path, bytes: &[u8]) -> Result<Self, EndpointError> {
        let (replies, whole, dropped, damaged) = Default::default();
        let mut read = Self { replies, whole, dropped, damaged };
        let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        for (number, line) in lines.iter().enumerate() {
            let kind = match serde_json::from_slice::<Line>(line) {
                Ok(found) => {
                    read.replies.insert(found.key, found.reply);
                    &mut read.whole
                }
                Err(_) if line.trim_ascii().is_empty() => continue,
                Err(error) => {
                    let is_inside = number + 1 < lines.len() && !read.replies.is_empty();
                    let is_alone = read.replies.is_empty() && !read.damaged.is_empty();
                    if is_alone || !(is_inside || is_beginning(line)) || is_json(line) {
                        return Err(other_file(path, number, &error));
                    }
                    read.damaged.push((number + 1).to_string());
                    &mut read.dropped
                }
            };
            kind.extend_from_slice(line);
            kind.push(b'\n');
        }
        Ok(read)
    }
}

/// Whether a line may be a reply that broke off, or begin with zeros that a power failure left. Everything else is
/// somebody's, unless it stands between replies.
fn is_beginning(line: &[u8]) -> bool {
    const START: &[u8] = b"{\"key\":\"";
    line.starts_with(START) || START.starts_with(line) || line.starts_with(b"\0")
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// Takes everything but whole replies out of the file, and keeps it beside it.
fn mend(path: &Path) -> Result<(), EndpointError> {
    // Beside a link lies nothing that is meant.
    let path = &std::fs::canonicalize(path).map_err(align_files::Error::at(path))?;
    let read = Read::of(path, &align_files::read(path, LARGEST)?)?;
    if !read.dropped.is_empty() {
        let beside = damaged(path);
        let before = match align_files::read(&beside, LARGEST) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Vec::new(),
            before => before?,
        };
        align_files::write(beside, [before, read.dropped].concat())?;
    }
    Ok(align_files::write(path, read.whole)?)
}

/// Where what is taken out of the file goes.
fn damaged(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}

fn other_file(path: &Path, number: usize, error: &serde_json::Error) -> EndpointError {
    let place = path.display();
    let problem = format!("{place}:{}: expected replies of an endpoint, one a line: {error}", number + 1);
    EndpointError::Options(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_known_again_wherever_the_end_broke_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/replies.jsonl");
        let (one, two) = (ReplyStore::key("u", "1"), ReplyStore::key("u", "2"));
        let store = ReplyStore::open(&path).unwrap();
        assert!(!dir.path().join("new").exists(), "nothing is made before there is something to keep");
        store.put(&one, "m", &[Turn::user("?")], "[[A]]\n").unwrap();
        store.put(&two, "m", &[Turn::user("?")], "Grüße 漢 👩‍🔧 [[B]]").unwrap();
        drop(store);
        let bytes = std::fs::read(&path).unwrap();
        let second = 1 + bytes.iter().position(|&byte| byte == b'\n').unwrap();
        let beside = dir.path().join("new/replies.jsonl.damaged");
        for cut in 0..bytes.len() - 1 {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let store = ReplyStore::open(&path).unwrap();
            let first = (cut + 1 >= second).then_some("[[A]]\n");
            assert_eq!((store.get(&one).as_deref(), store.get(&two)), (first, None), "cut at {cut}");
            assert_eq!(store.len(), usize::from(first.is_some()));
            assert_eq!(std::fs::read(&path).unwrap(), bytes[..cut], "nothing is written yet, cut at {cut}");
            store.put(&two, "m", &[Turn::user("?")], "[[B]]").unwrap();
            let kept = if first.is_some() { second } else { 0 };
            let file = std::fs::read(&path).unwrap();
            assert!(file.starts_with(&bytes[..kept]) && file[kept..].ends_with(b"\"reply\":\"[[B]]\"}\n"));
            assert_eq!(
                ReplyStore::open(&path).unwrap().len(),
                usize::from(first.is_some()) + 1,
                "cut at {cut}"
            );
            let dropped = std::fs::read(&beside).unwrap_or_default();
            let expected = if cut > kept { [&bytes[kept..cut], b"\n"].concat() } else { Vec::new() };
            assert_eq!(dropped, expected, "what is left of it stays, cut at {cut}");
            let _ = std::fs::remove_file(&beside);
        }
        std::fs::write(&path, &bytes[..second]).unwrap();
        let store = ReplyStore::open(&path).unwrap();
        store.put(&two, "m", &[Turn::user("?")], "[[B]]").unwrap();
        assert_eq!(ReplyStore::open(&path).unwrap().len(), 2);
        // What was damaged in the middle, and what a power failure left.
        for damage in [&b"\xff\n"[..], b"{\"key\":\"broke off\n", b"\0\0\0\0\0"] {
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, [&whole[..second], damage, &whole[second..]].concat()).unwrap();
            let expected = if damage.ends_with(b"\n") { 2 } else { 1 };
            assert_eq!(ReplyStore::open(&path).unwrap().len(), expected);
            std::fs::write(&path, &whole).unwrap();
        }
        std::fs::write(&path, [0; 100]).unwrap();
        assert!(ReplyStore::open(&path).unwrap().is_empty());
        assert_ne!(one, ReplyStore::key("v", "1"));
    }

    #[test]
    fn another_file_is_not_written_into() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        std::fs::write(&path, "{\"prompt\": \"p\"}\n").unwrap();
        let check = |content: &str, line: usize| {
            std::fs::write(&path, content).unwrap();
            let error = ReplyStore::open(&path).unwrap_err().to_string();
            assert!(
                error.contains(&format!("rows.jsonl:{line}: expected replies of an endpoint")),
                "{error}"
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        };
        check("{\"prompt\": \"p\"}\n", 1);
        check("{\"prompt\": \"p\"}", 1);
        check("{\"key\":1,\"value\":2}\n{\"key\":3}\n", 1);
        check("{\"key\":\"not JSON\n{\"key\":\"at all\n", 2);
        check("{\"key\": not JSON\n", 1);
        check("{ notes of somebody's", 1);
        check("[dependencies]\nserde = \"1\"\n", 1);
        let reply = r#"{"key":"k","model":"m","messages":[],"reply":"r"}"#;
        check(&format!("{reply}\nnotes of somebody's"), 2);
        check(&format!("{reply}\n{{\"other\": 1}}\n{reply}\n"), 2);
        let error = ReplyStore::open(&path.join("below/replies.jsonl")).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl"), "{error}");
    }
}
