//! What a training program opens first: its run, its data's place, its model and tokenizer. Writes nothing.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use align_cli::{CommonOptions, Hub, Invocation, OutputOptions, Session};
use align_data::{BatchSize, DataConfig, DataOptions, MicroBatches, Order, Prepared, Tokenizer};
use align_models::ModelDir;
use align_train::{Length, TrainConfig, TrainOptions};
use serde::Serialize;
use serde_json::Value;

/// A program that has read its options and found its model.
pub struct Opening<'a> {
    /// The run's directory, device and seed.
    pub session: Session<'a>,
    /// Where models and data sets come from.
    pub hub: Hub,
    /// How to train.
    pub config: TrainConfig,
    /// How to read and tokenize.
    pub data: DataConfig,
    /// The model to train.
    pub model: ModelDir,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Options that were not given and whose defaults depend on others, with their values. A method adds its own, and
    /// all are recorded with the options of the run.
    pub defaulted: Vec<(&'static str, Value)>,
    dataset: PathBuf,
    eval_dataset: Option<PathBuf>,
    invocation: &'a Invocation,
    inspect: bool,
}

impl<'a> Opening<'a> {
    /// Checks the options and finds what they name.
    ///
    /// # Errors
    /// Options that make no sense, an output directory that is occupied, a model or data set that is not there.
    pub fn new(
        invocation: &'a Invocation,
        common: &CommonOptions,
        output: &OutputOptions,
        data: &DataOptions,
        train: &TrainOptions,
        default_learning_rate: f64,
    ) -> anyhow::Result<Self> {
        let config = train.check(default_learning_rate)?;
        let data = data.clone().check()?;
        if train.max_tokens_per_micro_batch.is_some() {
            invocation.refuse_given(
                &["per_device_train_batch_size"],
                "because `max_tokens_per_micro_batch` decides",
            )?;
        }
        if matches!(config.length, Length::Steps(_)) {
            invocation.refuse_given(&["num_train_epochs"], "because `max_steps` is given")?;
        }
        invocation.refuse_revision_of_directory(&common.model_name_or_path)?;
        let session = Session::open(invocation, common, output, &config.resume)?;
        let hub = Hub::from_env();
        let model = ModelDir::open(&hub.model(&common.model_name_or_path, &common.model_revision)?)?;
        let tokenizer = Tokenizer::load(model.path())?;
        let model = match common.resize_token_embeddings {
            true => model.with_vocabulary(tokenizer.vocab_size())?,
            false => model,
        };
        let dataset = hub.dataset(&data.dataset_name)?;
        let eval_dataset = data.eval_dataset.as_ref().map(|name| hub.dataset(name)).transpose()?;
        if dataset.is_file() {
            invocation
                .refuse_given(&["dataset_train_split"], "the data set is a file, which is read whole")?;
        }
        if eval_dataset.as_ref().unwrap_or(&dataset).is_file() {
            let because = "the data that would be evaluated on is a file, which is read whole";
            invocation.refuse_given(&["dataset_test_split"], because)?;
        }
        let inspect = output.inspect;
        let defaulted = match train.learning_rate {
            None => vec![("learning_rate", config.learning_rate.into())],
            Some(_) => Vec::new(),
        };
        Ok(Self {
            session,
            hub,
            config,
            data,
            dataset,
            eval_dataset,
            model,
            tokenizer,
            defaulted,
            invocation,
            inspect,
        })
    }

    /// Reads and tokenizes the run's data with `prepare` (of align-data), and shows what was found in it.
    /// `for_evaluation` are the options that would have no effect without held-out rows.
    ///
    /// # Errors
    /// If the data cannot be read or does not fit the model; if evaluation is asked for and there are no
    /// held-out rows.
    pub fn rows<T>(
        &self,
        prepare: impl FnOnce(&Path, Option<&Path>, &DataConfig, &Tokenizer) -> align_data::Result<Prepared<T>>,
        for_evaluation: &[&str],
    ) -> anyhow::Result<Prepared<T>> {
        let rows = prepare(&self.dataset, self.eval_dataset.as_deref(), &self.data, &self.tokenizer)?;
        self.model.check_data(self.tokenizer.vocab_size(), rows.longest)?;
        self.config.check_evaluation(!rows.held_out.is_empty())?;
        if rows.held_out.is_empty() {
            let because = "there are no held-out rows (give `--eval-dataset`)";
            self.invocation.refuse_given(for_evaluation, because)?;
        }
        align_cli::print(&rows.findings)?;
        if let Some(notice) = rows.findings.known_answers().and_then(|known| known.notice()) {
            tracing::warn!("{notice}");
        }
        Ok(rows)
    }

    /// Refuses options that were given and would have no effect.
    ///
    /// # Errors
    /// Names the option, and why.
    pub fn refuse_given(&self, options: &[&str], because: &str) -> anyhow::Result<()> {
        self.invocation.refuse_given(options, because)
    }

    /// The order of the training rows, whose lengths in tokens are given.
    ///
    /// # Errors
    /// If there are none.
    pub fn order(&self, lengths: Vec<usize>) -> anyhow::Result<MicroBatches> {
        let order = Order { strategy: self.data.train_sampling_strategy, seed: self.session.seed };
        let size = match self.config.max_tokens_per_micro_batch {
            Some(tokens) => BatchSize::Tokens(tokens),
            None => BatchSize::Examples(self.config.per_device_train_batch_size),
        };
        Ok(MicroBatches::new(lengths, size, order)?)
    }

    /// Shows the first micro-batch if that is what the program was asked for; then there is nothing more to do.
    ///
    /// # Errors
    /// What `show` returns.
    pub fn inspected<D: Display>(
        &self,
        order: &MicroBatches,
        show: impl Fn(usize) -> align_data::Result<D>,
    ) -> anyhow::Result<bool> {
        if self.inspect {
            for index in order.clone().next_batch().unwrap_or_default() {
                align_cli::print_coloured(show(index)?)?;
            }
        }
        Ok(self.inspect)
    }

    /// Says that the method writes a file of this name beside the model, while it is not too late to refuse.
    ///
    /// # Errors
    /// An output directory that cannot be taken; somebody else's file of that name.
    pub fn announce(&self, name: &str) -> anyhow::Result<()> {
        if self.session.dry_run {
            return Ok(());
        }
        Ok(self.session.create_output_dir()?.claim([name])?)
    }

    /// The program's options, group by group, as if what was defaulted had been given: a run that is resumed may then
    /// give it.
    pub(crate) fn all(&self, options: &impl Serialize) -> anyhow::Result<Value> {
        let mut options = serde_json::to_value(options)?;
        let groups = options.as_object_mut().into_iter().flat_map(|groups| groups.values_mut());
        for group in groups.filter_map(Value::as_object_mut) {
            for (option, value) in &self.defaulted {
                if let Some(absent @ Value::Null) = group.get_mut(*option) {
                    *absent = value.clone();
                }
            }
        }
        Ok(options)
    }

    /// What was defaulted as lines of the settings file, which has what was given, and what clap knows the default of.
    pub(crate) fn defaulted_lines(&self) -> String {
        // What JSON calls numbers, strings and lists of them is the same in TOML.
        self.defaulted.iter().map(|(option, value)| format!("{option} = {value}\n")).collect()
    }

    /// Tokens that end a completion: the tokenizer's and the model's.
    ///
    /// # Errors
    /// If the tokenizer has none.
    pub fn eos_token_ids(&self) -> anyhow::Result<Vec<u32>> {
        Ok([vec![self.tokenizer.eos_id()?], self.model.eos_token_ids()?].concat())
    }
}
