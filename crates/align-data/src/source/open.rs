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

/// All frames of a zstd file; compressors that work in parallel write several.
pub(super) enum Frames<R: BufRead> {
    /// At the beginning of a frame, or at the end of the file.
    Between(R),
    /// In a frame.
    Inside(Box<StreamingDecoder<R, FrameDecoder>>),
    /// After the last, or after an error.
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

/// Refuses a table of Arrow's.
pub(super) fn arrow(path: &Path) -> DataError {
    let problem = "Arrow tables (`save_to_disk`) are not read; write Parquet instead, in Python: \
                   datasets.load_from_disk(folder)[\"train\"].to_parquet(\"train.parquet\")";
    DataError::Read { path: path.to_path_buf(), source: io::Error::new(io::ErrorKind::Unsupported, problem) }
}
