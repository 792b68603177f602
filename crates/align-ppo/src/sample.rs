//! What is kept of completions for people to read: `samples.jsonl` in the output directory, a line for each.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use align_train::{Checkpoint, Error, OutputDir, Result, Resume, Use};
use serde::{Deserialize, Serialize};

/// A completion with its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Number of the phase that it was sampled in, from 0.
    pub phase: usize,
    /// Updates made before it was sampled.
    pub step: usize,
    /// The row of its prompt, as `file:line`.
    pub origin: String,
    /// The prompt, with its markup.
    pub prompt: String,
    /// The completion's text: what the policy said.
    pub completion: String,
    /// Its score, penalties included; null where no reward applied to it.
    pub score: Option<f64>,
    /// Its tokens.
    pub tokens: usize,
    /// Whether it ended by itself.
    pub finished: bool,
}

/// The file.
pub(crate) struct SampleLog {
    path: PathBuf,
    file: File,
}

/// The name of the file, which a program claims before its run begins.
pub const SAMPLES_FILE: &str = "samples.jsonl";

impl SampleLog {
    /// Opens the file in a run's directory for samples of `phase` and later ones. Earlier ones stay, of the run that is
    /// `resumed`: if it goes on in another directory they come along. A line that a killed process did not finish is left
    /// out.
    pub(crate) fn open(output: &OutputDir, resumed: Option<&Checkpoint>, phase: usize) -> Result<Self> {
        output.claim([SAMPLES_FILE])?;
        let path = output.path().join(SAMPLES_FILE);
        let old = match resumed {
            Some(checkpoint) if output.kind() != Use::Continues => {
                Resume::run_of(checkpoint.path()).join(SAMPLES_FILE)
            }
            _ => path.clone(),
        };
        let mut before = match align_files::open(&old) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.source.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        align_files::write_with(&path, |file| {
            let (Some(before), mut line) = (&mut before, Vec::new()) else { return Ok(()) };
            while before.read_until(b'\n', &mut line)? > 0 {
                if serde_json::from_slice::<Sample>(&line).is_ok_and(|sample| sample.phase < phase) {
                    file.write_all(line.trim_ascii_end())?;
                    file.write_all(b"\n")?;
                }
                line.clear();
            }
            Ok(())
        })?;
        let file = File::options().append(true).open(&path).map_err(|error| unwritable(&path, &error))?;
        Ok(Self { path, file })
    }

    /// Adds samples. They are on their way to the disk when this returns.
    pub(crate) fn add(&mut self, samples: &[Sample]) -> Result<()> {
        let mut lines = Vec::new();
        for sample in samples {
            serde_json::to_writer(&mut lines, sample).map_err(Error::stage)?;
            lines.push(b'\n');
        }
        self.file.write_all(&lines).map_err(|error| unwritable(&self.path, &error))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::stage(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sample(phase: usize) -> Sample {
        let (origin, prompt, completion) = ("p.jsonl:1".to_owned(), "?".to_owned(), "a\nb".to_owned());
        Sample {
            phase,
            step: 4 * phase,
            origin,
            prompt,
            completion,
            score: Some(0.5),
            tokens: 3,
            finished: true,
        }
    }

    #[test]
    fn a_resumed_run_keeps_what_it_had_said_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let phases = || -> Vec<usize> {
            let text = fs::read_to_string(dir.path().join(SAMPLES_FILE)).unwrap();
            text.lines().map(|line| serde_json::from_str::<Sample>(line).unwrap().phase).collect()
        };
        let output = OutputDir::take(dir.path(), false, &Resume::No).unwrap();
        output.begin().unwrap();
        let mut log = SampleLog::open(&output, None, 0).unwrap();
        log.add(&[sample(0), sample(0), sample(1), sample(2)]).unwrap();
        // The next line was being written, and broke off in the middle of a character.
        log.file.write_all("{\"phase\":2,\"origin\":\"ä".as_bytes().split_last().unwrap().1).unwrap();
        let mut resumed = SampleLog::open(&output, None, 2).unwrap();
        resumed.add(&[sample(2)]).unwrap();
        assert_eq!(phases(), [0, 0, 1, 2]);
        SampleLog::open(&output, None, 0).unwrap();
        assert_eq!(phases(), [0; 0], "another run");
    }
}
