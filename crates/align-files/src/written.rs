//! The notes of what a program wrote into a directory: the names of its files, one a line, in `.align/written`.
//!
//! A name is noted before its file is made, so no file of the program's can be there that is not noted; a noted one may be
//! missing. What is not noted is somebody else's and is never removed.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::scratch::HOME;
use crate::{Error, Result, read_to_string, sync_dir, write};

const FILE: &str = "written";
const HEAD: &str =
    "# What this program wrote here. --overwrite-output-dir removes these files and no others.";
/// Far more than the checkpoints that a disk could hold.
const LIMIT: u64 = 256 << 20;

/// Names relative to the directory, folders separated by `/`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(BTreeSet<String>);

impl Written {
    /// The notes of `directory`; none if it has none.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = place(directory);
        let text = match read_to_string(&path, LIMIT) {
            Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let mut names = BTreeSet::new();
        for (number, name) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            // A name that leads out of the directory would have something else removed.
            if !is_inside(name) {
                let problem =
                    format!("line {}: expected a path inside the directory, found `{name}`", number + 1);
                return Err(Error::new(&path, ErrorKind::InvalidData, problem));
            }
            names.insert(name.to_owned());
        }
        Ok(Some(Self(names)))
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let lines = self.0.iter().map(|name| format!("{name}\n"));
        write(place(directory), format!("{HEAD}\n{}", lines.collect::<String>()))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(crate) fn add(&mut self, name: String) {
        self.0.insert(name);
    }

    /// Forgets a file, or everything in a folder.
    pub(crate) fn forget(&mut self, name: &str) {
        let inside = format!("{name}/");
        self.0.retain(|other| other != name && !other.starts_with(&inside));
    }

    /// Removes every file that is noted, and the folders that are empty then.
    pub(crate) fn remove_files(&mut self, directory: &Path) -> Result<()> {
        let mut folders = BTreeSet::new();
        for name in std::mem::take(&mut self.0) {
            let path = directory.join(&name);
            // Through a link that somebody put in place of a folder nothing is removed.
            let leads_out = ancestors(directory, &path).any(|folder| folder.is_symlink());
            // A folder in the place of a file is somebody else's: no program notes one.
            let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
            if !leads_out && !is_folder {
                match fs::remove_file(&path) {
                    Err(error) if !is_absent(&error) => return Err(Error::at(path)(error)),
                    _ => folders.extend(ancestors(directory, &path).map(Path::to_owned)),
                }
            }
        }
        // The deepest first.
        folders.into_iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
        sync_dir(directory)
    }
}

impl FromIterator<String> for Written {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The folders of `path` below `directory`.
pub(crate) fn ancestors<'a>(directory: &'a Path, path: &'a Path) -> impl Iterator<Item = &'a Path> {
    path.ancestors().skip(1).take_while(move |folder| *folder != directory)
}

fn is_inside(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let home = components.clone().next() == Some(Component::Normal(HOME.as_ref()));
    !name.is_empty() && !home && components.all(|component| matches!(component, Component::Normal(_)))
}

fn place(directory: &Path) -> PathBuf {
    directory.join(HOME).join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_that_lead_out_of_the_directory_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(HOME)).unwrap();
        assert!(Written::read(dir.path()).unwrap().is_none());
        for name in ["../data", "/etc/passwd", "a/../../b", "", ".align/lock"] {
            fs::write(place(dir.path()), format!("# x\n{name}\n")).unwrap();
            let error = Written::read(dir.path()).unwrap_err().to_string();
            assert!(error.contains("written: line 2: expected a path inside"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_removed_through_a_link() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("events"), "").unwrap();
        std::os::unix::fs::symlink(other.path(), dir.path().join("runs")).unwrap();
        let mut written = Written(BTreeSet::from(["runs/events".to_owned()]));
        written.remove_files(dir.path()).unwrap();
        assert!(other.path().join("events").exists());
    }
}
