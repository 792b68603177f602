//! The files that a trained model inherits from the one it started from: read once, when that is opened.
//!
//! A run takes hours and saves many times. What lay beside the weights when it began is what its tokens were made with,
//! so that is what every save writes, whatever has become of the directory meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::Result;

/// Bytes of the largest file of settings or template.
const SETTINGS: u64 = 16 << 20;
/// Bytes of the largest vocabulary; those of today's models have up to 40 MB.
const VOCABULARY: u64 = 128 << 20;

const GENERATION: &str = "generation_config.json";
const TOKENIZER: &str = "tokenizer.json";
const TEMPLATE: &str = "chat_template.jinja";

/// What they are called, and how large they may be.
const FILES: [(&str, u64); 9] = [
    (GENERATION, SETTINGS),
    (TOKENIZER, VOCABULARY),
    ("tokenizer_config.json", SETTINGS),
    ("special_tokens_map.json", SETTINGS),
    ("added_tokens.json", SETTINGS),
    (TEMPLATE, SETTINGS),
    ("tokenizer.model", VOCABULARY),
    ("vocab.json", VOCABULARY),
    ("merges.txt", VOCABULARY),
];

/// Their contents, by name; shared by copies.
#[derive(Clone)]
pub(crate) struct CarriedOver(Arc<BTreeMap<&'static str, Vec<u8>>>);

impl CarriedOver {
    /// Reads those that a directory has.
    ///
    /// # Errors
    /// One that cannot be read or is larger than any of its kind.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let present = FILES.into_iter().map(|(name, limit)| (name, dir.join(name), limit));
        let present = present.filter(|(_, path, _)| path.is_file());
        let read = present.map(|(name, path, limit)| Ok((name, align_files::read(path, limit)?)));
        Ok(Self(Arc::new(read.collect::<Result<_>>()?)))
    }

    /// Those that were made of something else.
    pub(crate) fn made(files: BTreeMap<&'static str, Vec<u8>>) -> Self {
        Self(Arc::new(files))
    }

    /// These, and those of `others` that are not among them. A tokenizer comes whole from one directory.
    pub(crate) fn or(self, others: Self) -> Self {
        let mut all = Arc::unwrap_or_clone(others.0);
        if self.0.contains_key(TOKENIZER) {
            all.retain(|name, _| *name == GENERATION);
        }
        all.extend(Arc::unwrap_or_clone(self.0));
        Self(Arc::new(all))
    }

    /// The same with another chat template.
    pub(crate) fn with_template(self, template: &str) -> Self {
        let mut all = Arc::unwrap_or_clone(self.0);
        all.insert(TEMPLATE, template.as_bytes().to_vec());
        Self(Arc::new(all))
    }

    /// The names that any directory may have.
    pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
        FILES.into_iter().map(|(name, _)| name)
    }

    /// One of them; none if the directory had none of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// All of them.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.0.iter().map(|(name, bytes)| (*name, bytes.as_slice()))
    }
}

impl std::fmt::Debug for CarriedOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
