//! How byte-level tokenizers cut a text before they merge: what `tokenizer.ggml.pre` stands for.
//!
//! The regular expressions are those of the models' own `tokenizer.json`. A name that is not here is refused: tokens that
//! were cut otherwise than in training are wrong without a word.

use serde_json::{Value, json};

/// GPT-4's numbers in threes (Llama 3, DBRX).
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with each digit alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o's (Phi 4 mini).
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How a text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// By GPT-2's own expression.
    Gpt2,
    /// Digits alone, then by GPT-2's.
    DigitsThenGpt2,
    /// By this one.
    By(&'static str),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pre {
    /// What llama.cpp calls it; of several, the first is what is written.
    names: &'static [&'static str],
    cut: Cut,
    /// Whether text is brought to Unicode's form C first.
    pub(super) composes: bool,
    /// Whether a piece that is a token is not merged.
    pub(super) ignores_merges: bool,
}

const KNOWN: [Pre; 7] = [
    Pre {
        names: &["gpt-2", "mpt", "olmo", "jais", "trillion", "granite-docling"],
        cut: Cut::Gpt2,
        composes: false,
        ignores_merges: false,
    },
    Pre {
        names: &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        cut: Cut::DigitsThenGpt2,
        composes: false,
        ignores_merges: false,
    },
    Pre {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"],
        cut: Cut::By(LLAMA3),
        composes: false,
        ignores_merges: true,
    },
    Pre { names: &["dbrx", "smaug-bpe"], cut: Cut::By(LLAMA3), composes: false, ignores_merges: false },
    Pre {
        names: &["qwen2", "deepseek-r1-qwen", "kormo", "megrez"],
        cut: Cut::By(QWEN2),
        composes: true,
        ignores_merges: false,
    },
    Pre { names: &["tekken"], cut: Cut::By(TEKKEN), composes: false, ignores_merges: true },
    Pre { names: &["gpt-4o", "llama4"], cut: Cut::By(GPT4O), composes: false, ignores_merges: false },
];

impl Pre {
    /// That of the name; none if it is not known.
    pub(super) fn named(name: &str) -> Option<Self> {
        KNOWN.into_iter().find(|pre| pre.names.contains(&name))
    }

    /// All names.
    pub(super) fn all_names() -> String {
        KNOWN.iter().flat_map(|pre| pre.names).copied().collect::<Vec<_>>().join(", ")
    }

    /// The name of what a `tokenizer.json` does; none if llama.cpp has no name for it.
    pub(super) fn of(pre_tokenizer: &Value, ignores_merges: bool) -> Option<&'static str> {
        let cut = cut_of(pre_tokenizer)?;
        let same = KNOWN.into_iter().filter(|pre| pre.cut == cut).collect::<Vec<_>>();
        let exact = same.iter().find(|pre| pre.ignores_merges == ignores_merges);
        // Where a piece is a token, merging it gives the token: what is left of the difference are vocabularies with
        // tokens that no merges lead to.
        exact.or(same.first().filter(|_| !ignores_merges)).map(|pre| pre.names[0])
    }

    /// As `tokenizer.json` has it.
    pub(super) fn json(self) -> Value {
        match self.cut {
            Cut::Gpt2 => byte_level(true),
            Cut::DigitsThenGpt2 => {
                sequence(&json!({ "type": "Digits", "individual_digits": true }), &byte_level(true))
            }
            Cut::By(expression) => {
                let split = json!({
                    "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false,
                });
                sequence(&split, &byte_level(false))
            }
        }
    }
}

fn sequence(first: &Value, second: &Value) -> Value {
    json!({ "type": "Sequence", "pretokenizers": [first, second] })
}

fn byte_level(cuts: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": cuts })
}

/// What a pre-tokenizer does, if it is one of those above.
fn cut_of(json: &Value) -> Option<Cut> {
    let is_byte_level = |json: &Value, cuts: bool| {
        json["type"] == "ByteLevel"
            && json["add_prefix_space"] != true
            && json["use_regex"].as_bool().unwrap_or(true) == cuts
    };
    if is_byte_level(json, true) {
        return Some(Cut::Gpt2);
    }
    let [first, second] = json["pretokenizers"].as_array()?.as_slice() else { return None };
    if first["type"] == "Digits" && first["individual_digits"] == true && is_byte_level(second, true) {
        return Some(Cut::DigitsThenGpt2);
    }
    let is_split = first["type"] == "Split" && first["behavior"] == "Isolated" && first["invert"] != true;
    if !is_split || !is_byte_level(second, false) {
        return None;
    }
    let expression = first["pattern"]["Regex"].as_str()?;
    [LLAMA3, QWEN2, TEKKEN, GPT4O].into_iter().find(|known| *known == expression).map(Cut::By)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        for pre in KNOWN {
            assert_eq!(Pre::of(&pre.json(), pre.ignores_merges), Some(pre.names[0]));
            for name in pre.names {
                assert_eq!(Pre::named(name), Some(pre));
            }
        }
        assert_eq!(Pre::of(&json!({ "type": "Whitespace" }), false), None);
        assert_eq!(Pre::named("default"), None);
    }
}
