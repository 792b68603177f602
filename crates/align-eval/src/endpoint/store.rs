//! Replies of an endpoint on disk, by a hash of what was asked: asked once, known for good.
//!
//! One JSON object per line, written and flushed as each reply comes, so that a process that is killed loses at most the
//! reply it was writing: a last line that broke off is left behind and asked for again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::client::{EndpointError, Turn};

/// What an endpoint has said.
#[derive(Debug)]
pub struct ReplyStore {
    path: PathBuf,
    content: Mutex<Content>,
}

#[derive(Debug)]
struct Content {
    replies: BTreeMap<String, String>,
    file: File,
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
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// A file that cannot be read and written, or that holds something else.
    pub fn open(path: &Path) -> Result<Self, EndpointError> {
        let wrong = |source| EndpointError::Store { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(wrong)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(wrong)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(wrong)?;
        let mut replies = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match serde_json::from_str::<Line>(line) {
                Ok(line) => {
                    replies.insert(line.key, line.reply);
                }
                Err(error) if number == 0 => {
                    let place = path.display();
                    let problem = format!("{place}:1: expected replies of an endpoint, one a line: {error}");
                    return Err(EndpointError::Options(problem));
                }
                Err(_) => {
                    tracing::warn!("{}:{}: broke off; it is asked for again", path.display(), number + 1)
                }
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(wrong)?;
        }
        Ok(Self { path: path.to_owned(), content: Mutex::new(Content { replies, file }) })
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
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
        content.file.write_all(text.as_bytes()).and_then(|()| content.file.flush()).map_err(wrong)?;
        content.replies.insert(line.key, line.reply);
        Ok(())
    }

    /// A thread that panicked while it held the lock had written its line or not: both are fine.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_known_again_and_a_broken_line_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/replies.jsonl");
        let (one, two) = (ReplyStore::key("u", "1"), ReplyStore::key("u", "2"));
        let store = ReplyStore::open(&path).unwrap();
        store.put(&one, "m", &[Turn::user("?")], "[[A]]\n").unwrap();
        store.put(&two, "m", &[Turn::user("?")], "[[B]]").unwrap();
        drop(store);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        let store = ReplyStore::open(&path).unwrap();
        assert_eq!((store.get(&one).as_deref(), store.get(&two), store.len()), (Some("[[A]]\n"), None, 1));
        store.put(&two, "m", &[Turn::user("?")], "[[B]]").unwrap();
        assert_eq!(ReplyStore::open(&path).unwrap().len(), 2);
        assert_ne!(one, ReplyStore::key("v", "1"));
    }

    #[test]
    fn another_file_is_not_written_into() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        std::fs::write(&path, "{\"prompt\": \"p\"}\n").unwrap();
        let error = ReplyStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl:1: expected replies of an endpoint"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"prompt\": \"p\"}\n");
    }
}
