//! Packed pages, unpacked into as many bytes as their headers say and no more.
//!
//! By the libraries that unpack whole files here, and small ones for the two codecs that only pages have: the Parquet
//! library's own codecs would bring a second gzip and a zstd in C, and unpack what comes without a limit.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use parquet::basic::Compression;

use super::Result;
use crate::source::open::Frames;

/// The page's bytes; `size` is what its header says.
pub(super) fn unpack(codec: Compression, packed: Vec<u8>, size: usize) -> Result<Vec<u8>> {
    match codec {
        Compression::UNCOMPRESSED => right_size(packed, size),
        Compression::SNAPPY => {
            let said = snap::raw::decompress_len(&packed).map_err(|error| broken("snappy", &error))?;
            if said != size {
                return Err(other_size(size, said));
            }
            snap::raw::Decoder::new().decompress_vec(&packed).map_err(|error| broken("snappy", &error))
        }
        Compression::GZIP(_) => read("gzip", MultiGzDecoder::new(packed.as_slice()), size),
        Compression::ZSTD(_) => read("zstd", Frames::Between(packed.as_slice()), size),
        Compression::LZ4_RAW => {
            // A byte stands for 255 at most.
            if size / 255 > packed.len() {
                return Err(other_size(size, packed.len().saturating_mul(255)));
            }
            let mut unpacked = vec![0; size];
            let found = lz4_flex::block::decompress_into(&packed, &mut unpacked);
            let found = found.map_err(|error| broken("lz4", &error))?;
            if found == size { Ok(unpacked) } else { Err(other_size(size, found)) }
        }
        Compression::BROTLI(_) => Err(unknown("brotli")),
        Compression::LZO => Err(unknown("lzo")),
        Compression::LZ4 => Err(unknown("lz4 as Hadoop frames it")),
    }
}

fn read(codec: &str, unpacker: impl Read, size: usize) -> Result<Vec<u8>> {
    let mut unpacked = Vec::with_capacity(size.min(1 << 20));
    let read = unpacker.take(size as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|error| broken(codec, &error))?;
    right_size(unpacked, size)
}

fn right_size(bytes: Vec<u8>, size: usize) -> Result<Vec<u8>> {
    if bytes.len() == size { Ok(bytes) } else { Err(other_size(size, bytes.len())) }
}

fn other_size(expected: usize, found: usize) -> String {
    format!("a page of other size than its header says: expected {expected} bytes, found {found} or more")
}

fn broken(codec: &str, error: &dyn std::fmt::Display) -> String {
    format!("a page that is no {codec}: {error}")
}

fn unknown(codec: &str) -> String {
    format!(
        "it is packed with {codec}, which is not read; write it with snappy, zstd, gzip or lz4_raw, in Python: \
         pandas.read_parquet(file).to_parquet(file, compression=\"zstd\")"
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_page_that_would_unpack_into_more_is_stopped() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        (0..64).for_each(|_| packer.write_all(&[0; 1 << 20]).unwrap());
        let gzip = packer.finish().unwrap();
        let codec = Compression::GZIP(Default::default());
        let error = unpack(codec, gzip, 1000).unwrap_err();
        assert!(error.ends_with("expected 1000 bytes, found 1001 or more"), "{error}");
        let snappy = snap::raw::Encoder::new().compress_vec(&[0; 1 << 20]).unwrap();
        assert!(unpack(Compression::SNAPPY, snappy, 1000).unwrap_err().contains("expected 1000 bytes"));
        assert!(unpack(Compression::LZ4_RAW, vec![0; 10], 1 << 28).unwrap_err().contains("found 2550"));
        assert!(unpack(Compression::BROTLI(Default::default()), vec![], 1).unwrap_err().contains("brotli"));
        assert!(unpack(Compression::UNCOMPRESSED, vec![1], 2).is_err());
        for codec in [codec, Compression::SNAPPY, Compression::ZSTD(Default::default()), Compression::LZ4_RAW]
        {
            assert!(unpack(codec, vec![0xff; 50], 100).is_err(), "{codec}");
        }
    }
}
