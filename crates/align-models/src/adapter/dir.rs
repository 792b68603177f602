//! An adapter's directory, as PEFT writes and reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use align_kernels::Params;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::json::{self, Stored};
use super::tensors::AdapterTensors;
use super::{LoraConfig, start};
use crate::error::SHOWN;
use crate::model_dir::{read_json, write_json};
use crate::plan::weight;
use crate::weights::Reading;
use crate::{DecoderConfig, Error, Quantisation, Result, RewardHead, weights};

pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";
pub(crate) const ADAPTER: &str = "adapter_model.safetensors";
/// Our own key: the reward head, where it is not transformers' linear one. PEFT leaves it aside.
const HEAD: &str = "reward_head";
/// Another: how the base was quantised while it was loaded, so that the adapter is never over another function unseen.
const QUANTISED: &str = "base_quantization";

/// An adapter of a model: its settings, and where its tensors are.
#[derive(Clone, Debug)]
pub(crate) struct AdapterDir {
    pub(crate) config: LoraConfig,
    /// The base, as the user names it.
    pub(crate) base: String,
    pub(crate) revision: Option<String>,
    /// How the base was quantised when it was trained, if that is not how it lies on disk.
    pub(crate) quantised: Option<Quantisation>,
    /// The reward head that is saved with it.
    pub(crate) head: Option<RewardHead>,
    /// The one that was saved with it: a language model's adapter can become a reward model's.
    saved_head: Option<RewardHead>,
    /// Its directory; none for an adapter that is new.
    path: Option<PathBuf>,
}

impl AdapterDir {
    /// Whether the directory holds an adapter.
    pub(crate) fn is_at(path: &Path) -> bool {
        path.join(ADAPTER_CONFIG).is_file()
    }

