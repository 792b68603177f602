//! Bytes that take some making.

use std::io::Write as _;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};

/// A safetensors file: the header as it stands, and so many bytes of data.
pub(crate) fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &vec![0; data]].concat()
}

/// The header of a safetensors file and where its data begin.
pub(crate) fn header(file: &[u8]) -> (Value, usize) {
    let mut length = [0; 8];
    length.copy_from_slice(&file[..8]);
    let end = 8 + u64::from_le_bytes(length) as usize;
    (serde_json::from_slice(&file[8..end]).unwrap_or_default(), end)
}

/// The file with its header changed.
pub(crate) fn with_header(file: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let (mut header, end) = header(file);
    change(&mut header);
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &file[end..]].concat()
}

/// The file with all numbers of all tensors set to one f32.
pub(crate) fn filled(file: &[u8], number: f32) -> Vec<u8> {
    let (_, end) = header(file);
    let data = number.to_le_bytes().repeat((file.len() - end) / 4);
    [&file[..end], &data].concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Into a vector nothing can go wrong.
    drop(encoder.write_all(bytes));
    encoder.finish().unwrap_or_default()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Gigabytes of one line, as a gzip file of some megabytes: the same block again and again.
pub(crate) fn gzip_bomb(gigabytes: usize) -> Vec<u8> {
    const BLOCK: usize = 1 << 24;
    let mut block = Vec::with_capacity(1 << 16);
    let mut compress = Compress::new(Compression::best(), false);
    drop(compress.compress_vec(&vec![b'a'; BLOCK], &mut block, FlushCompress::Full));
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&header[..], &block.repeat(gigabytes * (1 << 30) / BLOCK)].concat()
}

/// Gigabytes of one line as a zstd file: blocks that each say "this byte, 128 KiB of it".
pub(crate) fn zstd_bomb(gigabytes: usize) -> Vec<u8> {
    const BLOCK: u32 = 1 << 17;
    let block = ((BLOCK << 3) | (1 << 1)).to_le_bytes();
    let block = [block[0], block[1], block[2], b'a'];
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    [&frame[..], &block.repeat(gigabytes * (1 << 30) / BLOCK as usize)].concat()
}

/// `open` so many times, then as often `close`.
pub(crate) fn nested(open: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + &close.repeat(depth)
}

/// A row of conversation.
pub(crate) fn conversation(text: &str) -> String {
    json!({ "messages": [{ "role": "user", "content": text }, { "role": "assistant", "content": "Yes." }] })
        .to_string()
}

/// A row with a prompt and its completion.
pub(crate) fn demonstration(prompt: &str, completion: &str) -> String {
    json!({ "prompt": prompt, "completion": completion }).to_string()
}

/// A row with a prompt and a better and a worse answer.
pub(crate) fn pair(prompt: &str, chosen: &str, rejected: &str) -> String {
    json!({ "prompt": prompt, "chosen": chosen, "rejected": rejected }).to_string()
}
