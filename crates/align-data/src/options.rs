//! The data's options as a user writes them, with TRL's names, and their checked form.
//!
//! Options that mean something to one method only are not here: an option without effect would be a trap.

use std::fmt;

use serde::Serialize;

use crate::column_mapping::ColumnMapping;
use crate::error::{DataError, Result};
use crate::mixture::MixedDataset;
use crate::order::SamplingStrategy;
use crate::tokenize::{LearnedPart, TokenizeOptions, TruncationMode};

/// Which data to read and how to tokenize it.
#[derive(Clone, Debug, PartialEq, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct DataOptions {
    /// Training data: a file (Parquet, JSON lines, CSV, …), a directory with files per split, a pattern such as
    /// 'data/*.parquet', a hub id, or - for standard input
    #[arg(long, visible_alias = "dataset", value_name = "PATH")]
    pub dataset_name: Option<String>,

    /// Several data sets to train on, in place of dataset_name: a list of objects with `path` and, where wanted, `name` (config),
    /// `split`, `columns`, `column_mapping`, `data_dir`, `data_files`, and `fraction`, each one's share of the mixture [default: all rows of all]
    #[arg(long, value_name = "JSON")]
    pub datasets: Option<String>,

    /// Several data sets to train on, each with the share of its own rows that is taken, from the first on: a.jsonl=1.0,b.jsonl=0.25
    #[arg(long, value_delimiter = ',', value_name = "PATH=SHARE")]
    pub dataset_mixer: Option<Vec<String>>,

    /// Read as many rows as the run trains on and no more, each once and in their order, from a source that may have no end; needs
    /// `max_steps`
    #[arg(long, visible_alias = "streaming", num_args = 0..=1, default_missing_value = "true", default_value_t = false,
          action = clap::ArgAction::Set, value_name = "BOOL")]
    pub dataset_streaming: bool,

    /// Config of the training data, where its card (README.md) has several [default: the one that the card says]
    #[arg(long, value_name = "CONFIG")]
    pub dataset_config: Option<String>,

    /// Split to train on, where the data set is a directory, or a part: train[:10%], train[100:200]
    #[arg(long, default_value = "train", value_name = "SPLIT")]
    pub dataset_train_split: String,

    /// Split to evaluate on, where the data set is a directory that has it
    #[arg(long, default_value = "test", value_name = "SPLIT")]
    pub dataset_test_split: String,

    /// Evaluation data, if it is not a split of the training data: a file, a directory, or a hub id
    #[arg(long, value_name = "PATH")]
    pub eval_dataset: Option<String>,

    /// Most tokens of prompt and completion together; longer rows are truncated; 0 is no limit
    #[arg(long, value_parser = align_limits::tokens(), default_value = "1024", value_name = "TOKENS")]
    pub max_length: Option<usize>,

    /// Most tokens of a prompt; its end is kept
    #[arg(long, value_parser = align_limits::tokens(), value_name = "TOKENS")]
    pub max_prompt_length: Option<usize>,

    /// Most tokens of a completion; its start is kept
    #[arg(long, value_parser = align_limits::tokens(), value_name = "TOKENS")]
    pub max_completion_length: Option<usize>,

    /// What is kept of a row over max_length: its start (completions get shorter), its end (the prompt gets
    /// shorter, one and the same for both answers of a pair), or nothing, it is dropped
    #[arg(long, value_enum, default_value_t)]
    pub truncation_mode: TruncationMode,

    /// Whether rows begin with a BOS token [default: as the tokenizer or the chat template does it]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub add_bos_token: Option<bool>,

    /// Order of the training rows: shuffled anew every epoch, as in the file, or shuffled and then grouped by length
    #[arg(long, value_enum, default_value_t)]
    pub train_sampling_strategy: SamplingStrategy,

    /// Columns that are called otherwise than here: prompt=question,chosen=answer_a
    #[arg(long, value_delimiter = ',', value_name = "COLUMN=NAME")]
    pub column_mapping: Option<Vec<String>>,

    /// Share of rows that may be left out, and counted, because they cannot be used: empty answers, roles that the chat
    /// template refuses, …; with 0 the first one ends the run
    #[arg(long, value_parser = align_limits::number(0.0..=1.0), default_value_t = 0.01, value_name = "SHARE")]
    pub max_bad_rows: f64,
}

