//! A tokenizer as its model directory describes it: `tokenizer.json` beside `tokenizer_config.json`,
//! `special_tokens_map.json` and the chat template.
//!
//! Tokenizers come with models that somebody else made, and the library that runs them panics on some of what they
//! find there. It runs behind a guard here, and `probe` tries a tokenizer when it is loaded, so that what is wrong with it
//! is said then, with the file's name.
//!
//! Truncation and padding that a `tokenizer.json` may carry are switched off, as transformers does on every
//! call: lengths are decided by this crate's options and nothing is ever padded.

mod files;
mod pairs;
mod probe;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::{PostProcessor as _, PostProcessorWrapper};

use crate::error::{DataError, Result};
use crate::guard::{guarded, shortened};
use crate::template::ChatTemplate;

use files::{CONFIG, TOKENIZER, TOKENS_MAP};
pub(crate) use files::{Files, TEMPLATE};
pub use pairs::{PairTokenizer, PairedTokens};
use words::Words;

/// A special token: its text and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialToken {
    /// The token's text, for example `</s>`.
    pub text: String,
    /// Its token id.
    pub id: u32,
}

/// Token ids with their places in the text.
pub(crate) struct PlacedTokens {
    pub(crate) ids: Vec<u32>,
    /// The bytes of the text that each was made of, from and up to. Tokens that share a character have all of its bytes.
    pub(crate) places: Vec<(usize, usize)>,
}

/// The tokenizer: text to token ids and back, with what the model's directory says about special tokens.
#[derive(Debug)]
pub struct Tokenizer {
    dir: PathBuf,
    /// Without a post-processor, which would cut white space off the places of tokens.
    inner: tokenizers::Tokenizer,
    /// How texts are encoded word by word, where that comes out the same.
    words: Option<Words>,
    post_processor: Option<PostProcessorWrapper>,
    eos: Option<SpecialToken>,
    bos: Option<SpecialToken>,
    pad: Option<SpecialToken>,
    template: Option<ChatTemplate>,
    prefix: Vec<u32>,
    marks_word_starts: bool,
    vocab_size: usize,
    hash: String,
}

