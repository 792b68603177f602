//! The files that a tokenizer is made of: those of a directory, or what a GGUF file holds in their place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use align_gguf::GgufFile;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::{DataError, Result};
use crate::guard::shortened;

pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const CONFIG: &str = "tokenizer_config.json";
pub(super) const TOKENS_MAP: &str = "special_tokens_map.json";
pub(crate) const TEMPLATE: &str = "chat_template.jinja";

/// The files that decide token ids, and how many bytes they have at most: today's largest vocabularies have 40 MB.
const FILES: [(&str, u64); 4] =
    [(TOKENIZER, 128 << 20), (CONFIG, 16 << 20), (TOKENS_MAP, 16 << 20), (TEMPLATE, 16 << 20)];

/// Their contents, by name.
pub(crate) struct Files {
    of: PathBuf,
    /// Whether the template is another than the directory's.
    pub(crate) has_own_template: bool,
    contents: BTreeMap<&'static str, Vec<u8>>,
}

impl Files {
    /// Those of a directory, or what stands for them in a GGUF file.
    pub(crate) fn read(of: &Path) -> Result<Self> {
        let contents = if is_file(of) {
            align_gguf::tokenizer_files(GgufFile::open(of)?.metadata())?
        } else {
            let present = FILES.into_iter().map(|(name, limit)| (name, of.join(name), limit));
            let present = present.filter(|(_, path, _)| path.exists());
            present
                .map(|(name, path, limit)| Ok((name, align_files::read(&path, limit)?)))
                .collect::<Result<_>>()?
        };
        Ok(Self { of: of.to_owned(), has_own_template: false, contents })
    }

    /// The same with another chat template.
    pub(super) fn with_template(mut self, template: &str) -> Self {
        self.contents.insert(TEMPLATE, template.as_bytes().to_vec());
        Self { has_own_template: true, ..self }
    }

    /// The directory or file.
    pub(crate) fn of(&self) -> &Path {
        &self.of
    }

    /// What errors call one of them.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        path(&self.of, name)
    }

    /// One of them; none if there is none.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.contents.get(name).map(Vec::as_slice)
    }

    /// A JSON object, and what errors call it; where there is none, an empty one.
    pub(crate) fn json_object(&self, name: &str) -> Result<(PathBuf, Map<String, Value>)> {
        let path = self.path(name);
        let parsed = self.get(name).map_or(Ok(Map::new()), serde_json::from_slice);
        let object = parsed.map_err(|error| DataError::Tokenizer {
            path: path.clone(),
            reason: format!("not a JSON object: {}", shortened(&error.to_string())),
        })?;
        Ok((path, object))
    }

    /// SHA-256 over all of them, in hex.
    pub(super) fn content_hash(&self) -> String {
        let mut hash = Sha256::new();
        for (name, bytes) in FILES.iter().filter_map(|(name, _)| Some((name, self.get(name)?))) {
            hash.update(name.as_bytes());
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        align_files::hex(&hash.finalize())
    }
}

/// What errors call one of the files of a directory, or of a GGUF file, which has none.
pub(super) fn path(of: &Path, name: &str) -> PathBuf {
    if is_file(of) { of.to_owned() } else { of.join(name) }
}

fn is_file(of: &Path) -> bool {
    GgufFile::is_at(of)
}
