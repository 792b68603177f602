//! The way back: a `tokenizer.json` and the files beside it as metadata.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pre::Pre;
use super::{CONTROL, MODEL, SPECIAL, TOKENS, TYPES, UNKNOWN, UNUSED, USER_DEFINED};
use crate::{Field, Fields};

/// Types of tokens that no list names.
const NORMAL: u8 = 1;
const BYTE: u8 = 6;

/// The metadata of a tokenizer for a model of `rows` tokens: `file` gives the content of a file of its directory.
///
/// # Errors
/// What llama.cpp has no kind of tokenizer for, or no name for how it cuts texts.
pub fn tokenizer_fields(file: impl Fn(&str) -> Option<Vec<u8>>, rows: usize) -> Result<Fields, String> {
    let json = |name: &str| {
        let parsed = file(name).map(|bytes| serde_json::from_slice::<Value>(&bytes));
        parsed.transpose().map_err(|error| format!("{name}: malformed JSON: {error}"))
    };
    let tokenizer = json("tokenizer.json")?.ok_or("there is no tokenizer.json")?;
    let config = json("tokenizer_config.json")?.unwrap_or_default();
    let map = json("special_tokens_map.json")?.unwrap_or_default();
    let model = &tokenizer["model"];
    if model["type"] != "BPE" {
        return Err(format!("tokenizer.json: a model of type {} is not written; BPE is", model["type"]));
    }
    let mut vocabulary = Vocabulary::of(&tokenizer, rows)?;
    let mut fields = if model["byte_fallback"] == true {
        sentencepiece(&tokenizer, &mut vocabulary)?
    } else {
        byte_level(&tokenizer)?
    };
    fields.push((TOKENS.to_owned(), texts(vocabulary.tokens.iter().cloned())));
    let types = vocabulary.types.iter().map(|it| i32::from(*it));
    fields.push((TYPES.to_owned(), Field::I32s(types.collect())));
    let mut ids = BTreeMap::new();
    for (name, called) in SPECIAL {
        let named = [&config, &map].into_iter().find_map(|from| text_of(&from[name]));
        if let Some(id) = named.and_then(|token| vocabulary.tokens.iter().position(|it| *it == token)) {
            fields.push((format!("tokenizer.ggml.{called}_token_id"), Field::U32(id as u32)));
            ids.insert(called, id);
        }
    }
    let [starts, ends] = around(&tokenizer["post_processor"], &config, &ids);
    fields.push(("tokenizer.ggml.add_bos_token".to_owned(), Field::Flag(starts)));
    fields.push(("tokenizer.ggml.add_eos_token".to_owned(), Field::Flag(ends)));
    let template = file("chat_template.jinja").and_then(|bytes| String::from_utf8(bytes).ok());
    // Several templates by name, of which a file has one.
    let named = config["chat_template"].as_array().into_iter().flatten().find(|it| it["name"] == "default");
    let beside = named.map_or(&config["chat_template"], |named| &named["template"]);
    if let Some(template) = template.or_else(|| beside.as_str().map(str::to_owned)) {
        fields.push(("tokenizer.chat_template".to_owned(), Field::Text(template)));
    }
    Ok(fields)
}

/// Tokens by id, and what kinds they are of.
struct Vocabulary {
    tokens: Vec<String>,
    types: Vec<u8>,
}

impl Vocabulary {
    /// Rows that no token has are filled up, as llama.cpp's converter does.
    fn of(tokenizer: &Value, rows: usize) -> Result<Self, String> {
        let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
        let mut types = vec![UNUSED; rows];
        let mut set = |id: Option<u64>, token: &str, kind: u8| {
            let id = id.and_then(|id| usize::try_from(id).ok()).filter(|id| *id < rows);
            let id = id.ok_or_else(|| {
                format!("tokenizer.json: `{token}` has no id below the model's {rows} tokens")
            })?;
            token.clone_into(&mut tokens[id]);
            types[id] = kind;
            Ok::<_, String>(())
        };
        for (token, id) in tokenizer["model"]["vocab"].as_object().into_iter().flatten() {
            set(id.as_u64(), token, NORMAL)?;
        }
        for added in tokenizer["added_tokens"].as_array().into_iter().flatten() {
            let kind = if added["special"] == true { CONTROL } else { USER_DEFINED };
            set(added["id"].as_u64(), added["content"].as_str().unwrap_or_default(), kind)?;
        }
        Ok(Self { tokens, types })
    }
}

fn byte_level(tokenizer: &Value) -> Result<Fields, String> {
    let model = &tokenizer["model"];
    let ignores_merges = model["ignore_merges"] == true;
    let Some(name) = Pre::of(&tokenizer["pre_tokenizer"], ignores_merges) else {
        return Err(format!(
            "tokenizer.json: llama.cpp has no name for how its `pre_tokenizer` cuts texts that is known here; known are \
             those of {}",
            Pre::all_names()
        ));
    };
    let composes = match tokenizer["normalizer"]["type"].as_str() {
        None => false,
        Some("NFC") => true,
        Some(other) => return Err(format!("tokenizer.json: a normalizer of type {other} is not written")),
    };
    if composes && !Pre::named(name).is_some_and(|pre| pre.composes) {
        return Err(format!("tokenizer.json: llama.cpp does not bring texts to form C for `{name}`"));
    }
    Ok(vec![
        (MODEL.to_owned(), Field::Text("gpt2".to_owned())),
        ("tokenizer.ggml.pre".to_owned(), Field::Text(name.to_owned())),
        (
            "tokenizer.ggml.merges".to_owned(),
            texts(merges(model)?.into_iter().map(|[left, right]| format!("{left} {right}"))),
        ),
    ])
}

