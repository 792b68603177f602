//! Tokenizers and the files beside them.
//!
//! Memory grows by about 12 KB with each good BPE tokenizer that is loaded: the library keeps what it has encoded for each
//! thread and tokenizer and lets nothing of it go when the tokenizer does (`BPE_LOCAL_CACHE` of tokenizers 0.23; at most 10,000
//! words each). A program loads a few.

use align_data::Tokenizer;

use crate::{Scratch, bounded};

const TEXT: &str = "Hello, world! It's 123 ünïcödé 🎉\n\n\tab aab </s>";

/// A `tokenizer.json`, used.
pub(crate) fn tokenizer(bytes: &[u8], scratch: &Scratch) {
    scratch.file("tokenizer.json", bytes);
    let tokenizer = match Tokenizer::load(scratch.path()) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return bounded(error),
    };
    for text in [TEXT, "", "\0", "▁a b"] {
        for ids in [tokenizer.encode(text), tokenizer.encode_with_special_tokens(text)] {
            match ids.and_then(|ids| tokenizer.decode(&ids, true)) {
                Ok(text) => drop(text),
                Err(error) => bounded(error),
            }
        }
    }
    if let Err(error) = tokenizer.pad_beside(&[0]) {
        bounded(error);
    }
}

/// A `tokenizer_config.json` and a `special_tokens_map.json` beside a good tokenizer.
pub(crate) fn files(bytes: &[u8], scratch: &Scratch) {
    scratch.file("tokenizer.json", include_bytes!("../../corpus/tokenizer/word_marking.json"));
    scratch.file("tokenizer_config.json", bytes);
    scratch.file("special_tokens_map.json", bytes);
    match Tokenizer::load(scratch.path()) {
        Ok(tokenizer) => drop(tokenizer.eos_id().map_err(bounded)),
        Err(error) => bounded(error),
    }
}