    /// Reads the settings of the adapter in a directory.
    ///
    /// # Errors
    /// Settings that are wrong, or whose effect is not known here.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = path.join(ADAPTER_CONFIG);
        let Stored { config, base, revision, is_classifier, json } = json::read(&file, read_json(&file)?)?;
        let head = match (is_classifier, &json[HEAD]) {
            (false, _) => None,
            (true, Value::Null) => Some(RewardHead::Linear),
            (true, head) => match head["hidden_size"].as_u64() {
                Some(hidden_size @ 1..=RewardHead::WIDEST) => {
                    Some(RewardHead::Mlp { hidden_size: hidden_size as usize })
                }
                _ => {
                    let found = align_text::shortened(&head.to_string(), SHOWN);
                    return Err(Error::invalid(
                        file,
                        format!("`{HEAD}`: expected a `hidden_size`, found {found}"),
                    ));
                }
            },
        };
        let quantised = Quantisation::from_json(&json[QUANTISED]).map_err(|expected| {
            let found = align_text::shortened(&json[QUANTISED].to_string(), SHOWN);
            Error::invalid(file, format!("`{QUANTISED}`: expected {expected}, found {found}"))
        })?;
        Ok(Self { config, base, revision, quantised, head, saved_head: head, path: Some(path.to_owned()) })
    }

    /// A new adapter for the base of that name.
    pub(crate) fn new(config: &LoraConfig, base: &str, revision: Option<&str>) -> Self {
        let (base, revision) = (base.to_owned(), revision.map(str::to_owned));
        Self {
            config: config.clone(),
            base,
            revision,
            quantised: None,
            head: None,
            saved_head: None,
            path: None,
        }
    }

    /// True for an adapter that was trained before.
    pub(crate) fn is_saved(&self) -> bool {
        self.path.is_some()
    }

    /// The names and parameters of its tensors.
    pub(crate) fn tensors(&self, decoder: &DecoderConfig) -> Result<AdapterTensors> {
        decoder.adapter_tensors(&self.config, self.head)
    }

    /// Its parameters: as they were saved, or as a new adapter starts over `base`. Of `whole` modules those that are new
    /// start as they are there.
    ///
    /// # Errors
    /// A file that is missing or damaged; tensors that the settings do not account for, or of other shapes.
    pub(crate) fn load(
        &self,
        decoder: &DecoderConfig,
        base: &Params,
        seed: u64,
        device: &Device,
    ) -> Result<BTreeMap<String, Tensor>> {
        let table = self.tensors(decoder)?;
        let Some(path) = &self.path else {
            let mut tensors = start::start(decoder, &self.config, &table.low_rank, base, (seed, device))?;
            if let Some(head) = self.head {
                tensors.extend(head.random_weights(decoder, seed, device)?);
            }
            for param in table.whole.iter().flat_map(|tensor| &tensor.params) {
                let blocks = base.blocks().find(|(name, _)| *name == param.name);
                if let Some(own) = base.get(&param.name) {
                    tensors.insert(param.name.clone(), own.tensor().detach());
                } else if let Some((_, blocks)) = blocks {
                    tensors.insert(param.name.clone(), blocks.dense(device)?);
                }
            }
            return Ok(tensors);
        };
        let file = path.join(ADAPTER);
        if !file.is_file() {
            let problem = format!(
                "has {ADAPTER_CONFIG} and no {ADAPTER}; adapters in other formats must be converted first"
            );
            return Err(Error::invalid(path, problem));
        }
        let all = decoder.adapter_tensors(&self.config, self.saved_head)?.all();
        let copies = match decoder.changes_vocabulary() {
            true => decoder.base_copies(),
            false => Vec::new(),
        };
        let ignored: Vec<&str> = copies.iter().map(|(copy, _)| copy.as_str()).collect();
        let reading = Reading {
            dir: path,
            table: &all,
            by: ADAPTER_CONFIG,
            ignored: &ignored,
            quantise: None,
            half: None,
            device,
        };
        let mut tensors = reading.of_files(std::slice::from_ref(&file))?.tensors;
        check_copies(&file, &copies, decoder, base)?;
        if let (None, Some(head)) = (self.saved_head, self.head) {
            tensors.extend(head.random_weights(decoder, seed, device)?);
        }
        Ok(tensors)
    }

    /// Another model with a new adapter of these settings.
    pub(crate) fn added(
        &self,
        config: &DecoderConfig,
        params: &Params,
        seed: u64,
        device: &Device,
    ) -> Result<(DecoderConfig, Params)> {
        let config = config.with_adapter(&self.config)?;
        config.check_without_head()?;
        let tensors =
            start::start(&config, &self.config, &config.low_rank_tensors(), params, (seed, device))?;
        Ok((config, params.overlaid(&Params::frozen(&tensors))))
    }

    /// Writes settings and tensors into a directory that nobody reads from yet; the base was `quantised` on loading.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(crate) fn save(
        &self,
        decoder: &DecoderConfig,
        params: &Params,
        quantised: Option<Quantisation>,
        dir: &Path,
    ) -> Result<()> {
        weights::save_only(params, &self.tensors(decoder)?.all(), &dir.join(ADAPTER))?;
        let task_type = if self.head.is_some() { "SEQ_CLS" } else { "CAUSAL_LM" };
        let (base, revision) = (self.base.as_str(), self.revision.as_deref());
        let mut config = self.config.clone();
        if self.head.is_some() {
            // PEFT adds both names to the settings of every classifier.
            for name in ["classifier", "score"].map(str::to_owned) {
                if !config.modules_to_save.contains(&name) {
                    config.modules_to_save.push(name);
                }
            }
        }
        let mut json = json::written(&config, base, revision, task_type, &decoder.adapted_modules());
        if let Some(RewardHead::Mlp { hidden_size }) = self.head {
            json[HEAD] = json!({ "type": "mlp", "hidden_size": hidden_size });
        }
        if let Some(quantised) = quantised {
            json[QUANTISED] = quantised.to_json();
        }
        write_json(&dir.join(ADAPTER_CONFIG), &json)
    }
}

/// Refuses an adapter that was saved with another embedding or head than its base has: PEFT puts a copy beside adapters of
/// these.
fn check_copies(
    file: &Path,
    copies: &[(String, String)],
    decoder: &DecoderConfig,
    base: &Params,
) -> Result<()> {
    let shape = [decoder.vocab, decoder.hidden];
    for (copy, name) in copies {
        let own = if decoder.tied_embeddings { weight(&decoder.embedding) } else { name.clone() };
        // Weights in blocks are near it, and no more.
        let Some(own) = base.get(&own) else { continue };
        let Some(copy) = weights::values_of(file, copy, &shape)? else { continue };
        let own = own.tensor().detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        if own != copy {
            return Err(Error::invalid(
                file,
                format!(
                    "was saved over another `{name}` than the base has; expected the base that it was trained over"
                ),
            ));
        }
    }
    Ok(())
}
