//! The directory that a program writes its results to: who may use it, what in it is the program's, what may be removed.
//!
//! The one owner of these rules. A directory is used by one process at a time ([`Lock`](crate::Lock)). It is a new run's if
//! nothing is in it; an earlier run's that goes on; or an earlier run's that the user gave away, and then only the files that
//! programs noted when they wrote them are removed. Everything of the program's own is in `.align`: the lock, the notes and
//! what is not yet in its place.

mod rules;
mod trees;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::scratch::{HOME, make_home, remove_if_empty, tmp};
use crate::unfinished::Unfinished;
use crate::written::Written;
use crate::{Error, Lock, Result, Resume, create_dir_all};
use rules::Obstacle;
pub use rules::{Use, check_writable};
pub use trees::Scratch;

/// An output directory that this process has for itself. Clones are the same one; the last that is dropped gives it free.
///
/// Until [`OutputDir::begin`] nothing in it is touched, and if that never comes, the directories that were made for it go
/// again.
#[derive(Clone, Debug)]
pub struct OutputDir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    kind: Use,
    /// Directories that were made for it, the outermost first.
    made: Vec<PathBuf>,
    lock: Mutex<Option<Lock>>,
    state: Mutex<State>,
    unfinished: OnceLock<Unfinished>,
}

#[derive(Debug)]
struct State {
    written: Written,
    /// Whether there were notes when the directory was taken.
    had_notes: bool,
    begun: bool,
    /// Claimed before it began.
    claimed: Vec<String>,
}

impl OutputDir {
    /// The use that the directory would be taken for, by the rules. Looks only.
    ///
    /// # Errors
    /// As [`OutputDir::take`].
    pub fn check(path: impl AsRef<Path>, overwrite: bool, resume: &Resume) -> Result<Use> {
        rules::check(path.as_ref(), overwrite, resume)
    }

    /// Takes the directory, which is made if it is not there: for a new run, for the one that goes on in it by `resume`, or,
    /// with `overwrite`, in place of the one that is in it.
    ///
    /// # Errors
    /// One that cannot be written, that another process uses, that holds something although it is neither overwritten nor
    /// resumed, or that holds something and has no notes of whose it is.
    pub fn take(path: impl AsRef<Path>, overwrite: bool, resume: &Resume) -> Result<Self> {
        let path = path.as_ref();
        rules::check(path, overwrite, resume)?;
        let made = missing(path);
        create_dir_all(path)?;
        Self::taken(path, made, || rules::kind(path, overwrite, resume))
    }

    /// Whether a run noted what it wrote in this directory, and may therefore be replaced.
    pub fn is_noted(path: impl AsRef<Path>) -> bool {
        Written::read(path.as_ref()).is_ok_and(|notes| notes.is_some())
    }

    /// Refuses what [`OutputDir::beside`] would refuse. Looks only.
    ///
    /// # Errors
    /// As [`OutputDir::beside`].
    pub fn check_beside(path: impl AsRef<Path>, names: &[&str]) -> Result<()> {
        rules::check_beside(path.as_ref(), names)
    }

    /// Takes the directory for files of these `names` that are put beside what is there, such as a report. None of them is
    /// noted: a run that overwrites the directory does not remove them.
    ///
    /// # Errors
    /// One that cannot be written, that another process uses, or in which a run noted a file of such a name.
    pub fn beside(path: impl AsRef<Path>, names: &[&str]) -> Result<Self> {
        let path = path.as_ref();
        rules::check_beside(path, names)?;
        let made = missing(path);
        create_dir_all(path)?;
        Self::taken(path, made, || Ok(Use::Beside))
    }

