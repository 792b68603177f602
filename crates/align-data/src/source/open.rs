//! A file's bytes as they are read, unpacked if it is gzip or zstd, whatever its name. Only ordinary files are read: a
//! device has no end, a pipe may never begin.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::error::{DataError, Result};

/// The file's content. `-` is standard input.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    let unreadable = |source| DataError::Read { path: path.to_path_buf(), source };
    refuse_other_formats(path)?;
    let mut packed: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(align_files::open(path)?))
    };
    Ok(match packed.fill_buf().map_err(unreadable)? {
        [0x1f, 0x8b, ..] => Box::new(BufReader::new(MultiGzDecoder::new(packed))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(BufReader::new(Frames::Between(packed))),
        _ => packed,
    })
}

/// Refuses a file whose name says that it is in a format of other programs, before its first line is found to be no JSON.
fn refuse_other_formats(path: &Path) -> Result<()> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let format = match extension.to_ascii_lowercase().as_str() {
        "csv" | "tsv" => "CSV",
        "parquet" => "Parquet",
        "arrow" => "Arrow",
        "yaml" | "yml" => "YAML",
        "xlsx" => "Excel",
        _ => return Ok(()),
    };
    let problem = format!(
        "{format} is not read; convert it to JSON lines, in Python: pandas.read_…(file).to_json(\"rows.jsonl\", \
         orient=\"records\", lines=True)"
    );
    let source = io::Error::new(io::ErrorKind::Unsupported, problem);
    Err(DataError::Read { path: path.to_path_buf(), source })
}

/// All frames of a zstd file; compressors that work in parallel write several.
enum Frames<R: BufRead> {
    Between(R),
    Inside(Box<StreamingDecoder<R, FrameDecoder>>),
    Ended,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // After an error, and at the end, nothing more is read.
            match std::mem::replace(self, Self::Ended) {
                Self::Between(mut packed) => {
                    if packed.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let frame = StreamingDecoder::new(packed).map_err(io::Error::other)?;
                    *self = Self::Inside(Box::new(frame));
                }
                Self::Inside(mut frame) => {
                    let read = frame.read(buffer)?;
                    if read > 0 || buffer.is_empty() {
                        *self = Self::Inside(frame);
                        return Ok(read);
                    }
                    *self = Self::Between(frame.into_inner());
                }
                Self::Ended => return Ok(0),
            }
        }
    }
}
