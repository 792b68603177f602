//! Models that are given each other's token ids.

use align_data::Tokenizer;

/// Refuses a model, called `what`, that would take the policy's token ids for other text. Its chat template and its
/// special tokens may differ: rows are tokenized once, by the policy's.
///
/// # Errors
/// Names a token that the two disagree on.
pub fn check_tokenizer(what: &str, other: &Tokenizer, own: &Tokenizer) -> anyhow::Result<()> {
    if other.content_hash() == own.content_hash() {
        return Ok(());
    }
    let (found, expected) = (other.vocab_size(), own.vocab_size());
    anyhow::ensure!(
        found == expected,
        "{what}: its tokenizer has {found} tokens, the model's {expected}; both must share a tokenizer"
    );
    for id in 0..expected as u32 {
        let (found, expected) = (other.decode(&[id], false)?, own.decode(&[id], false)?);
        anyhow::ensure!(
            found == expected,
            "{what}: token {id} is {found:?} in its tokenizer, {expected:?} in the model's; both must share a \
             tokenizer"
        );
        // The same vocabulary, but other rules for cutting text into it. Not every token is a text by itself.
        let (found, expected) = (other.encode(&expected).ok(), own.encode(&expected).ok());
        anyhow::ensure!(
            found == expected,
            "{what}: its tokenizer cuts the text of token {id} into {:?}, the model's into {:?}; both must \
             share a tokenizer",
            found.unwrap_or_default(),
            expected.unwrap_or_default()
        );
    }
    Ok(())
}
