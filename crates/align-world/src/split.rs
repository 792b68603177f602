//! The data files: their names, their sizes, and what is written into them.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::pool::Part;
use crate::record::{Demonstration, NoisyPreference, Preference, Prompt};
use crate::rows;

/// Demonstrations, the good and the bad.
pub const SFT: &str = "sft.jsonl";
/// Preferences to train on.
pub const PREFERENCE_TRAIN: &str = "preference/train.jsonl";
/// Preferences to choose by.
pub const PREFERENCE_VALIDATION: &str = "preference/validation.jsonl";
/// Preferences to report on.
pub const PREFERENCE_TEST: &str = "preference/test.jsonl";
/// More preferences to train on, packed: facts and sums first.
pub const PREFERENCE_LARGE_TRAIN: &str = "preference-large/train.jsonl.gz";
/// The training preferences with some labels flipped.
pub const PREFERENCE_NOISY_TRAIN: &str = "preference-noisy/train.jsonl";
/// Prompts for learning from own samples.
pub const PROMPTS_TRAIN: &str = "prompts/train.jsonl";
/// The same prompts and, behind them, as many sums, which take the most practice.
pub const PROMPTS_LARGE_TRAIN: &str = "prompts-large/train.jsonl";
/// Prompts to choose by.
pub const PROMPTS_VALIDATION: &str = "prompts/validation.jsonl";
/// Prompts to report on.
pub const PROMPTS_TEST: &str = "prompts/test.jsonl";

/// Sums to train on, with their results.
pub const SUMS_TRAIN: &str = "sums/train.jsonl";
/// Sums to choose by, with their results.
pub const SUMS_VALIDATION: &str = "sums/validation.jsonl";
/// Sums to report on, with their results.
pub const SUMS_TEST: &str = "sums/test.jsonl";

/// The share of flipped labels in [`PREFERENCE_NOISY_TRAIN`].
pub const NOISE: f64 = 0.2;
/// The seed of the fixtures in the repository.
pub const SEED: u64 = 42;

const DEMONSTRATIONS: usize = 16_000;
/// To train on, to choose by, to report on.
const PREFERENCES: [usize; 3] = [4_000, 400, 600];
/// Those about facts and sums alone, which come first, and those of all kinds.
const MORE_PREFERENCES: [usize; 2] = [6_000, 9_000];
const PROMPTS: [usize; 3] = [1_000, 200, 200];
/// Sums behind the training prompts.
const PRACTICE: usize = 1_000;
const SUMS: [usize; 3] = [1_000, 100, 100];

/// The whole world as rows, the same for the same seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// The rows of [`SFT`].
    pub sft: Vec<Demonstration>,
    /// The rows of [`PREFERENCE_TRAIN`].
    pub preference_train: Vec<Preference>,
    /// The rows of [`PREFERENCE_VALIDATION`].
    pub preference_validation: Vec<Preference>,
    /// The rows of [`PREFERENCE_TEST`].
    pub preference_test: Vec<Preference>,
    /// The rows of [`PREFERENCE_LARGE_TRAIN`].
    pub preference_large_train: Vec<Preference>,
    /// The rows of [`PREFERENCE_NOISY_TRAIN`].
    pub preference_noisy_train: Vec<NoisyPreference>,
    /// The rows of [`PROMPTS_TRAIN`].
    pub prompts_train: Vec<Prompt>,
    /// The rows of [`PROMPTS_LARGE_TRAIN`].
    pub prompts_large_train: Vec<Prompt>,
    /// The rows of [`PROMPTS_VALIDATION`].
    pub prompts_validation: Vec<Prompt>,
    /// The rows of [`PROMPTS_TEST`].
    pub prompts_test: Vec<Prompt>,
    /// The rows of [`SUMS_TRAIN`].
    pub sums_train: Vec<Prompt>,
    /// The rows of [`SUMS_VALIDATION`].
    pub sums_validation: Vec<Prompt>,
    /// The rows of [`SUMS_TEST`].
    pub sums_test: Vec<Prompt>,
}

impl World {
    /// The world that `seed` makes. Each file draws from a stream of its own, so that the size of one does not
    /// change another.
    pub fn new(seed: u64) -> Self {
        let stream = |number: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number);
            rng
        };
        let preference_train = rows::preferences(Part::Train, PREFERENCES[0], &mut stream(1));
        Self {
            sft: rows::demonstrations(Part::Train, DEMONSTRATIONS, &mut stream(0)),
            preference_validation: rows::preferences(Part::Validation, PREFERENCES[1], &mut stream(9)),
            preference_test: rows::preferences(Part::Test, PREFERENCES[2], &mut stream(2)),
            preference_large_train: rows::more_preferences(Part::Train, MORE_PREFERENCES, &mut stream(8)),
            preference_noisy_train: rows::noisy(&preference_train, NOISE, &mut stream(3)),
            prompts_train: rows::prompts(Part::Train, PROMPTS[0], &mut stream(4)),
            prompts_large_train: rows::practice_prompts(Part::Train, [PROMPTS[0], PRACTICE], &mut stream(4)),
            prompts_validation: rows::prompts(Part::Validation, PROMPTS[1], &mut stream(10)),
            prompts_test: rows::prompts(Part::Test, PROMPTS[2], &mut stream(5)),
            sums_train: rows::sums(Part::Train, SUMS[0], &mut stream(6)),
            sums_validation: rows::sums(Part::Validation, SUMS[1], &mut stream(11)),
            sums_test: rows::sums(Part::Test, SUMS[2], &mut stream(7)),
            preference_train,
        }
    }

    /// Every data file: its path under the data folder and its text, one JSON object a line. Whoever writes a file
    /// whose name ends with `.gz` packs the text.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        vec![
            (SFT, json_lines(&self.sft)),
            (PREFERENCE_TRAIN, json_lines(&self.preference_train)),
            (PREFERENCE_VALIDATION, json_lines(&self.preference_validation)),
            (PREFERENCE_TEST, json_lines(&self.preference_test)),
            (PREFERENCE_LARGE_TRAIN, json_lines(&self.preference_large_train)),
            (PREFERENCE_NOISY_TRAIN, json_lines(&self.preference_noisy_train)),
            (PROMPTS_TRAIN, json_lines(&self.prompts_train)),
            (PROMPTS_LARGE_TRAIN, json_lines(&self.prompts_large_train)),
            (PROMPTS_VALIDATION, json_lines(&self.prompts_validation)),
            (PROMPTS_TEST, json_lines(&self.prompts_test)),
            (SUMS_TRAIN, json_lines(&self.sums_train)),
            (SUMS_VALIDATION, json_lines(&self.sums_validation)),
            (SUMS_TEST, json_lines(&self.sums_test)),
        ]
    }
}

fn json_lines<T: Serialize>(rows: &[T]) -> String {
    let line = |row| serde_json::to_string(row).expect("rows hold only strings, booleans and lists of them");
    rows.iter().map(|row| line(row) + "\n").collect()
}