impl Tokenizer {
    /// The tokenizer of a model directory, or of a GGUF file.
    ///
    /// # Errors
    /// A missing or unreadable `tokenizer.json`, one that cannot encode or decode, malformed side files, a special token
    /// that is not in the vocabulary, a chat template that does not compile.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        Self::ending(&Files::read(dir.as_ref())?, &["eos_token"])
    }

    /// The same with another chat template, in the place of all that the directory has.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn load_with_template(dir: impl AsRef<Path>, template: &str) -> Result<Self> {
        Self::ending(&Files::read(dir.as_ref())?.with_template(template), &["eos_token"])
    }

    /// The same of a classifier with an encoder, which ends a text with its separator where it names no other end.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn load_encoder(dir: impl AsRef<Path>) -> Result<Self> {
        Self::ending(&Files::read(dir.as_ref())?, &["eos_token", "sep_token"])
    }

    /// The end of a text is the first of the special tokens `ends` that there is.
    fn ending(files: &Files, ends: &[&str]) -> Result<Self> {
        let path = files.path(TOKENIZER);
        let wrong = |reason: String| DataError::Tokenizer { path: path.clone(), reason };
        let Some(bytes) = files.get(TOKENIZER) else {
            return Err(wrong(
                "no such file; a model directory needs its tokenizer.json (save it with \
                 AutoTokenizer.from_pretrained(..).save_pretrained(..))"
                    .to_owned(),
            ));
        };
        let (mut inner, seen) =
            guarded(|| probe::open(bytes)).unwrap_or_else(|panic| Err(fails(&panic))).map_err(wrong)?;

        let (config_path, config) = files.json_object(CONFIG)?;
        let (map_path, map) = files.json_object(TOKENS_MAP)?;
        let texts = special_token_texts([(&map_path, &map), (&config_path, &config)])?;
        let special = |name: &str| special_token(&inner, &config_path, name, texts.get(name));
        let end = ends.iter().copied().find(|name| texts.contains_key(*name)).unwrap_or("eos_token");
        let (eos, bos, pad) = (special(end)?, special("bos_token")?, special("pad_token")?);
        let template = ChatTemplate::load(files, &config, texts)?;
        let prefix = match (config.get("add_bos_token").and_then(Value::as_bool), &bos) {
            // transformers rebuilds the post-processor where the config says so explicitly.
            (Some(true), Some(bos)) => vec![bos.id],
            (Some(_), _) => Vec::new(),
            (None, _) => seen.prefix,
        };
        let post_processor = inner.get_post_processor().cloned();
        inner.with_post_processor(None::<PostProcessorWrapper>);
        let words = guarded(|| Words::of(&inner)).ok().flatten();
        tracing::debug!(word_by_word = words.is_some(), "{}", path.display());
        let (marks_word_starts, vocab_size) = (seen.marks_word_starts, seen.vocab_size);
        let hash = files.content_hash();
        let dir = files.of().to_path_buf();
        Ok(Self {
            dir,
            inner,
            words,
            post_processor,
            eos,
            bos,
            pad,
            template,
            prefix,
            marks_word_starts,
            vocab_size,
            hash,
        })
    }

    /// Token ids of the text alone, without the tokens the tokenizer adds around it.
    ///
    /// # Errors
    /// Whatever the tokenizer cannot encode (a word-level vocabulary without an unknown token, for example).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.guarded(|| {
            match self.words.as_ref().and_then(|words| words.encode(self.inner.get_model(), text)) {
                Some(ids) => Ok(ids),
                None => Ok(self.inner.encode_fast(text, false)?.get_ids().to_vec()),
            }
        })
    }

    /// As [`Tokenizer::encode`], with the places of the tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub(crate) fn encode_placed(&self, text: &str) -> Result<PlacedTokens> {
        self.guarded(|| {
            if let Some(words) = &self.words
                && let Some(tokens) = words.encode_placed(self.inner.get_model(), text)
            {
                return Ok(tokens);
            }
            let row = self.inner.encode(text, false)?;
            Ok(PlacedTokens { ids: row.get_ids().to_vec(), places: row.get_offsets().to_vec() })
        })
    }

    /// Token ids as the tokenizer itself makes them, with what its post-processor adds (often a BOS).
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_special_tokens(&self, text: &str) -> Result<Vec<u32>> {
        self.guarded(|| {
            let row = self.inner.encode_fast(text, false)?;
            Ok(match &self.post_processor {
                Some(processor) => processor.process(row, None, true)?.get_ids().to_vec(),
                None => row.get_ids().to_vec(),
            })
        })
    }

    /// The text of token ids, special tokens included unless `skip_special_tokens`.
    ///
    /// # Errors
    /// A decoder that rejects the tokens.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        self.guarded(|| self.inner.decode(ids, skip_special_tokens))
    }

    /// The text that `completion` adds to `prompt`, without special tokens. Decoders that drop the space in front of a text
    /// would drop it from a completion decoded alone.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn continuation(&self, prompt: &[u32], completion: &[u32]) -> Result<String> {
        let before = self.decode(prompt, true)?;
        let whole = self.decode(&[prompt, completion].concat(), true)?;
        whole.strip_prefix(&before).map_or_else(|| self.decode(completion, true), |text| Ok(text.to_owned()))
    }

    /// The end-of-sequence token.
    pub fn eos(&self) -> Option<&SpecialToken> {
        self.eos.as_ref()
    }

    /// The beginning-of-sequence token.
    pub fn bos(&self) -> Option<&SpecialToken> {
        self.bos.as_ref()
    }

    /// The padding token. Nothing here pads; it is carried over into a trained model's config.
    pub fn pad(&self) -> Option<&SpecialToken> {
        self.pad.as_ref()
    }

    /// A token to pad with that completions never end with: the padding token, or where that is one of `stops`
    /// (as many models have it) the first special token that is not.
    ///
    /// # Errors
    /// A tokenizer without such a token.
    pub fn pad_beside(&self, stops: &[u32]) -> Result<SpecialToken> {
        let ids = self.pad.iter().map(|pad| pad.id).chain(0..self.vocab_size as u32);
        let mut ids = ids.filter(|id| self.is_special(*id) && !stops.contains(id));
        let token = ids.find_map(|id| Some(SpecialToken { text: self.inner.id_to_token(id)?, id }));
        token.ok_or_else(|| DataError::Tokenizer {
            path: files::path(&self.dir, TOKENIZER),
            reason: "has no special token beside those that end a completion; a reward model needs one to pad with"
                .to_owned(),
        })
    }

    /// The end-of-sequence token's id, which training needs.
    ///
    /// # Errors
    /// A tokenizer that names none.
    pub fn eos_id(&self) -> Result<u32> {
        self.eos.as_ref().map(|eos| eos.id).ok_or_else(|| DataError::Tokenizer {
            path: files::path(&self.dir, CONFIG),
            reason: "names no `eos_token`; without one a model cannot learn to stop".to_owned(),
        })
    }

    /// The chat template, which conversational data needs.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// The tokens the tokenizer puts in front of plain text: nothing, or a BOS.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// True if the token is a special one (a turn marker, EOS, …), not text.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.get_added_vocabulary().is_special_token(&self.inner.id_to_token(id).unwrap_or_default())
    }

    /// The largest token id plus one: a model needs at least as many embeddings.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// SHA-256 over the files that decide token ids, in hex; part of the keys of caches.
    pub fn content_hash(&self) -> &str {
        &self.hash
    }

    /// The directory it was loaded from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether text encoded on its own gets a word-start mark (`▁`) it does not have in the middle of a text.
    pub(crate) fn marks_word_starts(&self) -> bool {
        self.marks_word_starts
    }

    /// What the library answers; its errors and its panics are the file's.
    fn guarded<T>(&self, work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
        let answer = guarded(|| work().map_err(|error| shortened(&error.to_string())));
        answer.unwrap_or_else(|panic| Err(fails(&panic))).map_err(|reason| {
            let path = files::path(&self.dir, TOKENIZER);
            DataError::Tokenizer { path, reason }
        })
    }
}

