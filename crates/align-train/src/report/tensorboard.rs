//! TensorBoard event files: TFRecords of `Event` messages, as TensorBoard's own writer makes them.
//!
//! Only scalars, and only the fields of the protocol that they need.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use align_files::OutputDir;
use prost::Message;

use crate::{Error, LogEntry, Result};

/// The folder of event files.
const TENSORBOARD: &str = "runs";

/// `tensorflow.Event`.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// One of several kinds of value, so that zero has to be written too: a reader takes what is absent for no value.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// `tensorflow.SessionLog`.
#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionLog.SessionStatus.START`: readers drop earlier events from this step on.
const START: i32 = 1;

pub(super) struct TensorBoard {
    path: PathBuf,
    file: fs::File,
}

impl TensorBoard {
    /// Says which event file will be written in `runs/`: a new one.
    pub(super) fn claim(output: &OutputDir) -> Result<PathBuf> {
        let dir = output.path().join(TENSORBOARD);
        let path = unused(&dir);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        output.claim([format!("{TENSORBOARD}/{name}")])?;
        align_files::check_writable(&dir)?;
        Ok(path)
    }

    /// Begins the event file. After a resume at `step`, events beyond it in older files count no more.
    pub(super) fn open(path: PathBuf, step: usize) -> Result<Self> {
        path.parent().map_or(Ok(()), align_files::create_dir_all)?;
        let file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(Error::io(&path))?;
        let mut writer = Self { path, file };
        writer.write(0, What::FileVersion("brain.Event:2".into()))?;
        if step > 0 {
            writer.write(step as i64 + 1, What::SessionLog(SessionLog { status: START }))?;
        }
        Ok(writer)
    }

    /// The numbers of a log entry, under the tags that transformers gives them: `train/loss`, `eval/loss`.
    pub(super) fn scalars(&mut self, step: usize, entry: &LogEntry) -> Result<()> {
        let value = entry
            .iter()
            .filter(|(name, _)| *name != "step")
            .filter_map(|(name, value)| {
                let tag = match name.strip_prefix("eval_") {
                    Some(name) => format!("eval/{name}"),
                    None => format!("train/{name}"),
                };
                Some(Value { tag, simple_value: Some(value.as_f64()? as f32) })
            })
            .collect();
        self.write(step as i64, What::Summary(Summary { value }))
    }

    fn write(&mut self, step: i64, what: What) -> Result<()> {
        let event = Event { wall_time: now(), step, what: Some(what) };
        self.file.write_all(&record(&event.encode_to_vec())).map_err(Error::io(&self.path))
    }
}

/// A TFRecord: length, its checksum, the data, its checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length).to_le_bytes(), data, &masked_crc(data).to_le_bytes()].concat()
}

/// CRC-32C, rotated and shifted: checksums of data that holds checksums are weak otherwise.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn unused(dir: &Path) -> PathBuf {
    let (seconds, host, pid) = (now() as u64, host(), std::process::id());
    (0..)
        .map(|number| dir.join(format!("events.out.tfevents.{seconds}.{host}.{pid}.{number}")))
        .find(|path| !path.exists())
        .expect("the numbers do not run out")
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
