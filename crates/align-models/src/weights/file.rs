//! One safetensors file: its header, checked against the file's length, and its tensors, each read into memory of its own.
//!
//! Read and not mapped into memory: a file that is cut off or replaced meanwhile, as a download or `git lfs pull` does it,
//! is an error here and not the end of the process.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::{Error, Result};

/// Bytes of the number in front of the header.
const PREFIX: u64 = 8;
/// The longest header, as everybody who reads the format has it.
const LONGEST_HEADER: u64 = 100_000_000;
/// Bytes that are read and converted at a time: they stay in the processor's cache.
const PIECE: usize = 1 << 18;

/// A file whose header was read and whose tensors were not.
#[derive(Debug)]
pub(super) struct WeightFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    /// Where the first tensor begins.
    data: u64,
}

impl WeightFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// What is no ordinary file; a header that is damaged, or speaks of more or fewer bytes than the file has.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = align_files::open(path)?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        let damaged = |reason: String| {
            let reason: String = reason.chars().take(300).collect();
            Error::invalid(path, format!("is not a readable safetensors file: {reason}"))
        };
        let mut prefix = [0; PREFIX as usize];
        file.read_exact(&mut prefix).map_err(|_| damaged(format!("it has {length} bytes")))?;
        let size = u64::from_le_bytes(prefix);
        if size > LONGEST_HEADER || size > length.saturating_sub(PREFIX) {
            return Err(damaged(format!("its header is to have {size} bytes, the file has {length}")));
        }
        let mut header = Vec::new();
        file.by_ref().take(size).read_to_end(&mut header).map_err(Error::io(path))?;
        // Reading it checks that tensors lie one after the other, each as long as its shape.
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(format!("its header: {error}")))?;
        let data = PREFIX + size;
        let expected = data.saturating_add(header.data_len() as u64);
        if expected != length {
            return Err(damaged(format!(
                "it has {length} bytes, its header speaks of {expected}; was it copied or downloaded in full?"
            )));
        }
        Ok(Self { path: path.to_owned(), file, header, data })
    }

    /// What the header says of all tensors, by their names.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (String, &TensorInfo)> {
        self.header.tensors().into_iter()
    }

    /// The bytes of a tensor of this file.
    ///
    /// # Errors
    /// If the file ends before the tensor does.
    pub(super) fn bytes(&self, tensor: &TensorInfo) -> Result<Vec<u8>> {
        let (start, end) = tensor.data_offsets;
        let mut bytes = vec![0; end - start];
        read_at(&self.file, &mut bytes, self.data + start as u64).map_err(Error::io(&self.path))?;
        Ok(bytes)
    }

    /// The elements of a tensor of this file, in f32.
    ///
    /// # Errors
    /// If the file ends before the tensor does; numbers that are no floating-point ones.
    pub(super) fn read(&self, tensor: &TensorInfo) -> Result<Vec<f32>> {
        let (start, end) = tensor.data_offsets;
        let convert = converter(tensor.dtype).ok_or_else(|| {
            Error::invalid(&self.path, format!("expected floating-point weights, found {:?}", tensor.dtype))
        })?;
        let mut values = Vec::with_capacity(tensor.shape.iter().product());
        let mut piece = vec![0; PIECE.min(end - start)];
        for from in (start..end).step_by(PIECE) {
            let piece = &mut piece[..PIECE.min(end - from)];
            read_at(&self.file, piece, self.data + from as u64).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    Error::invalid(&self.path, "became shorter while it was read; is it still being written?")
                }
                _ => Error::io(&self.path)(error),
            })?;
            convert(piece, &mut values);
        }
        Ok(values)
    }
}

/// Appends the numbers that little-endian bytes stand for.
type Convert = fn(&[u8], &mut Vec<f32>);

/// How elements of that type become f32; none for what is no floating-point number of a usual width.
pub(super) fn converter(dtype: Dtype) -> Option<Convert> {
    Some(match dtype {
        Dtype::F32 => |bytes, to| to.extend(bytes.as_chunks().0.iter().map(|&at| f32::from_le_bytes(at))),
        Dtype::BF16 => {
            |bytes, to| to.extend(bytes.as_chunks().0.iter().map(|&at| bf16::from_le_bytes(at).to_f32()))
        }
        Dtype::F16 => {
            |bytes, to| to.extend(bytes.as_chunks().0.iter().map(|&at| f16::from_le_bytes(at).to_f32()))
        }
        Dtype::F64 => {
            |bytes, to| to.extend(bytes.as_chunks().0.iter().map(|&at| f64::from_le_bytes(at) as f32))
        }
        _ => return None,
    })
}

