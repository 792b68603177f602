//! Where files of stored rows are, who writes them, and which of them go.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use align_files::{Lock, NewFile};

use crate::error::{DataError, Result};

/// Bytes of token ids from which on they are in a file.
const IN_MEMORY: usize = 64 << 20;
/// Files that are kept: the last ones that were used.
const KEPT: usize = 8;
const ENDING: &str = "tokens";

/// The cache of token ids: where the rows of a data set are kept, if they are many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCache {
    /// The directory; none keeps nothing beyond the process.
    pub dir: Option<PathBuf>,
    /// Bytes of token ids up to which they stay in memory, and in no file.
    pub in_memory: usize,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self { dir: None, in_memory: IN_MEMORY }
    }
}

impl TokenCache {
    /// Whether anything is kept in it.
    pub(crate) fn has_files(&self) -> bool {
        self.dir.as_deref().is_some_and(|dir| !files(dir).is_empty())
    }

    /// The file of a key; none where nothing is kept.
    pub(crate) fn place(&self, key: Option<String>) -> Place {
        let path = |key: &String| Some(self.dir.as_ref()?.join(format!("{}.{ENDING}", &key[..32])));
        Place { path: key.as_ref().and_then(path), key: key.unwrap_or_default() }
    }
}

/// Where the rows of a run are kept.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) path: Option<PathBuf>,
    pub(crate) key: String,
}

impl Place {
    /// The file to write: the one to keep; where that cannot be, or another run writes it, one without a name.
    pub(super) fn create(&self) -> Result<Output> {
        let Some(path) = &self.path else { return Output::unnamed(&std::env::temp_dir()) };
        let dir = path.parent().unwrap_or(Path::new("."));
        let begin = || -> align_files::Result<Output> {
            align_files::create_dir_all(dir)?;
            let lock = Lock::take(path.with_extension("lock"))?;
            // Damaged, or it would have been taken.
            align_files::remove(path)?;
            Ok(Output::Kept { file: NewFile::create(path)?, lock, path: path.clone() })
        };
        begin().or_else(|error| {
            tracing::warn!("token ids are not kept for the next run: {error}");
            Output::unnamed(&std::env::temp_dir())
        })
    }

    /// Notes that the file is in use.
    pub(crate) fn touch(&self) {
        let opened = self.path.as_ref().and_then(|path| OpenOptions::new().append(true).open(path).ok());
        if let Some(file) = opened {
            // Who may not write it keeps its date.
            let _ = file.set_modified(SystemTime::now());
        }
    }
}

/// A file that is written.
pub(super) enum Output {
    /// It has its name when it is whole.
    Kept { file: NewFile, lock: Lock, path: PathBuf },
    /// It has none, and goes with the process.
    Unnamed { file: BufWriter<File>, dir: PathBuf },
}

impl Output {
    fn unnamed(dir: &Path) -> Result<Self> {
        let file = align_files::unnamed_in(dir).map_err(|error| DataError::Store {
            path: dir.to_path_buf(),
            problem: format!("cannot be written: {}; name another directory with TMPDIR", error.source),
        })?;
        Ok(Self::Unnamed { file: BufWriter::with_capacity(1 << 16, file), dir: dir.to_path_buf() })
    }

    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept { path, .. } => path,
            Self::Unnamed { dir, .. } => dir,
        }
    }

    /// The file as it is so far, to be read.
    pub(super) fn reader(&mut self) -> io::Result<File> {
        match self {
            Self::Unnamed { file, .. } => {
                file.flush()?;
                file.get_ref().try_clone()
            }
            Self::Kept { file, .. } => Ok(file.reader()?),
        }
    }

    /// Gives the file its name, if it is kept.
    pub(super) fn finish(self) -> Result<()> {
        let Self::Kept { file, lock, path } = self else { return Ok(()) };
        file.finish()?;
        forget_oldest(path.parent().unwrap_or(Path::new(".")));
        tracing::info!("token ids are kept in {} for the next run on the same data", path.display());
        drop(lock);
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Kept { file, .. } => file.write(bytes),
            Self::Unnamed { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Kept { file, .. } => file.flush(),
            Self::Unnamed { file, .. } => file.flush(),
        }
    }
}

/// The files that are kept, with the time of their last use.
fn files(dir: &Path) -> Vec<(SystemTime, PathBuf)> {
    let found = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let found = found.filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
    found.filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path))).collect()
}

/// Removes all but the last files that were used. A run that reads one reads on: its name goes, and the file with the run.
fn forget_oldest(dir: &Path) {
    let mut files = files(dir);
    files.sort();
    for (_, path) in &files[..files.len().saturating_sub(KEPT)] {
        match fs::remove_file(path) {
            Ok(()) => tracing::info!("{KEPT} files of token ids are kept: removed {}", path.display()),
            Err(error) => tracing::warn!("{}: cannot be removed: {error}", path.display()),
        }
    }
}
