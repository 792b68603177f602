//! The words of the small world: a text made of other words is not one of its answers, whatever else it contains.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::words::words;
use crate::pool::Part;
use crate::record::Demonstration;
use crate::rows;
use crate::sums::numbers_in;

/// Demonstrations enough to meet every word of the tables.
const ROWS: [(Part, usize); 3] = [(Part::Train, 10_000), (Part::Validation, 1_000), (Part::Test, 1_000)];

static LEXICON: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let draw = |(part, count)| rows::demonstrations(part, count, &mut ChaCha8Rng::seed_from_u64(0));
    let demonstrations: Vec<Demonstration> = ROWS.into_iter().flat_map(draw).collect();
    let messages = demonstrations.iter().flat_map(|row| row.prompt.iter().chain(&row.completion));
    messages.flat_map(|message| words(&message.content)).collect()
});

/// The share of `words` that are words of the world or numbers; 1 for no words.
pub(super) fn known(words: &[String]) -> f64 {
    let unknown = words.iter().filter(|word| !LEXICON.contains(*word) && numbers_in(word).is_empty()).count();
    1.0 - unknown as f64 / words.len().max(1) as f64
}
