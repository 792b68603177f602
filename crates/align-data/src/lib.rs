#![doc = include_str!("../README.md")]

mod error;
mod record;
mod source;
mod template;
mod tokenize;
mod tokenizer;

pub use error::{DataError, Result};
pub use record::{
    Demonstration, DemonstrationBody, Message, Origin, PreferencePair, PromptOnly, TemplateArguments, Text,
};
pub use source::{has_split, load_demonstrations, load_pairs, load_prompts};
pub use template::ChatTemplate;
pub use tokenize::{
    DropReason, TokenizeOptions, TokenizeReport, TokenizedExample, TokenizedPair, TokenizedPrompt,
    TruncationMode, tokenize_demonstrations, tokenize_pairs, tokenize_prompts,
};
pub use tokenizer::{SpecialToken, Tokenizer};
