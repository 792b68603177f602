//! A Hugging Face model directory: read from, and written back as one that transformers loads.

mod altered;
mod open;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use align_files::Staged;
use align_kernels::Params;
use align_text::shortened;
use candle_core::Device;
use serde_json::{Value, json};

use crate::adapter::{ADAPTER, ADAPTER_CONFIG, AdapterDir};
use crate::carried::CarriedOver;
use crate::error::SHOWN;
use crate::gguf::Gguf;
use crate::plan::{StoredTensor, weight};
use crate::weights::Reading;
use crate::{
    DecoderConfig, Error, PadToken, Quantisation, Result, RewardHead, SavedDtype, SavedFormat, WeightBytes,
    architectures, weights,
};

const CONFIG: &str = "config.json";
const GENERATION: &str = "generation_config.json";

/// Bytes of a JSON file that are read: a hundred times those of the largest.
const LARGEST_JSON: u64 = 1 << 26;

/// A directory with `config.json` and what belongs to it.
#[derive(Clone, Debug)]
pub struct ModelDir {
    path: PathBuf,
    /// Where the weights are: the directory itself, or that of an adapter's base.
    base: PathBuf,
    json: Value,
    decoder: DecoderConfig,
    /// The file that holds the model, if it is one of llama.cpp's.
    gguf: Option<Arc<Gguf>>,
    /// How linear layers are quantised on loading.
    quantise: Option<Quantisation>,
    /// Whether it is read to be run and nothing else.
    is_run_only: bool,
    /// The shape without the adapter, and the adapter.
    adapter: Option<(DecoderConfig, AdapterDir)>,
    /// The shape of what is on disk, where that is another.
    on_disk: Option<DecoderConfig>,
    carried: CarriedOver,
    /// What the tokenizer's files are to name as the pad token, where it need not be what they name now.
    pad: Option<PadToken>,
}

impl ModelDir {
    /// True if it is an adapter over a base.
    pub fn is_adapter(&self) -> bool {
        self.adapter.is_some()
    }

    /// The directory of the tokenizer: an adapter's own, if there is one in it.
    pub fn tokenizer_path(&self) -> &Path {
        if self.path.join("tokenizer.json").is_file() { &self.path } else { &self.base }
    }