/// Scores are the order of the merges: what SentencePiece's BPE joins first is what has the best score.
fn sentencepiece(tokenizer: &Value, vocabulary: &mut Vocabulary) -> Result<Fields, String> {
    let model = &tokenizer["model"];
    let prefix = prefixes(tokenizer)?;
    let mut ranks = BTreeMap::new();
    for (rank, [left, right]) in merges(model)?.into_iter().enumerate() {
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let rows = vocabulary.tokens.len();
    let score = |token: &String| -(*ranks.get(token).unwrap_or(&rows) as f32);
    let scores = vocabulary.tokens.iter().map(score).collect();
    for (token, kind) in vocabulary.tokens.iter().zip(&mut vocabulary.types) {
        if *kind == NORMAL && token.len() == 6 && token.starts_with("<0x") && token.ends_with('>') {
            *kind = BYTE;
        }
        if model["unk_token"].as_str() == Some(token) {
            *kind = UNKNOWN;
        }
    }
    Ok(vec![
        (MODEL.to_owned(), Field::Text("llama".to_owned())),
        ("tokenizer.ggml.pre".to_owned(), Field::Text("default".to_owned())),
        ("tokenizer.ggml.scores".to_owned(), Field::F32s(scores)),
        ("tokenizer.ggml.add_space_prefix".to_owned(), Field::Flag(prefix)),
    ])
}

/// Whether a text gets a space in front.
fn prefixes(tokenizer: &Value) -> Result<bool, String> {
    let normalizer = &tokenizer["normalizer"];
    let parts =
        normalizer["normalizers"].as_array().map_or_else(|| std::slice::from_ref(normalizer), Vec::as_slice);
    let mut prefix = false;
    for part in parts.iter().filter(|part| !part.is_null()) {
        match part["type"].as_str() {
            Some("Prepend") if part["prepend"] == "▁" => prefix = true,
            Some("Replace") if part["pattern"]["String"] == " " && part["content"] == "▁" => {}
            _ => return Err(format!("tokenizer.json: llama.cpp has no normalizer like {part}")),
        }
    }
    let pre = &tokenizer["pre_tokenizer"];
    match pre["type"].as_str() {
        Some("Metaspace") => Ok(pre["prepend_scheme"] != "never"),
        // Gemma's, which cuts at spaces where its normalizer has left none.
        None | Some("Split") => Ok(prefix),
        Some(other) => Err(format!("tokenizer.json: a pre_tokenizer of type {other} is not written")),
    }
}

/// Merges, as pairs or as texts with a space between.
fn merges(model: &Value) -> Result<Vec<[String; 2]>, String> {
    let pair = |merge: &Value| {
        let found = match (merge.as_str(), merge.as_array().map(Vec::as_slice)) {
            (Some(text), _) => text.split_once(' '),
            (_, Some([left, right])) => left.as_str().zip(right.as_str()),
            _ => None,
        };
        let found = found.map(|(left, right)| [left.to_owned(), right.to_owned()]);
        found.ok_or_else(|| format!("tokenizer.json: expected a merge of two parts, found {merge}"))
    };
    model["merges"].as_array().into_iter().flatten().map(pair).collect()
}

/// Whether texts begin with BOS and end with EOS.
fn around(post_processor: &Value, config: &Value, ids: &BTreeMap<&str, usize>) -> [bool; 2] {
    let parts = post_processor["processors"]
        .as_array()
        .map_or_else(|| std::slice::from_ref(post_processor), Vec::as_slice);
    let single = parts.iter().find_map(|part| part["single"].as_array());
    let token = |piece: Option<&Value>, which: &str| {
        let Some(name) = piece.and_then(|piece| piece["SpecialToken"]["id"].as_str()) else { return false };
        let own = parts.iter().find_map(|part| part["special_tokens"][name]["ids"][0].as_u64());
        own.is_some() && own == ids.get(which).map(|id| *id as u64)
    };
    let seen = [
        token(single.and_then(|single| single.first()), "bos"),
        token(single.and_then(|single| single.last()), "eos"),
    ];
    // transformers rebuilds the post-processor where the config says so explicitly.
    let asked = ["add_bos_token", "add_eos_token"].map(|name| config[name].as_bool());
    [
        asked[0].unwrap_or(seen[0]) && ids.contains_key("bos"),
        asked[1].unwrap_or(seen[1]) && ids.contains_key("eos"),
    ]
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

fn texts(all: impl Iterator<Item = String>) -> Field {
    Field::Texts(all.collect())
}