/// What only supervised fine-tuning asks about its data.
#[derive(Clone, Debug, PartialEq, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct DemonstrationOptions {
    /// Whether only completions are learned, not their prompts [default: true for prompt-completion data]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub completion_only_loss: Option<bool>,

    /// Whether only the assistant's turns of a conversation are learned, not those of users, systems and tools [default: true
    /// for conversations]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub assistant_only_loss: Option<bool>,

    /// Learn only the last of the assistant's turns
    #[arg(long)]
    pub last_turn_only: bool,

    /// Whether what the assistant thinks before it answers (`reasoning_content`, or <think> in the content) is learned: true
    /// makes a row of each turn, since templates leave it out of earlier ones; false takes it out [default: as the template has it]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub train_on_reasoning: Option<bool>,

    /// Fill micro-batches: rows are packed into bins of at most max_length tokens, and per_device_train_batch_size counts bins
    /// [default: where packing_strategy is given]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub packing: Option<bool>,

    /// How they are packed [default of packing: bfd]
    #[arg(long, value_enum)]
    pub packing_strategy: Option<PackingStrategy>,
}

/// How rows are packed into bins. They stay apart: no token sees one of another row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum PackingStrategy {
    /// Best fit decreasing: the longest rows first, each where it leaves the least room.
    Bfd,
}

impl DemonstrationOptions {
    /// Checks the options against each other.
    ///
    /// # Errors
    /// The last of the assistant's turns where all turns are to be learned.
    pub fn check(&self) -> Result<LearnedPart> {
        let Self { completion_only_loss, assistant_only_loss, last_turn_only, train_on_reasoning, .. } =
            *self;
        if last_turn_only && assistant_only_loss == Some(false) {
            let rule = "has no effect with assistant_only_loss = false, which learns all turns".to_owned();
            return Err(DataError::NoEffect { field: "last_turn_only", rule, value: "true".to_owned() });
        }
        if let (Some(reasoning), Some(false)) = (train_on_reasoning, assistant_only_loss) {
            let rule =
                "has no effect with assistant_only_loss = false, which learns what the template writes"
                    .to_owned();
            let value = reasoning.to_string();
            return Err(DataError::NoEffect { field: "train_on_reasoning", rule, value });
        }
        Ok(LearnedPart { completion_only_loss, assistant_only_loss, last_turn_only, train_on_reasoning })
    }

    /// How rows are packed into bins; none if they are not.
    ///
    /// # Errors
    /// A strategy where packing is off.
    pub fn packing(&self) -> Result<Option<PackingStrategy>> {
        match (self.packing, self.packing_strategy) {
            (Some(false), Some(_)) => {
                let rule = "has no effect with packing = false; remove one of them".to_owned();
                Err(DataError::NoEffect { field: "packing_strategy", rule, value: "bfd".to_owned() })
            }
            (Some(true), None) => Ok(Some(PackingStrategy::Bfd)),
            (_, strategy) => Ok(strategy),
        }
    }
}

/// The checked options of the data, made from [`DataOptions`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataConfig {
    /// The training data, one data set or several; none where the records are a caller's own.
    pub datasets: Vec<MixedDataset>,
    /// Split to evaluate on, or a part of one.
    pub dataset_test_split: String,
    /// Separate evaluation data.
    pub eval_dataset: Option<String>,
    /// Columns that are called otherwise.
    pub columns: ColumnMapping,
    /// The options of tokenization: how rows become token ids, and how many may be unusable.
    pub tokenize: TokenizeOptions,
    /// Order of the training rows.
    pub train_sampling_strategy: SamplingStrategy,
}

