//! A Hugging Face model directory: read from, and written back as one that transformers loads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use align_files::Staged;
use align_kernels::Params;
use align_text::shortened;
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use crate::carried::CarriedOver;
use crate::error::SHOWN;
use crate::{DecoderConfig, Error, PadToken, Result, architectures, weights};

const CONFIG: &str = "config.json";

/// Bytes of a JSON file that are read: a hundred times those of the largest.
const LARGEST_JSON: u64 = 1 << 26;

/// A directory with `config.json` and what belongs to it.
#[derive(Clone, Debug)]
pub struct ModelDir {
    path: PathBuf,
    json: Value,
    decoder: DecoderConfig,
    /// The shape of what is on disk, where that is another.
    on_disk: Option<DecoderConfig>,
    carried: CarriedOver,
    /// What the tokenizer's files are to name as the pad token, where it need not be what they name now.
    pad: Option<PadToken>,
}

impl ModelDir {
    /// Reads and checks `config.json`, and reads what a model that is trained from this one inherits.
    ///
    /// # Errors
    /// If `config.json` is missing, malformed, or of an architecture that is not supported; a file beside it that cannot be
    /// read, or is larger than any of its kind.
    pub fn open(path: &Path) -> Result<Self> {
        let config = path.join(CONFIG);
        let json = read_json(&config)?;
        let decoder = architectures::decoder_config(&config, &json)?;
        let carried = CarriedOver::read(path)?;
        Ok(Self { path: path.to_owned(), json, decoder, on_disk: None, carried, pad: None })
    }

    /// The decoder's shape.
    pub fn decoder_config(&self) -> &DecoderConfig {
        &self.decoder
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All weights as f32 tensors on `device`.
    ///
    /// # Errors
    /// If a tensor is missing, unknown, or of another shape than `config.json` says.
    pub fn load(&self, device: &Device) -> Result<BTreeMap<String, Tensor>> {
        if let Some(head) = self.reward_head()? {
            let problem = format!("is a reward model with {head}; expected a language model");
            return Err(Error::invalid(&self.path, problem));
        }
        self.with_missing_rows(weights::load(&self.path, self.on_disk(), device)?)
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
        Err(Error::invalid(self.path.join("config.json"), problem))
    }

    /// Token ids that end a completion: `eos_token_id` of `generation_config.json`, else of
    /// `config.json`; a number or a list.
    ///
    /// # Errors
    /// If a file is malformed, or names what is no token of the model.
    pub fn eos_token_ids(&self) -> Result<Vec<u32>> {
        let name = "generation_config.json";
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
        weights::save(params, &self.decoder.tensors(), staged.path())?;
        let mut json = self.json.clone();
        // transformers 4 reads `torch_dtype`, 5 reads `dtype`: keep the name the file came with.
        let name = if json.get("dtype").is_some() { "dtype" } else { "torch_dtype" };
        json[name] = json!("float32");
        write_json(&staged.path().join(CONFIG), &json)?;
        for (name, bytes) in self.carried.files() {
            std::fs::write(staged.path().join(name), bytes).map_err(Error::io(dir.join(name)))?;
        }
        self.pad.as_ref().map_or(Ok(()), |pad| pad.name_in(staged.path()))?;
        Ok(staged.commit(CONFIG, &Self::file_names())?)
    }

    /// The names of all files that a saved model can have; where it lacks one, [`ModelDir::save`] removes what another
    /// model left under the name.
    pub fn file_names() -> Vec<&'static str> {
        [CONFIG, weights::SINGLE, weights::INDEX].into_iter().chain(CarriedOver::all_names()).collect()
    }

    /// The names of those files that [`ModelDir::save`] will write.
    pub fn saved_names(&self) -> impl Iterator<Item = &'static str> {
        [CONFIG, weights::SINGLE].into_iter().chain(self.carried.names())
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

    /// The shape of the weights on disk.
    pub(crate) fn on_disk(&self) -> &DecoderConfig {
        self.on_disk.as_ref().unwrap_or(&self.decoder)
    }

    /// The same place, of which a model of another shape is made.
    pub(crate) fn resized(&self, json: Value) -> Result<Self> {
        let decoder = architectures::decoder_config(&self.path.join(CONFIG), &json)?;
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
