//! What a job opens first: its place, its data, its model and tokenizer. Writes nothing.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use align_data::{
    ChatTemplate, DataConfig, DataError, Dataset, Findings, MixedDataset, Prepared, Records, Source,
    Tokenizer,
};
use align_hub::{Hub, token_cache_from_env};
use align_kernels::Params;
use align_models::{ModelDir, SavedDtype, SavedFormat};
use align_train::{Error as TrainError, Length, Shard, TrainConfig};
use serde_json::Value;

use crate::lora::LEARNING_RATE_FACTOR;
use crate::memory::Cut;
use crate::scaling::{asked_about, check_cluster};
use crate::settings::{line, named, written};
use crate::{Error, Event, Given, Host, Job, MemoryPlan, Place, Result, given, same};

/// A job that has read its options and found its model.
pub struct Opening<'a> {
    /// The host: who runs the job.
    pub host: &'a Host<'a>,
    /// The run's directory, device and seed.
    pub place: Place<'a>,
    /// The hub: where models and data sets come from.
    pub hub: Hub,
    /// The checked training options.
    pub config: TrainConfig,
    /// The checked data options: how rows are read and tokenized.
    pub data: DataConfig,
    /// The model to train.
    pub model: ModelDir,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The options that were given.
    pub given: Given,
    /// What the weights of the trained model are saved in; an adapter's are f32.
    pub saved_dtype: SavedDtype,
    /// All options, group by group, as if what was defaulted had been given: a run that is resumed may then give it.
    options: Value,
    /// Options that were not given and whose defaults depend on others, with their values.
    defaulted: Vec<(&'static str, Value)>,
    /// What was found in the run's rows, once they were checked.
    findings: OnceLock<Findings>,
    /// The first micro-batch as text, what is learned between brackets.
    pub(crate) first_batch: OnceLock<String>,
    /// The memory that the run will take, once it was predicted.
    pub(crate) memory: Option<MemoryPlan>,
    /// The peak on the ranks that a dry run is asked about, in each way of sharing.
    pub(crate) memory_of_ranks: Vec<(Shard, u64)>,
}

impl<'a> Opening<'a> {
    /// Checks the options and finds the model that they name. `default_learning_rate` is the method's.
    ///
    /// # Errors
    /// Options that make no sense, an output directory that is occupied, a model that is not there.
    pub fn new<J: Job>(host: &'a Host<'a>, job: &J, default_learning_rate: f64) -> Result<Self> {
        Self::with(given(host, job)?, host, job, default_learning_rate)
    }

    /// The same by somebody who knows already which options were [`given`].
    ///
    /// # Errors
    /// As [`Opening::new`].
    pub fn with<J: Job>(
        given: Given,
        host: &'a Host<'a>,
        job: &J,
        default_learning_rate: f64,
    ) -> Result<Self> {
        let (model, train) = (job.model(), job.train());
        let mut options = serde_json::to_value(job).map_err(Error::method)?;
        let mut config = train.check(default_learning_rate)?;
        config.ranks = host.ranks.clone();
        let mut data = job.data().check()?;
        if job.data().dataset_streaming {
            given.refuse(
                &["train_sampling_strategy"],
                "because `dataset_streaming` leaves rows in their order",
            )?;
            data.stream(config.rows_of_run()?)?;
            if let Some(order) = options.pointer_mut("/data/train_sampling_strategy") {
                *order = "sequential".into();
            }
        }
        if train.max_tokens_per_micro_batch.is_some() {
            given.refuse(&["per_device_train_batch_size"], "because `max_tokens_per_micro_batch` decides")?;
        }
        if matches!(config.length, Length::Steps(_)) {
            given.refuse(&["num_train_epochs"], "because `max_steps` is given")?;
        }
        let optimizer = config.optimizer.method;
        given.refuse(optimizer.unused_options(), &format!("with `optim` {}", optimizer.optim().name()))?;
        given.refuse_revision_of_directory(&model.model_name_or_path)?;
        let mut read = named(&options, &given);
        let mixed = data.datasets.iter().filter(|set| set.option != "dataset_name");
        read.extend(mixed.map(|set| (set.option.clone(), set.name.clone())));
        let place = Place::open(host, J::STAGE, model, job.output(), &config.resume, &read)?;
        config.resume = place.resume().clone();
        check_cluster(host)?;
        if config.shard != Shard::None && config.ranks.is_alone() && asked_about(host).is_none() {
            return Err(Error::no_effect(
                "shard",
                "because there is one rank, with nobody to divide it with",
            ));
        }
        let hub = Hub::from_env();
        let (dir, tokenizer) = model.find(&hub)?;
        let dir = job.lora().applied(dir, model, J::TASK, &given)?;
        let mut saved_dtype = job.output().save_dtype.unwrap_or_else(|| dir.dtype());
        if dir.is_adapter() {
            let because = "an adapter is saved in float32; `align export --dtype` merges it into its base in any precision";
            given.refuse(&["save_dtype"], because)?;
            saved_dtype = SavedDtype::Float32;
            if train.learning_rate.is_none() {
                config.learning_rate *= LEARNING_RATE_FACTOR;
            }
        }
        config.optimizer.loraplus_lr_ratio = job.lora().loraplus_lr_ratio.unwrap_or(1.0);
        let mut opening = Self {
            host,
            place,
            hub,
            config,
            data,
            model: dir,
            tokenizer,
            given,
            saved_dtype,
            options,
            defaulted: Vec::new(),
            findings: OnceLock::new(),
            first_batch: OnceLock::new(),
            memory: None,
            memory_of_ranks: Vec::new(),
        };
        if train.learning_rate.is_none() {
            opening.defaults([("learning_rate", opening.config.learning_rate.into())]);
        }
        same::check_options(&opening)?;
        Ok(opening)
    }

