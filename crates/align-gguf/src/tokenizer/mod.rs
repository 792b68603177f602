//! The tokenizer of a file, as the files of a Hugging Face model directory.

mod byte_level;
mod pre;
mod sentencepiece;
mod written;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub use written::tokenizer_fields;

use crate::{Error, Metadata, Result};

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";

/// Types of tokens, as llama.cpp numbers them.
const UNKNOWN: u8 = 2;
const CONTROL: u8 = 3;
const USER_DEFINED: u8 = 4;
const UNUSED: u8 = 5;

/// Special tokens, by their names in `tokenizer_config.json` and in files.
const SPECIAL: [(&str, &str); 4] =
    [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")];

/// The vocabulary of a file.
struct Vocabulary<'a> {
    metadata: &'a Metadata,
    tokens: &'a [String],
    types: Vec<u8>,
}

/// `tokenizer.json` and what belongs beside it, by name.
///
/// # Errors
/// A kind of tokenizer that is not supported, or that cuts texts in an unknown way; lists that do not fit together.
pub fn tokenizer_files(metadata: &Metadata) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let vocabulary = Vocabulary::of(metadata)?;
    let kind = metadata.required(MODEL, metadata.optional_text(MODEL)?)?;
    let parts = match kind {
        "gpt2" => byte_level::parts(&vocabulary)?,
        "llama" => sentencepiece::parts(&vocabulary)?,
        _ => return Err(metadata.wrong(MODEL, "`gpt2` (byte-level BPE) or `llama` (SentencePiece BPE)")),
    };
    let post_processor = vocabulary.post_processor(parts.starts)?;
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": vocabulary.added(),
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": post_processor,
        "decoder": parts.decoder,
        "model": parts.model,
    });
    let mut config = Map::new();
    config.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
    config.insert("clean_up_tokenization_spaces".to_owned(), json!(false));
    for (name, called) in SPECIAL {
        if let Some((_, token)) = vocabulary.special(called)? {
            config.insert(name.to_owned(), json!(token));
        }
    }
    let mut files = BTreeMap::from([
        ("tokenizer.json", json_bytes(&tokenizer)),
        ("tokenizer_config.json", json_bytes(&Value::Object(config))),
    ]);
    if let Some(template) = metadata.optional_text("tokenizer.chat_template")? {
        files.insert("chat_template.jinja", template.as_bytes().to_vec());
    }
    Ok(files)
}

/// What one kind of tokenizer has.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    model: Value,
    /// Whether a text begins with the BOS token where the file does not say.
    starts: bool,
}

impl<'a> Vocabulary<'a> {
    fn of(metadata: &'a Metadata) -> Result<Self> {
        let tokens = metadata.required(TOKENS, metadata.optional_texts(TOKENS)?)?;
        let types = match metadata.optional_numbers(TYPES)? {
            None => vec![1; tokens.len()],
            Some(types) if types.len() == tokens.len() => types.iter().map(|it| *it as u8).collect(),
            Some(_) => return Err(metadata.wrong(TYPES, &format!("one for each of {} tokens", tokens.len()))),
        };
        Ok(Self { metadata, tokens, types })
    }

    /// Tokens that texts are made of, with their ids. A vocabulary that was filled up to a model's rows has others.
    fn used(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let all = self.tokens.iter().zip(&self.types).enumerate();
        all.filter(|(_, (_, kind))| **kind != UNUSED).map(|(id, (token, _))| (id, token.as_str()))
    }

    /// Ids by token; of two that are alike the first.
    fn ids(&self) -> Map<String, Value> {
        let mut ids = Map::new();
        for (id, token) in self.used() {
            ids.entry(token).or_insert(json!(id));
        }
        ids
    }

    /// Tokens that are looked for before a text is cut.
    fn added(&self) -> Vec<Value> {
        let added = self.used().filter(|(id, _)| [UNKNOWN, CONTROL, USER_DEFINED].contains(&self.types[*id]));
        let token = |(id, token): (usize, &str)| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                "special": self.types[id] != USER_DEFINED,
            })
        };
        added.map(token).collect()
    }

    /// A special token by its name in files.
    fn special(&self, name: &str) -> Result<Option<(usize, &'a str)>> {
        let name = format!("tokenizer.ggml.{name}_token_id");
        let Some(id) = self.metadata.optional_size(&name)? else { return Ok(None) };
        match self.tokens.get(id) {
            Some(token) => Ok(Some((id, token))),
            None => Err(self.metadata.wrong(&name, &format!("a token's id below {}", self.tokens.len()))),
        }
    }

    /// What puts BOS and EOS around a text.
    fn post_processor(&self, starts: bool) -> Result<Value> {
        let around = |which: &str, default: bool| {
            let name = format!("tokenizer.ggml.add_{which}_token");
            let asked = self.metadata.optional_flag(&name)?.unwrap_or(default);
            match self.special(which)? {
                Some(found) if asked => Ok(Some(found)),
                None if self.metadata.optional_flag(&name)? == Some(true) => Err(Error::invalid(
                    self.metadata.path(),
                    format!("`{name}` is set, but it names no such token"),
                )),
                _ => Ok(None),
            }
        };
        let (bos, eos) = (around("bos", starts)?, around("eos", false)?);
        if bos.is_none() && eos.is_none() {
            return Ok(Value::Null);
        }
        let special = |token: &Option<(usize, &str)>, kind: usize| {
            token.map(|(_, token)| json!({ "SpecialToken": { "id": token, "type_id": kind } }))
        };
        let text = |id: &str, kind: usize| Some(json!({ "Sequence": { "id": id, "type_id": kind } }));
        let single = [special(&bos, 0), text("A", 0), special(&eos, 0)];
        let pair = [text("B", 1), special(&eos, 1)];
        let pair: Vec<Value> =
            single.iter().cloned().chain([special(&bos, 1)]).chain(pair).flatten().collect();
        let tokens = [bos, eos].into_iter().flatten();
        let tokens = tokens
            .map(|(id, token)| (token.to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] })));
        Ok(json!({
            "type": "TemplateProcessing",
            "single": single.into_iter().flatten().collect::<Vec<_>>(),
            "pair": pair,
            "special_tokens": tokens.collect::<Map<_, _>>(),
        }))
    }
}

fn json_bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
