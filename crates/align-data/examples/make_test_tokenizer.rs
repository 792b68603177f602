//! Makes `tests/fixtures/tokenizer/tokenizer.json` again: byte-level BPE with 330 tokens, trained on the few
//! sentences below. The other files of that directory are written by hand.
//!
//! `cargo run -p align-data --example make_test_tokenizer`

use std::path::Path;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};
use tokenizers::{TokenizerBuilder, TokenizerImpl};

const TEXT: [&str; 6] = [
    "Question: How do I keep bread fresh for longer?\nAnswer: Wrap it in a cloth and keep it in a dry box.\n",
    "Question: How do I water a fern?\nAnswer: Water it when the soil feels dry, and keep it out of the sun.\n",
    "Question: What is the capital of Norway?\nAnswer: The capital of Norway is Oslo.\n",
    "The user asks a question, and the assistant answers the question in a kind way.\n",
    "\n\nHuman: What should I cook tonight?\n\nAssistant: You could cook rice with beans, or bake some bread.",
    "\n\nHuman: How do I keep a fern in a dry room?\n\nAssistant: Keep it out of the sun and water it often.",
];
const SPECIAL: [&str; 5] = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"];

type Bpe = TokenizerImpl<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

fn main() -> tokenizers::Result<()> {
    let mut tokenizer: Bpe = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true).into()))
        .with_post_processor(Some(
            TemplateProcessing::builder()
                .try_single("<s> $A")?
                .special_tokens(vec![("<s>", 1)])
                .build()?
                .into(),
        ))
        .with_decoder(Some(ByteLevel::default().into()))
        .build()?;
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(330)
        .min_frequency(2)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(SPECIAL.iter().map(|&text| AddedToken::from(text, true)).collect())
        .build();
    tokenizer.train(&mut trainer, TEXT.iter())?;
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer");
    std::fs::create_dir_all(&dir)?;
    tokenizer.save(dir.join("tokenizer.json"), true)?;
    Ok(())
}
