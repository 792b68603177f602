//! Scalars out of TensorBoard's event files, for runs that left nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;

use super::{Curves, LARGEST};
use crate::{Error, Result};

/// The fields of `tensorflow.Event` that scalars need.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(message, optional, tag = "5")]
    pub(super) summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    pub(super) session: Option<Session>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<Scalar>,
}

/// `tensorflow.Summary.Value`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Scalar {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(float, optional, tag = "2")]
    pub(super) value: Option<f32>,
}

/// `tensorflow.SessionLog`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Session {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

/// A session that starts takes back what earlier ones wrote from its step on.
const START: i32 = 1;

/// The curves of all event files in the folder, its `runs/` and the folders of that; none if there are none.
pub(super) fn curves(dir: &Path) -> Result<Option<Curves>> {
    let mut files = Vec::new();
    for place in [dir.to_owned(), dir.join("runs")] {
        collect(&place, 1, &mut files)?;
    }
    // By the seconds in their names: later files go on from earlier ones.
    files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    files.dedup();
    let mut curves = Curves::new();
    for file in &files {
        read(file, &mut curves)?;
    }
    Ok((!files.is_empty()).then_some(curves))
}

fn collect(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for item in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = item.map_err(Error::io(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && depth > 0 && dir.ends_with("runs") {
            collect(&path, depth - 1, files)?;
        } else if name.contains("tfevents") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path, curves: &mut Curves) -> Result<()> {
    let bytes = align_files::read(path, LARGEST).map_err(|error| Error::io(path)(error.source))?;
    let mut rest = bytes.as_slice();
    while let Some((data, after)) = record(path, rest)? {
        rest = after;
        let event = Event::decode(data)
            .map_err(|error| Error::content(path, format!("holds something other than events: {error}")))?;
        let step = event.step as f64;
        if event.session.is_some_and(|session| session.status == START) {
            curves.values_mut().for_each(|points| points.retain(|point| point[0] < step));
        }
        for scalar in event.summary.into_iter().flat_map(|summary| summary.values) {
            let value = scalar.value.map(f64::from).filter(|value| value.is_finite());
            if let (Some(metric), Some(value)) = (metric(&scalar.tag), value) {
                curves.entry(metric).or_default().push([step, value]);
            }
        }
    }
    Ok(())
}

/// The next record's data and what follows; none at the end, which a killed process may have left in mid-record.
fn record<'a>(path: &Path, bytes: &'a [u8]) -> Result<Option<(&'a [u8], &'a [u8])>> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let Some((length_check, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let damaged = || Error::content(path, "is damaged: a checksum does not fit; remove the file");
    if masked_crc(length) != u32::from_le_bytes(*length_check) {
        return Err(damaged());
    }
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let Some((data, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let Some((check, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if masked_crc(data) != u32::from_le_bytes(*check) {
        return Err(damaged());
    }
    Ok(Some((data, rest)))
}

/// CRC-32C as TFRecords have it: rotated and shifted.
pub(super) fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// `train/loss` is `loss`, `eval/loss` is `eval_loss`; none for what a run says once.
fn metric(tag: &str) -> Option<String> {
    let metric = match (tag.strip_prefix("train/"), tag.strip_prefix("eval/")) {
        (Some(metric), _) => metric.to_owned(),
        (_, Some(metric)) => format!("eval_{metric}"),
        _ => tag.to_owned(),
    };
    (metric != "epoch" && !metric.starts_with("train_")).then_some(metric)
}
