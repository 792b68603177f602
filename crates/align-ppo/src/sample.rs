//! What is kept of completions for people to read: `samples.jsonl` in the output directory, a line for each.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use align_train::{Error, Result};
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
    /// What the policy said.
    pub completion: String,
    /// Its score, penalties included; null where no reward applied to it.
    pub score: Option<f64>,
    /// Its tokens.
    pub tokens: usize,
    /// Whether it ended by itself.
    pub finished: bool,
}

/// The file.
pub(crate) struct SampleLog(BufWriter<File>);

impl SampleLog {
    const FILE: &str = "samples.jsonl";

    /// Opens the file in a run's directory for samples of `phase` and later ones. Earlier ones that are there stay: they
    /// are of the run that is resumed.
    pub(crate) fn open(dir: &Path, phase: usize) -> Result<Self> {
        let path = dir.join(Self::FILE);
        let earlier =
            |line: &&str| serde_json::from_str::<Sample>(line).is_ok_and(|sample| sample.phase < phase);
        let kept = match fs::read_to_string(&path) {
            Ok(text) => text.lines().filter(earlier).map(|line| format!("{line}\n")).collect(),
            Err(_) => String::new(),
        };
        let mut file = BufWriter::new(File::create(&path).map_err(|error| unwritable(&path, &error))?);
        file.write_all(kept.as_bytes()).map_err(|error| unwritable(&path, &error))?;
        Ok(Self(file))
    }

    /// Adds samples. They are on their way to the disk when this returns.
    pub(crate) fn add(&mut self, samples: &[Sample]) -> Result<()> {
        for sample in samples {
            serde_json::to_writer(&mut self.0, sample).map_err(Error::stage)?;
            self.0.write_all(b"\n").map_err(Error::stage)?;
        }
        self.0.flush().map_err(Error::stage)
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::stage(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
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
            let text = fs::read_to_string(dir.path().join(SampleLog::FILE)).unwrap();
            text.lines().map(|line| serde_json::from_str::<Sample>(line).unwrap().phase).collect()
        };
        let mut log = SampleLog::open(dir.path(), 0).unwrap();
        log.add(&[sample(0), sample(0), sample(1), sample(2)]).unwrap();
        let mut resumed = SampleLog::open(dir.path(), 2).unwrap();
        resumed.add(&[sample(2)]).unwrap();
        assert_eq!(phases(), [0, 0, 1, 2]);
        SampleLog::open(dir.path(), 0).unwrap();
        assert_eq!(phases(), [0; 0], "another run");
    }
}
