//! Reward models on disk: transformers' `…ForSequenceClassification` with one label, or a language model that
//! becomes one.

use std::path::Path;

use align_kernels::{Param, Params};
use candle_core::{Device, Tensor};
use serde_json::json;

use crate::error::SHOWN;
use crate::model_dir::{read_json, write_json};
use crate::plan::{Init, StoredTensor, weight};
use crate::{Error, ModelDir, Result, RewardHead};

/// The token that batches are padded with. transformers takes a row's last token that is not this one for its
/// answer's end, so it must never be one that answers end with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PadToken {
    /// The token's text, as the tokenizer's files write it.
    pub text: String,
    /// Its token id.
    pub id: u32,
}

const CLASSIFIER: &str = "ForSequenceClassification";
/// Our own key of `config.json`: the head, where it is not transformers' linear one.
const HEAD: &str = "reward_head";

impl ModelDir {
    /// The head of the model in this directory; none if it is a language model.
    ///
    /// # Errors
    /// A classifier of more or fewer labels than one, a head of an unknown kind.
    pub fn reward_head(&self) -> Result<Option<RewardHead>> {
        if let Some(adapter) = self.adapter() {
            return Ok(adapter.head);
        }
        let config = self.json();
        let architecture = config["architectures"][0].as_str().unwrap_or_default();
        if !architecture.ends_with(CLASSIFIER) {
            return Ok(None);
        }
        let wrong = |problem: String| Err(Error::invalid(self.path().join("config.json"), problem));
        let labels = config["id2label"].as_object().map(serde_json::Map::len);
        let labels = labels.or_else(|| usize::try_from(config["num_labels"].as_u64()?).ok());
        match labels {
            Some(1) => {}
            found => {
                // Two labels are transformers' default where the file names none.
                let found = found.unwrap_or(2);
                return wrong(format!("is a classifier of {found} labels; a reward model has one"));
            }
        }
        let head = &config[HEAD];
        match (head["type"].as_str(), head["hidden_size"].as_u64()) {
            _ if head.is_null() => Ok(Some(RewardHead::Linear)),
            (Some("mlp"), Some(hidden_size @ 1..=RewardHead::WIDEST)) => {
                Ok(Some(RewardHead::Mlp { hidden_size: hidden_size as usize }))
            }
            _ => {
                let most = RewardHead::WIDEST;
                let found = align_text::shortened(&head.to_string(), SHOWN);
                wrong(format!(
                    "`{HEAD}`: expected {{\"type\": \"mlp\", \"hidden_size\": N}} with N from 1 to {most}, found {found}"
                ))
            }
        }
    }

    /// Backbone and head in f32 on `device`, frozen, and which head it is. A saved reward model keeps the head it
    /// has; a language model, whose own head is left out, gets an untrained one: what was `asked` for, else the
    /// linear one.
    ///
    /// # Errors
    /// As [`ModelDir::load`]; another head than was asked for.
    pub fn load_reward_model(
        &self,
        asked: Option<RewardHead>,
        seed: u64,
        device: &Device,
    ) -> Result<(RewardHead, Params)> {
        let head = self.head_of(asked)?;
        if self.is_adapter() {
            let own = self.with_adapter_head(head);
            let frozen = |tensor: &Tensor| Ok(Param::frozen(tensor));
            return Ok((head, own.over(own.load_backbone(device)?, seed, device, frozen)?));
        }
        let config = self.decoder_config();
        if self.reward_head()?.is_none() {
            let drawn = head.random_weights(config, seed, device)?;
            return Ok((head, self.load_backbone(device)?.overlaid(&Params::frozen(&drawn))));
        }
        let shapes = head.weight_shapes(config.hidden).into_iter();
        let own = shapes.map(|(name, shape)| StoredTensor::alone(name, &shape, Init::Normal));
        Ok((head, self.load_with(own.collect(), &[], device)?))
    }

    /// The head that the model has or gets.
    pub(crate) fn head_of(&self, asked: Option<RewardHead>) -> Result<RewardHead> {
        let saved = self.reward_head()?;
        if let (Some(saved), Some(asked)) = (saved, asked)
            && saved != asked
        {
            let problem = format!(
                "has {saved}, expected {asked}; leave the head's options out, or start from a \
                language model"
            );
            return Err(Error::invalid(self.path(), problem));
        }
        Ok(saved.or(asked).unwrap_or(RewardHead::Linear))
    }

    /// The weights of the base that are not a head's.
    pub(crate) fn load_backbone(&self, device: &Device) -> Result<Params> {
        let head = RewardHead::Linear.weight_shapes(0).into_iter().map(|(name, _)| name);
        let heads: Vec<String> = head.collect();
        let other = if self.is_adapter() { heads.as_slice() } else { &[] };
        self.load_with(Vec::new(), other, device)
    }

    fn load_with(&self, own: Vec<StoredTensor>, ignored: &[String], device: &Device) -> Result<Params> {
        let table = [self.on_disk().backbone_tensors(), own].concat();
        let head = weight(&self.decoder_config().head.name);
        let ignored: Vec<&str> = ignored.iter().chain([&head]).map(String::as_str).collect();
        self.read(&table, &ignored, device)
    }

    /// The same directory for a reward model with that head: [`ModelDir::save`] then writes what transformers'
    /// `AutoModelForSequenceClassification` needs to give the same scores to batches padded with `pad`.
    #[must_use]
    pub fn as_reward_model(&self, head: RewardHead, pad: PadToken) -> Self {
        let mut config = self.json().clone();
        let architecture = config["architectures"][0].as_str().unwrap_or("LlamaForCausalLM");
        let family = architecture.strip_suffix("ForCausalLM").unwrap_or(architecture);
        let family = family.strip_suffix(CLASSIFIER).unwrap_or(family).to_owned();
        config["architectures"] = json!([format!("{family}{CLASSIFIER}")]);
        config["id2label"] = json!({ "0": "LABEL_0" });
        config["label2id"] = json!({ "LABEL_0": 0 });
        // One that contradicted the labels would win in transformers.
        if config.get("num_labels").is_some() {
            config["num_labels"] = json!(1);
        }
        config["pad_token_id"] = json!(pad.id);
        if let RewardHead::Mlp { hidden_size } = head {
            config[HEAD] = json!({ "type": "mlp", "hidden_size": hidden_size });
        }
        self.with(config, pad).with_adapter_head(head)
    }
}

impl PadToken {
    /// Makes the tokenizer's files in a directory name it.
    pub(crate) fn name_in(&self, dir: &Path) -> Result<()> {
        let files = ["tokenizer_config.json", "special_tokens_map.json"];
        files.into_iter().try_for_each(|name| pad_with(&dir.join(name), self))
    }
}

/// Makes a tokenizer's file name the pad token, if it does not already.
fn pad_with(path: &Path, pad: &PadToken) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let mut json = read_json(path)?;
    let named = json["pad_token"].as_str().or_else(|| json["pad_token"]["content"].as_str());
    if named == Some(pad.text.as_str()) {
        return Ok(());
    }
    json["pad_token"] = json!(pad.text);
    write_json(path, &json)
}
