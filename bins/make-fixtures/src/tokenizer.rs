//! The world's tokenizer: a byte-level BPE trained on its demonstrations, with a chat template, as the files that
//! transformers loads. No post-processor adds tokens: the template writes BOS, roles and EOS where they belong.

use align_world::{Message, World};
use anyhow::{Result, anyhow};
use serde_json::{Map, Value, json};
use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, PostProcessorWrapper, TokenizerBuilder};

/// Special tokens, bytes and merges together.
const VOCABULARY: usize = 1024;
const PAD: &str = "<pad>";
const BOS: &str = "<s>";
const EOS: &str = "</s>";
/// In the order of their ids, from 0.
const SPECIAL: [&str; 6] = [PAD, BOS, EOS, "<|system|>", "<|user|>", "<|assistant|>"];
/// Longest text in tokens that the world's models are made for.
const MAX_LENGTH: usize = 512;

/// Every message is its role's token, its text and EOS, so that an answer ends with EOS by itself and a prompt with
/// the generation prompt is a prefix of the whole conversation.
const CHAT_TEMPLATE: &str = "{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] not in ['system', 'user', 'assistant'] %}
{{- raise_exception('unknown role ' + message['role'] + ': expected system, user or assistant') }}
{%- endif %}
{{- '<|' + message['role'] + '|>' + message['content'] | trim + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|assistant|>' }}
{%- endif %}";

/// The tokenizer's files: name and text.
pub(crate) fn files(world: &World) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("tokenizer.json", trained(world)?),
        ("tokenizer_config.json", pretty(&config())),
        ("special_tokens_map.json", pretty(&special_tokens())),
        ("chat_template.jinja", CHAT_TEMPLATE.to_owned()),
    ])
}

fn trained(world: &World) -> Result<String> {
    let special: Vec<AddedToken> = SPECIAL.iter().map(|token| AddedToken::from(*token, true)).collect();
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(VOCABULARY)
        .show_progress(false)
        .special_tokens(special)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let bytes = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer =
        TokenizerBuilder::<BPE, NormalizerWrapper, ByteLevel, PostProcessorWrapper, ByteLevelDecoder>::new()
            .with_model(BPE::default())
            .with_normalizer(None)
            .with_pre_tokenizer(Some(bytes))
            .with_post_processor(None)
            .with_decoder(Some(ByteLevelDecoder::default()))
            .build()
            .map_err(|error| anyhow!("cannot build the tokenizer: {error}"))?;
    tokenizer
        .train(&mut trainer, texts(world))
        .map_err(|error| anyhow!("cannot train the tokenizer: {error}"))?;
    tokenizer.to_string(true).map_err(|error| anyhow!("cannot serialise the tokenizer: {error}"))
}

fn texts(world: &World) -> impl Iterator<Item = &str> + Send {
    let messages = world.sft.iter().flat_map(|row| row.prompt.iter().chain(&row.completion));
    messages.map(|message: &Message| message.content.as_str())
}

fn config() -> Value {
    let added: Map<String, Value> = SPECIAL
        .iter()
        .enumerate()
        .map(|(id, token)| {
            let flags = json!({"content": token, "lstrip": false, "normalized": false, "rstrip": false,
                "single_word": false, "special": true});
            (id.to_string(), flags)
        })
        .collect();
    json!({
        "added_tokens_decoder": added,
        "add_bos_token": false,
        "add_eos_token": false,
        "additional_special_tokens": SPECIAL[3..],
        "bos_token": BOS,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": false,
        "eos_token": EOS,
        "model_max_length": MAX_LENGTH,
        "pad_token": PAD,
        "padding_side": "right",
        "tokenizer_class": "PreTrainedTokenizerFast",
    })
}

fn special_tokens() -> Value {
    json!({"additional_special_tokens": SPECIAL[3..], "bos_token": BOS, "eos_token": EOS, "pad_token": PAD})
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a value of strings, numbers and lists serialises") + "\n"
}