    /// The decoder's shape, with the adapter.
    pub fn decoder_config(&self) -> &DecoderConfig {
        &self.decoder
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All weights of the language model in f32 on `device`, frozen; those of the base without an adapter.
    ///
    /// # Errors
    /// If a tensor is missing, unknown, or of another shape than `config.json` says.
    pub fn load(&self, device: &Device) -> Result<Params> {
        if let Some(head) = self.reward_head()? {
            let problem = format!("is a reward model with {head}; expected a language model");
            return Err(Error::invalid(&self.path, problem));
        }
        let config = self.on_disk();
        let head = weight(&config.head.name);
        let ignored: &[&str] = if config.tied_embeddings { &[&head] } else { &[] };
        self.read(&config.tensors(), ignored, device)
    }

    /// The parameters of a table, frozen; other tensors may be there only if they are among the `ignored`.
    pub(crate) fn read(&self, table: &[StoredTensor], ignored: &[&str], device: &Device) -> Result<Params> {
        let Self { base: dir, quantise, .. } = self;
        let half = self.multiplied();
        let mut loaded = match &self.gguf {
            Some(gguf) => {
                gguf.read(self.on_disk(), table, ignored, *quantise, device)?.with_half(half.as_ref())?
            }
            None => {
                let (quantise, half) = (*quantise, half.as_ref());
                let reading = Reading { dir, table, by: CONFIG, ignored, quantise, half, device };
                reading.of_model()?
            }
        };
        loaded.tensors = self.with_missing_rows(loaded.tensors)?;
        Ok(loaded.frozen())
    }

    /// What the parameters of a table take in memory, by the headers of the files.
    pub(crate) fn bytes_of(&self, table: &[StoredTensor]) -> Result<WeightBytes> {
        let Self { base: dir, quantise, .. } = self;
        match &self.gguf {
            Some(gguf) => gguf.bytes_of(self.on_disk(), table, *quantise),
            None => {
                let (ignored, device) = (&[][..], &Device::Cpu);
                let half = self.multiplied();
                let (quantise, half) = (*quantise, half.as_ref());
                Reading { dir, table, by: CONFIG, ignored, quantise, half, device }.bytes_of_model()
            }
        }
    }

    /// Refuses a tokenizer that does not fit, and warns of sequences that are longer than what the model
    /// was made for: it can run over them, but has never seen such positions.
    ///
    /// # Errors
    /// As [`ModelDir::check_vocabulary`].
    pub fn check_data(&self, tokenizer_vocab: usize, longest: usize) -> Result<()> {
        let positions = self.decoder.max_positions;
        if longest > positions {
            tracing::warn!(
                "the longest row has {longest} tokens, but the model was made for {positions} \
                 (max_position_embeddings); give `--max-length {positions}`"
            );
        }
        self.check_vocabulary(tokenizer_vocab)
    }

    /// Refuses a tokenizer whose ids the embedding does not have.
    ///
    /// # Errors
    /// With both sizes.
    pub fn check_vocabulary(&self, tokenizer_vocab: usize) -> Result<()> {
        if tokenizer_vocab <= self.decoder.vocab {
            return Ok(());
        }
        let vocab = self.decoder.vocab;
        let problem = format!(
            "`vocab_size` is {vocab}, but the tokenizer has ids up to {}; use the tokenizer the model was made with, \
             or train it with `--resize-token-embeddings`",
            tokenizer_vocab - 1
        );
        Err(Error::invalid(self.config_path(), problem))
    }

    /// The file that describes the model.
    pub(crate) fn config_path(&self) -> PathBuf {
        if self.gguf.is_some() { self.base.clone() } else { self.path.join(CONFIG) }
    }

    /// Token ids that end a completion: `eos_token_id` of `generation_config.json`, else of
    /// `config.json`; a number or a list.
    ///
    /// # Errors
    /// If a file is malformed, or names what is no token of the model.
    pub fn eos_token_ids(&self) -> Result<Vec<u32>> {
        let name = GENERATION;
        let parsed = |json| serde_json::from_slice(json).map_err(malformed(&self.path.join(name)));
        let generation: Value = self.carried.get(name).map_or(Ok(Value::Null), parsed)?;
        let named = self.token_ids(name, &generation["eos_token_id"])?;
        if named.is_empty() { self.token_ids("config.json", &self.json["eos_token_id"]) } else { Ok(named) }
    }

    /// Writes `params` and everything a loader needs into the existing directory `dir`, where files of another model go: a
    /// chat template that this one lacks would be taken for its own. What it inherits is as it was when the directory was
    /// opened. All files are whole before the first of them moves into
    /// place, and `config.json`, without which there is no model, moves last.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, params: &Params, dir: &Path) -> Result<()> {
        let staged = Staged::new(dir)?;
        if let Some((_, adapter)) = &self.adapter {
            adapter.save(&self.decoder, params, self.quantise, staged.path())?;
            self.save_carried(&staged, dir)?;
            return Ok(staged.commit(ADAPTER_CONFIG, &Self::file_names())?);
        }
        self.save_whole(params, dir, staged, &SavedFormat::default())
    }

    /// [`ModelDir::save`] of all weights in a format of the caller's.
    ///
    /// # Errors
    /// As [`ModelDir::save`]; an adapter, which has one format.
    pub fn save_as(&self, params: &Params, dir: &Path, format: &SavedFormat) -> Result<()> {
        if self.is_adapter() {
            return Err(Error::invalid(&self.path, "is an adapter; merge it first"));
        }
        self.save_whole(params, dir, Staged::new(dir)?, format)
    }

    fn save_whole(&self, params: &Params, dir: &Path, staged: Staged, format: &SavedFormat) -> Result<()> {
        weights::save(params, &self.decoder.tensors(), staged.path(), format)?;
        let mut json = self.json.clone();
        // transformers 4 reads `torch_dtype`, 5 reads `dtype`: keep the name the file came with.
        let name = if json.get("dtype").is_some() { "dtype" } else { "torch_dtype" };
        json[name] = json!(format.dtype.name());
        match format.quantise {
            Some(how) => json["quantization_config"] = how.of_checkpoint(format.dtype.name()),
            // What is written is numbers.
            None => drop(json.as_object_mut().map(|json| json.remove("quantization_config"))),
        }
        write_json(&staged.path().join(CONFIG), &json)?;
        self.save_carried(&staged, dir)?;
        Ok(staged.commit(CONFIG, &Self::file_names())?)
    }

    /// The format of the weights as `config.json` names it: `dtype` or `torch_dtype`.
    pub fn dtype(&self) -> SavedDtype {
        let named = self.json["dtype"].as_str().or_else(|| self.json["torch_dtype"].as_str());
        named.and_then(SavedDtype::named).unwrap_or_default()
    }

    fn save_carried(&self, staged: &Staged, dir: &Path) -> Result<()> {
        for (name, bytes) in self.carried_files() {
            std::fs::write(staged.path().join(name), bytes).map_err(Error::io(dir.join(name)))?;
        }
        self.pad.as_ref().map_or(Ok(()), |pad| pad.name_in(staged.path()))
    }