/// Fills `to` with what begins at that byte, without moving the place that others read from.
#[cfg(unix)]
fn read_at(file: &File, to: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, to, at)
}

/// The same where there is no such call.
#[cfg(windows)]
fn read_at(file: &File, mut to: &mut [u8], mut at: u64) -> io::Result<()> {
    while !to.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, to, at)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => {
                to = &mut to[read..];
                at += read as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn problem(header: &str, data: &[u8]) -> String {
        WeightFile::open(file(header, data).path()).unwrap_err().to_string()
    }

    #[test]
    fn every_width_is_read_as_the_number_it_stands_for() {
        let bf16 = [0.5f32, -3.0].map(|value| half::bf16::from_f32(value).to_le_bytes()).concat();
        let f16 = [0.25f32, 65504.0].map(|value| half::f16::from_f32(value).to_le_bytes()).concat();
        let (f32, f64) = (1.1f32.to_le_bytes().to_vec(), 1e-3f64.to_le_bytes().to_vec());
        let data = [bf16, f16, f32, f64].concat();
        let header = r#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[1,2],"data_offsets":[4,8]},
            "c":{"dtype":"F32","shape":[],"data_offsets":[8,12]},"d":{"dtype":"F64","shape":[1],"data_offsets":[12,20]}}"#;
        let file = file(header, &data);
        let weights = WeightFile::open(file.path()).unwrap();
        let mut read: Vec<_> =
            weights.tensors().map(|(name, info)| (name, weights.read(info).unwrap())).collect();
        read.sort_by(|a, b| a.0.cmp(&b.0));
        let values: Vec<Vec<f32>> = read.into_iter().map(|(_, values)| values).collect();
        assert_eq!(values, [vec![0.5, -3.0], vec![0.25, 65504.0], vec![1.1], vec![1e-3]]);
    }

    #[test]
    fn a_tensor_of_many_pieces_is_whole() {
        let values: Vec<f32> = (0..PIECE / 4 * 2 + 7).map(|i| i as f32).collect();
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let header = format!(
            r#"{{"w":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}}}"#,
            values.len(),
            data.len()
        );
        let file = file(&header, &data);
        let weights = WeightFile::open(file.path()).unwrap();
        let (_, info) = weights.tensors().next().unwrap();
        assert_eq!(weights.read(info).unwrap(), values);
    }

    #[test]
    fn a_file_that_gets_shorter_under_the_reader_is_an_error() {
        let file = file(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]);
        let weights = WeightFile::open(file.path()).unwrap();
        file.as_file().set_len(60).unwrap();
        let error = weights.read(weights.tensors().next().unwrap().1).unwrap_err().to_string();
        assert!(error.ends_with("became shorter while it was read; is it still being written?"), "{error}");
    }

    #[test]
    fn a_header_is_believed_only_where_the_file_agrees() {
        let tensor = |shape: &str, offsets: &str| {
            format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let check = |header: &str, data: &[u8], words: &str| {
            let problem = problem(header, data);
            assert!(
                problem.contains("is not a readable safetensors file: ") && problem.contains(words),
                "{problem}"
            );
        };
        check(&tensor("[2]", "[0,8]"), &[0; 7], "bytes, its header speaks of");
        check(&tensor("[2]", "[0,8]"), &[0; 9], "was it copied or downloaded in full?");
        check(&tensor("[3]", "[0,8]"), &[0; 8], "its header: ");
        check(&tensor("[4611686018427387904,4]", "[0,0]"), &[], "its header: ");
        check(&tensor("[2]", "[4,12]"), &[0; 12], "its header: ");
        check("{", &[], "its header: ");
        let huge = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(huge.path(), u64::MAX.to_le_bytes()).unwrap();
        let error = WeightFile::open(huge.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("its header is to have 18446744073709551615 bytes, the file has 8"),
            "{error}"
        );
        std::fs::write(huge.path(), [1; 3]).unwrap();
        assert!(WeightFile::open(huge.path()).unwrap_err().to_string().ends_with("it has 3 bytes"));
    }
}
