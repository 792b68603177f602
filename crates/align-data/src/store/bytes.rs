//! Numbers as bytes and back.

use sha2::{Digest as _, Sha256};

/// The content of a stored row, as far as it is not read yet. What it lacks is None.
#[derive(Debug)]
pub struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.number::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.number().map(u32::from_le_bytes)
    }

    pub(super) fn usize(&mut self) -> Option<usize> {
        usize::try_from(u64::from_le_bytes(self.number()?)).ok()
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Token ids behind their number.
    pub(super) fn ids(&mut self) -> Option<Vec<u32>> {
        let count = self.usize()?;
        let bytes = self.take(count.checked_mul(4)?)?;
        Some(bytes.chunks_exact(4).map(|id| u32::from_le_bytes(id.try_into().expect("4 bytes"))).collect())
    }

    /// A text behind its length.
    pub(super) fn text(&mut self) -> Option<String> {
        let count = self.usize()?;
        String::from_utf8(self.take(count)?.to_vec()).ok()
    }

    /// Something that may be there, behind a flag.
    pub(super) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }
}

pub(super) fn put_usize(out: &mut Vec<u8>, number: usize) {
    out.extend((number as u64).to_le_bytes());
}

pub(super) fn put_ids(out: &mut Vec<u8>, ids: &[u32]) {
    put_usize(out, ids.len());
    ids.iter().for_each(|id| out.extend(id.to_le_bytes()));
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_usize(out, text.len());
    out.extend(text.as_bytes());
}

pub(super) fn put_optional<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

/// A hash of rows: of runs of token ids and their lengths.
#[derive(Debug, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    pub(super) fn add(&mut self, ids: &[u32]) {
        let mut bytes = Vec::with_capacity(8 + 4 * ids.len());
        put_ids(&mut bytes, ids);
        self.0.update(&bytes);
    }

    /// The same of what most rows have none of, as if it were not there then.
    pub(super) fn add_some(&mut self, ids: &[u32]) {
        if !ids.is_empty() {
            self.add(ids);
        }
    }

    pub(crate) fn hex(self) -> String {
        align_files::hex(&self.0.finalize())
    }
}