    /// A file that the model inherits.
    pub(crate) fn carried_file(&self, name: &str) -> Option<&[u8]> {
        self.carried.get(name)
    }

    /// What is written beside the weights. An adapter's generation settings are its base's.
    fn carried_files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.carried.files().filter(|(name, _)| !self.is_adapter() || *name != GENERATION)
    }

    /// The names of all files that a saved model can have; where it lacks one, [`ModelDir::save`] removes what another
    /// model left under the name.
    pub fn file_names() -> Vec<&'static str> {
        let own = [CONFIG, weights::SINGLE, weights::INDEX, ADAPTER_CONFIG, ADAPTER];
        own.into_iter().chain(CarriedOver::all_names()).collect()
    }

    /// The names of those files that [`ModelDir::save`] will write.
    pub fn saved_names(&self) -> impl Iterator<Item = &'static str> {
        let own = if self.is_adapter() { [ADAPTER_CONFIG, ADAPTER] } else { [CONFIG, weights::SINGLE] };
        own.into_iter().chain(self.carried_files().map(|(name, _)| name))
    }

    /// A number or a list of them as token ids; none where nothing is said.
    fn token_ids(&self, file: &str, value: &Value) -> Result<Vec<u32>> {
        let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        let id = |value: &Value| {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            id.filter(|&id| (id as usize) < self.decoder.vocab).ok_or_else(|| {
                let (vocab, found) = (self.decoder.vocab, shortened(&value.to_string(), SHOWN));
                let problem =
                    format!("`eos_token_id`: expected token ids below vocab_size = {vocab}, found {found}");
                Error::invalid(self.path.join(file), problem)
            })
        };
        list.iter().filter(|value| !value.is_null()).map(id).collect()
    }

    /// `config.json`.
    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    /// Whether rows of the embedding are no numbers.
    pub(crate) fn has_embedding_in_blocks(&self) -> bool {
        self.gguf.as_ref().is_some_and(|gguf| gguf.has_embedding_in_blocks())
    }

    /// The shape of the weights on disk.
    pub(crate) fn on_disk(&self) -> &DecoderConfig {
        self.on_disk.as_ref().unwrap_or_else(|| self.base_config())
    }

    /// The layout of what [`ModelDir::save`] writes: its tensors, with the parameters that each holds. Parameters that none
    /// mentions are called as they are.
    ///
    /// # Errors
    /// An adapter that does not fit the model.
    pub fn layout(&self) -> Result<Vec<StoredTensor>> {
        match self.adapter() {
            None => Ok(self.decoder.tensors()),
            Some(adapter) => Ok(adapter.tensors(&self.decoder)?.all()),
        }
    }

    /// The adapter, if it is one.
    pub(crate) fn adapter(&self) -> Option<&AdapterDir> {
        self.adapter.as_ref().map(|(_, adapter)| adapter)
    }

    /// The shape without the adapter.
    pub(crate) fn base_config(&self) -> &DecoderConfig {
        self.adapter.as_ref().map_or(&self.decoder, |(plain, _)| plain)
    }

    /// The base alone: what is saved then is a whole model, with the tokenizer of the adapter.
    pub(crate) fn without_adapter(&self) -> Self {
        Self { decoder: self.base_config().clone(), adapter: None, ..self.clone() }
    }

    /// Where the weights are.
    pub fn base_path(&self) -> &Path {
        &self.base
    }

    /// The same, its adapter with that reward head.
    pub(crate) fn with_adapter_head(&self, head: RewardHead) -> Self {
        let mut own = self.clone();
        if let Some((_, adapter)) = &mut own.adapter {
            adapter.head = Some(head);
        }
        own
    }

    /// The same place, of which a model of another shape is made.
    pub(crate) fn resized(&self, json: Value) -> Result<Self> {
        let decoder = architectures::decoder_config(&self.config_path(), &json)?;
        Ok(Self { json, decoder, on_disk: Some(self.on_disk().clone()), ..self.clone() })
    }

    /// The same place, to be saved with another `config.json` and pad token.
    pub(crate) fn with(&self, json: Value, pad: PadToken) -> Self {
        Self { json, pad: Some(pad), ..self.clone() }
    }
}

pub(crate) fn write_json(path: &Path, json: &Value) -> Result<()> {
    Ok(align_files::write_json(path, json)?)
}

pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let text = align_files::read_to_string(path, LARGEST_JSON)?;
    serde_json::from_str(&text).map_err(malformed(path))
}

fn malformed(path: &Path) -> impl FnOnce(serde_json::Error) -> Error {
    move |error| Error::invalid(path, format!("malformed JSON: {error}"))
}