    /// Makes and takes `parent/<stage>-<number>` for the first number above all that exist.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn numbered(parent: impl AsRef<Path>, stage: &str) -> Result<Self> {
        let parent = parent.as_ref();
        let mut made = missing(parent);
        create_dir_all(parent)?;
        let path = rules::next_numbered(parent, stage)?;
        made.push(path.clone());
        Self::taken(&path, made, || Ok(Use::New))
    }

    fn taken(path: &Path, made: Vec<PathBuf>, kind: impl FnOnce() -> Result<Use>) -> Result<Self> {
        let take = || {
            let lock = make_home(path)?.join(rules::LOCK);
            let lock = Lock::take(lock).map_err(|error| rules::in_use(path, error))?;
            // Once more: another run may have taken it, and left it, while this one read its data.
            Ok((lock, kind()?, Written::read(path)?))
        };
        let (lock, kind, notes) = take().inspect_err(|_| give_back(path, &made))?;
        let (had_notes, written) = (notes.is_some(), notes.unwrap_or_default());
        let state = State { written, had_notes, begun: false, claimed: Vec::new() };
        let (lock, state) = (Mutex::new(Some(lock)), Mutex::new(state));
        let unfinished = OnceLock::new();
        let inner = Arc::new(Inner { path: path.to_owned(), kind, made, lock, state, unfinished });
        let own = Arc::downgrade(&inner);
        let give_back = move || drop(own.upgrade().inspect(|inner| inner.give_back()));
        let _ = inner.unfinished.set(Unfinished::new(give_back));
        Ok(Self(inner))
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The use that the directory was taken for.
    pub fn kind(&self) -> Use {
        self.0.kind
    }

    /// Fails where this is no longer the directory that was taken: what is written now would end up in another run's.
    ///
    /// # Errors
    /// A directory that was moved, replaced or removed.
    pub fn check_held(&self) -> Result<()> {
        let lock = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.as_ref().is_some_and(Lock::is_in_place) {
            return Ok(());
        }
        let problem = "was moved, replaced or removed while a run was writing to it; the run ends here";
        Err(Error::new(self.path(), ErrorKind::NotFound, problem))
    }

    /// Says which files are to be written, by their names in the directory (`runs/events`). A run that goes on in a directory
    /// without notes takes those that are there for its own: an earlier version wrote them.
    ///
    /// # Errors
    /// Another's file of such a name; notes that cannot be written.
    pub fn claim<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> Result<()> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.iter().try_for_each(|name| self.refuse_foreign(name))?;
        self.state().note(self.path(), names)
    }

    /// Fails if there is a file of this name that is another's: for names that a run may have to remove, too.
    ///
    /// # Errors
    /// As [`OutputDir::claim`].
    pub fn refuse_foreign(&self, name: &str) -> Result<()> {
        let (path, state) = (self.path().join(name), self.state());
        let is_older = self.0.kind == Use::Continues && !state.had_notes;
        let is_ours = || is_older || state.owns(name);
        match rules::obstacle(self.path(), &path) {
            Some(Obstacle::File) if is_ours() => Ok(()),
            None => Ok(()),
            Some(Obstacle::File) => Err(rules::in_the_way(&path)),
            Some(Obstacle::Shape(place)) => Err(rules::in_the_way(&place)),
        }
    }

    /// Notes files that are known to be the run's although they were not noted: of an earlier version, or on their way
    /// into place when the process was killed.
    ///
    /// # Errors
    /// Notes that cannot be written.
    pub fn adopt(&self, names: impl IntoIterator<Item = String>) -> Result<()> {
        self.state().note(self.path(), names.into_iter().collect())
    }

    /// True if the file is one that a program noted here.
    pub fn owns(&self, name: &str) -> bool {
        self.state().owns(name)
    }

    /// The run is accepted, once and for all: what was claimed is noted, and where it replaces another run, the files of
    /// that one are removed.
    ///
    /// # Errors
    /// What cannot be removed or written. Where there is no room even for the notes, nothing has been removed.
    pub fn begin(&self) -> Result<()> {
        self.check_held()?;
        let mut state = self.state();
        if state.begun {
            return Ok(());
        }
        let mut replaced = state.written.clone();
        let claimed = std::mem::take(&mut state.claimed);
        claimed.iter().for_each(|name| state.written.add(name.clone()));
        state.written.write(self.path())?;
        if self.0.kind != Use::Continues {
            replaced.remove_files(self.path())?;
            match fs::remove_dir_all(tmp(self.path())) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::at(tmp(self.path()))(error));
                }
                _ => {}
            }
            state.written = claimed.into_iter().collect();
            state.written.write(self.path())?;
        }
        state.begun = true;
        Ok(())
    }

    /// A state is whole between any two statements: one that a panic left is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, directory: &Path, names: Vec<String>) -> Result<()> {
        if !self.begun {
            self.claimed.extend(names);
            return Ok(());
        }
        let known = names.iter().all(|name| self.written.contains(name));
        names.into_iter().for_each(|name| self.written.add(name));
        if known { Ok(()) } else { self.written.write(directory) }
    }

    fn owns(&self, name: &str) -> bool {
        self.written.contains(name) || self.claimed.iter().any(|claimed| claimed == name)
    }
}

impl Inner {
    /// Gives it free: the lock, and what was made for nothing.
    fn give_back(&self) {
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
        let begun = self.state.lock().unwrap_or_else(PoisonError::into_inner).begun;
        give_back(&self.path, if begun { &[] } else { &self.made });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Removes what is empty of the program's own folder and of the directories that were made.
fn give_back(path: &Path, made: &[PathBuf]) {
    remove_if_empty(&path.join(HOME));
    // Only empty directories can be removed this way; one that has been filled is no longer ours.
    let _ = made.iter().rev().map(fs::remove_dir).take_while(Result::is_ok).count();
}

/// The directories that making this one will bring about, the outermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let mut missing: Vec<_> = path.ancestors().take_while(missing).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

#[cfg(test)]
mod tests;