    /// Options that were not given and whose defaults depend on others, with their values: all are recorded with the
    /// options of the run.
    pub fn defaults(&mut self, defaulted: impl IntoIterator<Item = (&'static str, Value)>) {
        for (option, value) in defaulted {
            let groups = self.options.as_object_mut().into_iter().flat_map(|groups| groups.values_mut());
            for group in groups.filter_map(Value::as_object_mut) {
                if let Some(absent @ Value::Null) = group.get_mut(option) {
                    *absent = value.clone();
                }
            }
            self.defaulted.push((option, value));
        }
    }

    /// The same with another chat template, which the trained model is saved with: a file, or the model (a directory or a hub
    /// id) whose it is.
    ///
    /// # Errors
    /// A template that is not there, or that does not compile.
    pub fn with_chat_template(self, path: &str) -> Result<Self> {
        let path = match Path::new(path).exists() {
            true => PathBuf::from(path),
            false => self.hub.model(path, "main")?,
        };
        let source = ChatTemplate::source(&path)?;
        let tokenizer = Tokenizer::load_with_template(self.model.tokenizer_path(), &source)?;
        Ok(Self { model: self.model.with_chat_template(&source), tokenizer, ..self })
    }

    /// The records of the run: a caller's own, or what `open` (of align-data) finds in the data sets that the options name.
    ///
    /// # Errors
    /// A data set that is not there, or that cannot be read; options about data sets beside records of the caller's own.
    pub fn records<R>(
        &self,
        own: Option<Records<R>>,
        open: impl Fn(&Dataset, &str) -> align_data::Result<Source<R>>,
    ) -> Result<Records<R>> {
        if let Some(records) = own {
            let names = [
                "dataset_name",
                "datasets",
                "dataset_mixer",
                "dataset_config",
                "dataset_streaming",
                "dataset_train_split",
                "dataset_test_split",
                "eval_dataset",
                "column_mapping",
            ];
            self.given.refuse(&names, "the records are the caller's own")?;
            return Ok(records);
        }
        let Self { data, hub, .. } = self;
        if data.datasets.iter().all(|set| set.name.trim().is_empty()) {
            let (field, rule, value) = ("dataset_name", "must not be empty".to_owned(), "nothing".to_owned());
            return Err(DataError::Option { field, rule, value }.into());
        }
        let test = data.dataset_test_split.as_str();
        let cache = token_cache_from_env()?;
        let with_columns = |dataset: Dataset| Dataset {
            cache: cache.clone(),
            columns: data.columns.clone(),
            max_bad_rows: data.tokenize.max_bad_rows,
            ..dataset
        };
        // Their own test splits are wanted only if there is no other data to evaluate on, and may be missing.
        let optional = if data.eval_dataset.is_none() { Some(test) } else { None };
        let found = |set: &MixedDataset| -> Result<Dataset> {
            let dataset =
                with_columns(hub.dataset_split(&set.name, set.config.as_deref(), &set.split, optional)?);
            let columns = set.column_mapping.clone().unwrap_or(dataset.columns);
            Ok(Dataset { columns, selected: set.columns.clone(), ..dataset })
        };
        let datasets = data.datasets.iter().map(found).collect::<Result<Vec<_>>>()?;
        let eval_dataset = data.eval_dataset.as_ref();
        let eval_dataset = eval_dataset.map(|name| hub.dataset_split(name, None, test, None)).transpose()?;
        let eval_dataset = eval_dataset.map(with_columns);
        Ok(Records::open(&datasets, eval_dataset.as_ref(), data, open)?)
    }

    /// Checks the run's rows against its model and its options, and tells what was found in them. `for_evaluation` are the
    /// options that would have no effect without held-out rows.
    ///
    /// # Errors
    /// Rows that do not fit the model; evaluation that is asked for where there are no held-out rows.
    pub fn check_rows<T>(&self, rows: &Prepared<T>, for_evaluation: &[&str]) -> Result<()> {
        self.model.check_data(self.tokenizer.vocab_size(), rows.longest)?;
        self.config.check_evaluation(!rows.held_out.is_empty())?;
        if rows.held_out.is_empty() {
            self.given.refuse(for_evaluation, "there are no held-out rows (give `--eval-dataset`)")?;
        }
        self.host.tell(Event::Findings(&rows.findings))?;
        self.findings.get_or_init(|| rows.findings.clone());
        let plain = rows.findings.plain_prompts;
        if plain > 0 && self.tokenizer.chat_template().is_some() {
            tracing::warn!(
                "{plain} training rows have a plain string for a prompt, which is continued as it stands: the model's chat \
                 template is not used. If they are questions to a chat model, write them as messages \
                 ([{{\"role\": \"user\", \"content\": …}}])"
            );
        }
        let found = &rows.findings.train;
        if found.without_stop() > 0 && found.turns_by_marks > 0 {
            tracing::warn!(
                "{} of {} answers end without a token to stop at in what is learned, so that where to stop is not: let the chat \
                 template's `generation` marks enclose the end of a turn",
                found.without_stop(),
                found.complete_completions
            );
        }
        if let Some(notice) = rows.findings.known_answers().and_then(|known| known.notice()) {
            tracing::warn!("{notice}");
        }
        Ok(())
    }

    /// What was found in the run's rows; none before they were checked.
    pub fn findings(&self) -> Option<&Findings> {
        self.findings.get()
    }

    /// Cuts the updates of the run so; checkpoints record it as if it had been given, and the text that repeats the run says what was.
    pub(crate) fn take(&mut self, cut: Cut) {
        self.config = cut.of(&self.config);
        for (option, value) in cut.options() {
            if let Some(old) = self.options.pointer_mut(&format!("/train/{option}")) {
                *old = value;
            }
        }
    }

    /// The memory that the run will take, once it was predicted.
    pub fn memory(&self) -> Option<&MemoryPlan> {
        self.memory.as_ref()
    }

    /// Says that the method writes a file of this name beside the model, while it is not too late to refuse.
    ///
    /// # Errors
    /// An output directory that cannot be taken; somebody else's file of that name.
    pub fn announce(&self, name: &str) -> Result<()> {
        if !self.host.trains() || !self.host.ranks.leads() {
            return Ok(());
        }
        Ok(self.place.create_output_dir()?.claim([name])?)
    }

    /// Writes the trained model into the run's directory. (Checkpoints hold it in f32, whatever it is saved in.)
    ///
    /// # Errors
    /// A file that cannot be written; numbers that the precision does not have.
    pub fn save_trained(&self, params: &Params, dir: &Path) -> align_train::Result<()> {
        let Self { model, saved_dtype: dtype, .. } = self;
        let saved = match dtype {
            SavedDtype::Float32 => model.save(params, dir),
            rounded => {
                let name = rounded.name();
                tracing::info!(
                    "the weights are saved in {name}; `--save-dtype float32` keeps all their digits"
                );
                model.save_as(params, dir, &SavedFormat { dtype: *dtype, ..SavedFormat::default() })
            }
        };
        saved.map_err(TrainError::stage)
    }

    /// All options with what was defaulted, as they are recorded.
    pub(crate) fn options(&self) -> &Value {
        &self.options
    }

    /// All options as the text that repeats the run, with what was defaulted and clap does not know.
    pub(crate) fn settings(&self) -> String {
        match &self.host.settings {
            Some(settings) => {
                let defaulted = self.defaulted.iter().map(|(option, value)| line(option, value));
                settings.clone() + &defaulted.collect::<String>()
            }
            None => written(&self.options),
        }
    }

    /// Tokens that end a completion: the tokenizer's and the model's.
    ///
    /// # Errors
    /// If the tokenizer has none.
    pub fn eos_token_ids(&self) -> Result<Vec<u32>> {
        Ok([vec![self.tokenizer.eos_id()?], self.model.eos_token_ids()?].concat())
    }
}