impl DataOptions {
    /// Checks the options against each other.
    ///
    /// # Errors
    /// Empty names, limits that leave no room for a prompt and a completion, or that cannot take effect.
    pub fn check(self) -> Result<DataConfig> {
        let names = [
            ("dataset_train_split", Some(self.dataset_train_split.as_str())),
            ("dataset_test_split", Some(self.dataset_test_split.as_str())),
            ("eval_dataset", self.eval_dataset.as_deref()),
            ("dataset_config", self.dataset_config.as_deref()),
        ];
        for (field, name) in names {
            if name.is_some_and(|name| name.trim().is_empty()) {
                return wrong(field, "must not be empty", "nothing");
            }
        }
        let max_length = self.max_length.filter(|&max| max > 0);
        if max_length == Some(1) {
            return wrong("max_length", "must be at least 2, a prompt token and a completion token, or 0", 1);
        }
        let parts = [
            ("max_prompt_length", self.max_prompt_length),
            ("max_completion_length", self.max_completion_length),
        ];
        for (field, part) in parts {
            match (part, max_length) {
                (Some(0), _) => return wrong(field, "must be at least 1", 0),
                (Some(part), Some(max)) if part >= max => {
                    return wrong(field, format!("must be less than max_length = {max}"), part);
                }
                _ => {}
            }
        }
        let without_effect = match self.truncation_mode {
            TruncationMode::KeepStart => None,
            TruncationMode::KeepEnd => Some("keep_end"),
            TruncationMode::Drop => Some("drop"),
        };
        if let (None, Some(mode)) = (max_length, without_effect) {
            let (rule, value) = ("has no effect without max_length".to_owned(), mode.to_owned());
            return Err(DataError::NoEffect { field: "truncation_mode", rule, value });
        }
        let tokenize = TokenizeOptions {
            max_length,
            max_prompt_length: self.max_prompt_length,
            max_completion_length: self.max_completion_length,
            truncation_mode: self.truncation_mode,
            add_bos_token: self.add_bos_token,
            max_bad_rows: self.max_bad_rows,
        };
        let columns = ColumnMapping::parse(self.column_mapping.as_deref().unwrap_or_default())?;
        Ok(DataConfig {
            datasets: self.training_data()?,
            dataset_test_split: self.dataset_test_split,
            eval_dataset: self.eval_dataset,
            columns,
            tokenize,
            train_sampling_strategy: self.train_sampling_strategy,
        })
    }
}

fn wrong<T>(field: &'static str, rule: impl Into<String>, value: impl fmt::Display) -> Result<T> {
    Err(DataError::Option { field, rule: rule.into(), value: value.to_string() })
}

#[cfg(feature = "clap")]
#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser, Debug)]
    struct Program {
        #[command(flatten)]
        data: DataOptions,
        #[command(flatten)]
        demonstrations: DemonstrationOptions,
    }

    fn parse(arguments: &[&str]) -> Program {
        Program::try_parse_from([&["program", "--dataset-name=d"], arguments].concat()).unwrap()
    }

    fn complaint(arguments: &[&str]) -> String {
        parse(arguments).data.check().unwrap_err().to_string()
    }

    #[test]
    fn the_command_lines_defaults_are_default() {
        assert_eq!(
            parse(&[]).data,
            DataOptions { dataset_name: Some("d".to_owned()), ..DataOptions::default() }
        );
        let tokenize = TokenizeOptions { max_bad_rows: 0.01, ..TokenizeOptions::default() };
        assert_eq!(parse(&[]).data.check().unwrap().tokenize, tokenize);
    }

    #[test]
    fn booleans_are_written_in_three_ways() {
        assert_eq!(parse(&["--add-bos-token"]).data.add_bos_token, Some(true));
        assert_eq!(parse(&["--add-bos-token=false"]).data.add_bos_token, Some(false));
        assert_eq!(
            parse(&["--completion-only-loss", "true"]).demonstrations.completion_only_loss,
            Some(true)
        );
    }

    #[test]
    fn values_have_trls_spelling() {
        let options = parse(&["--truncation-mode", "keep_end", "--train-sampling-strategy=sequential"]);
        assert_eq!(options.data.truncation_mode, TruncationMode::KeepEnd);
        assert_eq!(options.data.train_sampling_strategy, SamplingStrategy::Sequential);
        assert_eq!(serde_json::to_value(&options.data).unwrap()["truncation_mode"], "keep_end");
    }

    #[test]
    fn nonsense_is_rejected_with_field_rule_and_value() {
        assert_eq!(
            complaint(&["--max-length=64", "--max-prompt-length=64"]),
            "max_prompt_length: must be less than max_length = 64, found 64"
        );
        assert!(
            complaint(&["--max-completion-length=0"])
                .starts_with("max_completion_length: must be at least 1")
        );
        assert!(complaint(&["--max-length=1"]).starts_with("max_length: must be at least 2"));
        assert!(complaint(&["--max-length=0", "--truncation-mode=keep_end"]).starts_with("truncation_mode"));
        assert!(complaint(&["--eval-dataset="]).starts_with("eval_dataset: must not be empty"));
    }

    #[test]
    fn zero_max_length_is_no_limit() {
        assert_eq!(parse(&["--max-length=0"]).data.check().unwrap().tokenize.max_length, None);
    }
}
