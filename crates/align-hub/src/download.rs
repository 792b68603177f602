//! One file from the hub into the cache: the announced number of bytes with the announced hash, or nothing.
//!
//! Where the hash is known beforehand, what a broken transfer left is continued: the hash is that of the whole file, so
//! whoever began it cannot spoil it. Else a file begins anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use align_files::Error;
use indicatif::{ProgressBar, ProgressStyle};
use ureq::Body;

use super::client::{Answer, Client, Failure};
use super::folder::{Folder, is_whole};
use super::hash::{Hash, Hasher};
use super::name::is_plain_name;

/// A file that the cache lacks.
pub(super) struct Wanted<'a> {
    /// Its name, for people.
    pub(super) name: &'a str,
    /// Its path at the hub.
    pub(super) path: String,
    pub(super) size: Option<u64>,
    pub(super) hash: Option<Hash>,
    /// Whether progress is shown.
    pub(super) progress: bool,
}

/// Why a file could not be had.
pub(super) enum Problem {
    Hub(Failure),
    Disk(Error),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Hub(failure)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

/// The content's place in the cache.
pub(super) fn download(client: &Client, folder: &Folder, wanted: &Wanted<'_>) -> Result<PathBuf, Problem> {
    match &wanted.hash {
        Some(hash) => continued(client, folder, wanted, hash),
        None => anew(client, folder, wanted),
    }
}

fn continued(client: &Client, folder: &Folder, wanted: &Wanted<'_>, hash: &Hash) -> Result<PathBuf, Problem> {
    let blobs = folder.blobs()?;
    let blob = blobs.join(hash.name());
    let _lock = folder.lock(hash.name())?;
    // Another commit may have the same content, and another process may have fetched it meanwhile.
    if is_ordinary(&blob) && is_whole(&blob, wanted.size) {
        return Ok(blob);
    }
    let incomplete = blobs.join(format!("{}.incomplete", hash.name()));
    // At most twice: the second time there is nothing left to continue.
    while !append(client, &incomplete, wanted, hash)? {}
    fs::rename(&incomplete, &blob).map_err(Error::at(&blob))?;
    align_files::sync_dir(&blobs)?;
    Ok(blob)
}

/// Completes the file. If its content turns out to be wrong, it is removed; where its beginning was there before, that may
/// be the reason, and the answer is `false`.
fn append(client: &Client, path: &Path, wanted: &Wanted<'_>, hash: &Hash) -> Result<bool, Problem> {
    let disk = |error| Problem::Disk(Error::at(path)(error));
    if !is_ordinary(path) {
        align_files::remove(path)?;
    }
    let there = fs::metadata(path).map_or(0, |found| found.len());
    let kept = if wanted.size.is_some_and(|size| there < size) { there } else { 0 };
    let answer = match client.file(&wanted.path, kept) {
        // The server has no such place in the file.
        Err(Failure::Status(416)) if kept > 0 => client.file(&wanted.path, 0)?,
        answer => answer?,
    };
    let size = size(wanted, &answer)?;
    if answer.from != 0 && answer.from != kept {
        return Err(broken("another part of the file than was asked for"));
    }
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = opened.map_err(disk)?;
    file.set_len(answer.from).map_err(disk)?;
    let mut hasher = hash.hasher(size);
    feed(&mut hasher, &mut file).map_err(disk)?;
    let mut transfer = Transfer { wanted, size, done: answer.from, hasher: Some(hasher) };
    if let Err(problem) = transfer.receive(answer.body, &mut file, path) {
        // What the network broke off is continued the next time; a full disk is not to stay full.
        if matches!(problem, Problem::Disk(_)) {
            let _ = align_files::remove(path);
        }
        return Err(problem);
    }
    if transfer.hasher.map(Hasher::finish).as_deref() != Some(hash.name()) {
        align_files::remove(path)?;
        let is_known = answer.from > 0;
        return if is_known {
            Ok(false)
        } else {
            Err(broken("its content has another hash than listed; try again"))
        };
    }
    file.sync_all().map_err(disk)?;
    Ok(true)
}

/// A file whose hash the listing does not say: named by its etag, which is a hash where the hub is a real one.
fn anew(client: &Client, folder: &Folder, wanted: &Wanted<'_>) -> Result<PathBuf, Problem> {
    let answer = client.file(&wanted.path, 0)?;
    let size = size(wanted, &answer)?;
    let name = answer.etag.ok_or_else(|| broken("the hub gives neither its hash nor an etag"))?;
    if !is_plain_name(&name) {
        return Err(broken(format!("its etag `{name}` is no plain name")));
    }
    let (blob, hash) = (folder.blobs()?.join(&name), Hash::parse(&name));
    if is_ordinary(&blob) && is_whole(&blob, Some(size)) {
        return Ok(blob);
    }
    let hasher = hash.map(|hash| hash.hasher(size));
    let (mut transfer, mut problem) = (Transfer { wanted, size, done: 0, hasher }, None);
    let written = align_files::write_with(&blob, |file| {
        let received = transfer.receive(answer.body, file, &blob).and_then(|()| {
            let is_right = transfer.hasher.take().is_none_or(|hasher| hasher.finish() == name);
            if is_right { Ok(()) } else { Err(broken("its content is not what its etag says; try again")) }
        });
        received.map_err(|found| match found {
            Problem::Disk(error) => error.source,
            found @ Problem::Hub(_) => {
                problem = Some(found);
                io::Error::other("not received")
            }
        })
    });
    match problem {
        Some(problem) => Err(problem),
        None => written.map(|()| blob).map_err(Problem::Disk),
    }
}

/// The bytes of one file on their way.
struct Transfer<'a> {
    wanted: &'a Wanted<'a>,
    size: u64,
    done: u64,
    hasher: Option<Hasher>,
}