fn fails(panic: &str) -> String {
    format!("cannot be used: the tokenizers library fails on it with `{panic}`; is it damaged?")
}

/// Every `*_token` of the config, or else of the map; written as a string or as `{"content": …}`.
fn special_token_texts(files: [(&PathBuf, &Map<String, Value>); 2]) -> Result<BTreeMap<String, String>> {
    let text = |value: &Value| value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned);
    let mut texts = BTreeMap::new();
    for (path, fields) in files {
        for (name, value) in fields.iter().filter(|(name, _)| name.ends_with("_token")) {
            match text(value) {
                Some(text) => drop(texts.insert(name.clone(), text)),
                // `add_bos_token` and its like are switches.
                None if value.is_null() || value.is_boolean() => {}
                None => {
                    let (name, found) = (shortened(name), shortened(&value.to_string()));
                    let reason = format!("`{name}`: expected the token's text, found {found}");
                    return Err(DataError::Tokenizer { path: path.clone(), reason });
                }
            }
        }
    }
    Ok(texts)
}

fn special_token(
    inner: &tokenizers::Tokenizer,
    path: &Path,
    name: &str,
    text: Option<&String>,
) -> Result<Option<SpecialToken>> {
    let Some(text) = text else { return Ok(None) };
    let id = inner.token_to_id(text).ok_or_else(|| DataError::Tokenizer {
        path: path.to_path_buf(),
        reason: format!(
            "`{}` is `{}`, which is not in the vocabulary of tokenizer.json",
            shortened(name),
            shortened(text)
        ),
    })?;
    Ok(Some(SpecialToken { text: text.clone(), id }))
}
