#![doc = include_str!("../README.md")]

// The way of a row, in order.

// What it is.
mod record;

// Where it comes from.
mod column_mapping;
mod dataset;
mod formats;
mod layout;
mod mixture;
mod source;

// What is odd about it and its neighbours.
mod checks;

// How its messages become text.
mod template;

// How its text becomes token ids.
mod tokenizer;
mod tokenizer_pair;

mod tokenize;

// Where its token ids are.
mod store;
mod streaming;

// All of that for a run's data.
mod prepare;
mod records;

// When it is visited.
mod order;

// Together with which others.
mod batch;
mod lengths;

// What it looks like to a person.
mod display;

// What a user may choose, and may get wrong.
mod options;

mod error;

// What libraries panic on.
mod guard;

pub use batch::{BatchSize, MicroBatches, Packing};
pub use checks::{
    DatasetChecks, EvaluationChecks, KnownAnswers, PairChecks, UnpairedChecks, check_demonstrations,
    check_pairs, check_prompts, check_unpaired,
};
pub use column_mapping::ColumnMapping;
pub use dataset::Dataset;
pub use display::{MaskStyle, inspect_completion, inspect_example, inspect_pair, inspect_ranking};
pub use error::{DataError, Result};
pub use formats::is_data_file;
pub use layout::{Layout, LayoutError, is_pattern};
pub use mixture::{Amount, MixedDataset};
pub use options::{DataConfig, DataOptions, DemonstrationOptions, PackingStrategy};
pub use order::{Cursor, Order, SamplingStrategy};
pub use prepare::{
    Findings, Prepared, prepare_demonstrations, prepare_pairs, prepare_rankings, prepare_tasks,
    prepare_unpaired,
};
pub use record::{
    Candidates, Demonstration, DemonstrationBody, JudgedPair, ListPlace, Message, Origin, PreferencePair,
    PromptOnly, PromptTask, Ranking, TemplateArguments, Text, UnpairedPreference, Vote, unpair_preferences,
};
pub use records::Records;
pub use source::{
    JudgedPairs, LeftOut, Loaded, ReadAs, Source, SourceReport, SourceRows, has_split, load_candidates,
    load_demonstrations, load_judged_pairs, load_pairs, load_pairs_with_reference, load_prompts,
    load_rankings, load_tasks, load_unpaired, open_demonstrations, open_pairs, open_pairs_with_reference,
    open_rankings, open_tasks, open_unpaired, stream_candidates,
};
pub use store::{Bytes, Fingerprint, RowSource, Rows, StoredRow, TokenCache};
pub use template::ChatTemplate;
pub use tokenize::{
    DropReason, LearnedPart, TokenizeOptions, TokenizeReport, TokenizedCandidates, TokenizedCompletion,
    TokenizedExample, TokenizedPair, TokenizedPrompt, TokenizedRanking, TokenizedTask, TruncationMode,
    tokenize_candidates, tokenize_demonstrations, tokenize_pairs, tokenize_prompts, tokenize_rankings,
    tokenize_tasks, tokenize_unpaired,
};
pub use tokenizer::{PairTokenizer, PairedTokens, SpecialToken, Tokenizer};
