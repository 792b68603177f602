//! Byte-level BPE: GPT-2's kind.

use serde_json::{Value, json};

use super::pre::Pre;
use super::{Parts, Vocabulary};
use crate::Result;

const PRE: &str = "tokenizer.ggml.pre";
const MERGES: &str = "tokenizer.ggml.merges";

pub(super) fn parts(vocabulary: &Vocabulary<'_>) -> Result<Parts> {
    let metadata = vocabulary.metadata;
    let name = metadata.optional_text(PRE)?;
    let Some(pre) = name.and_then(Pre::named) else {
        let expected =
            format!("how texts are cut, one of {}; without it tokens would be wrong", Pre::all_names());
        return Err(metadata.wrong(PRE, &expected));
    };
    let merges = metadata.required(MERGES, metadata.optional_texts(MERGES)?)?;
    let pair = |merge: &String| match merge.split_once(' ') {
        Some((left, right)) => Ok(json!([left, right])),
        None => Err(metadata.wrong(MERGES, "two parts with a space between in each")),
    };
    let merges = merges.iter().map(pair).collect::<Result<Vec<_>>>()?;
    Ok(Parts {
        normalizer: if pre.composes { json!({ "type": "NFC" }) } else { Value::Null },
        pre_tokenizer: pre.json(),
        decoder: json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": pre.ignores_merges,
            "vocab": vocabulary.ids(), "merges": merges,
        }),
        // Of these kinds, Llama 3's begins a text with its BOS, and so does Mistral's.
        starts: pre.ignores_merges,
    })
}