impl Transfer<'_> {
    /// Writes as many bytes as there should be, neither more nor less.
    fn receive(&mut self, body: Body, file: &mut impl Write, path: &Path) -> Result<(), Problem> {
        let bar = self.bar();
        let mut reader = body.into_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = reader.read(&mut buffer).map_err(|error| {
                broken(format!("{error}, after {} of {} bytes; try again", self.done, self.size))
            })?;
            let bytes = &buffer[..count];
            self.done += count as u64;
            if self.done > self.size || (count == 0 && self.done < self.size) {
                return Err(other_size(self.size, self.done));
            }
            if count == 0 {
                bar.finish_and_clear();
                return file.flush().map_err(|error| Problem::Disk(Error::at(path)(error)));
            }
            file.write_all(bytes).map_err(|error| Problem::Disk(Error::at(path)(error)))?;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(bytes);
            }
            bar.set_position(self.done);
        }
    }

    fn bar(&self) -> ProgressBar {
        if !self.wanted.progress {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg} {bytes}/{total_bytes} {bytes_per_sec} {eta} left");
        let bar = ProgressBar::new(self.size).with_message(align_text::printable(self.wanted.name));
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_position(self.done)
    }
}

/// How many bytes the file has. Without a number a server could send for ever.
fn size(wanted: &Wanted<'_>, answer: &Answer) -> Result<u64, Problem> {
    match (wanted.size, answer.size) {
        (Some(listed), Some(offered)) if listed != offered => Err(other_size(listed, offered)),
        (listed, offered) => listed.or(offered).ok_or_else(|| broken("the hub does not say how large it is")),
    }
}

fn other_size(expected: u64, found: u64) -> Problem {
    broken(format!("expected {expected} bytes, the server sends {found}; try again"))
}

fn broken(problem: impl Into<String>) -> Problem {
    Problem::Hub(Failure::Broken(problem.into()))
}

/// A file itself and no link, or nothing.
fn is_ordinary(path: &Path) -> bool {
    fs::symlink_metadata(path).map_or(true, |found| found.is_file())
}

/// Takes what is there already; the file then stands at its end.
fn feed(hasher: &mut Hasher, file: &mut File) -> io::Result<()> {
    file.rewind()?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
