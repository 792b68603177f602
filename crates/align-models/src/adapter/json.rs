//! `adapter_config.json`: PEFT's settings of an adapter, read and written.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{LoraConfig, LoraStart, Modules};
use crate::error::SHOWN;
use crate::{Error, Result};

/// The version of PEFT whose keys are written.
const PEFT_VERSION: &str = "0.21.2";

/// Keys whose value must be the one that says "not used": each changes what an adapter computes.
const UNUSED: [&str; 16] = [
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "use_bdlora",
    "use_qalora",
    "velora_config",
    "fan_in_fan_out",
    "ensure_weight_tying",
    "corda_config",
    "eva_config",
    "lora_ga_config",
    "loftq_config",
];

/// Our own key: the settings of an adapter that began with PiSSA, of which the others are those of the ordinary one that it was
/// saved as. PEFT leaves it aside.
const PISSA: &str = "pissa";

/// The settings and the base that a file names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) config: LoraConfig,
    pub(super) base: String,
    pub(super) revision: Option<String>,
    pub(super) is_classifier: bool,
    /// The file as it is: what is saved again keeps what it says beside the settings.
    pub(super) json: Value,
}

/// Reads `adapter_config.json`.
///
/// # Errors
/// What is no LoRA adapter; a setting that is wrong, or whose effect is not known here.
pub(super) fn read(path: &Path, json: Value) -> Result<Stored> {
    let file = File { path, json: &json };
    match json["peft_type"].as_str() {
        Some("LORA") => {}
        _ => return file.wrong("peft_type", "\"LORA\""),
    }
    if let Some(name) = UNUSED.iter().find(|name| is_used(&json[**name])) {
        return Err(Error::invalid(path, format!("`{name}`: adapters that use it are not supported")));
    }
    match json["bias"].as_str() {
        None | Some("none") => {}
        _ => {
            return file.wrong("bias", "\"none\"; biases that are trained with an adapter are not supported");
        }
    }
    // With these the base was changed when the adapter began, so that the adapter does not fit the base on disk.
    let start = &json["init_lora_weights"];
    let changed = ["pissa", "olora", "corda", "loftq", "lora_ga"];
    if let Some(start) =
        start.as_str().filter(|start| changed.iter().any(|it| start.to_lowercase().starts_with(it)))
    {
        let start = align_text::shortened(start, SHOWN);
        return Err(Error::invalid(
            path,
            format!(
                "`init_lora_weights` is `{start}`, which changes the base: save it with PEFT's \
                 `path_initial_model_for_weight_conversion`, which makes an ordinary adapter of it"
            ),
        ));
    }
    let base = json["base_model_name_or_path"].as_str().unwrap_or_default();
    if base.is_empty() {
        return file
            .wrong("base_model_name_or_path", "the name or path of the model that the adapter is for");
    }
    let mut config = LoraConfig {
        r: file.whole("r", 8)?,
        lora_alpha: file.number("lora_alpha", 8.0)?,
        lora_dropout: file.number("lora_dropout", 0.0)?,
        use_rslora: file.flag("use_rslora")?,
        use_dora: file.flag("use_dora")?,
        lora_bias: file.flag("lora_bias")?,
        target_modules: match file.modules("target_modules")? {
            Some(modules) => modules,
            None => return file.wrong("target_modules", "the names of modules"),
        },
        exclude_modules: file.modules("exclude_modules")?,
        layers_to_transform: file.list("layers_to_transform", |it| it.as_u64().map(|it| it as usize))?,
        layers_pattern: file.list("layers_pattern", |it| it.as_str().map(str::to_owned))?,
        rank_pattern: file.ranks()?,
        alpha_pattern: file.alphas()?,
        modules_to_save: file.list("modules_to_save", |it| it.as_str().map(str::to_owned))?,
        trainable_token_indices: file.tokens("trainable_token_indices")?,
        init_lora_weights: LoraStart::Uniform,
    };
    if !json[PISSA].is_null() {
        let own = File { path, json: &json[PISSA] };
        (config.rank_pattern, config.alpha_pattern) = (own.ranks()?, own.alphas()?);
        (config.r, config.lora_alpha) = (own.whole("r", 8)?, own.number("lora_alpha", 8.0)?);
        config.init_lora_weights = LoraStart::Pissa;
    }
    let revision = json["revision"].as_str().map(str::to_owned);
    let is_classifier = json["task_type"].as_str() == Some("SEQ_CLS");
    Ok(Stored { config, base: base.to_owned(), revision, is_classifier, json })
}

/// The file of an adapter of these settings. `all_linear` are the modules that `all-linear` stands for, which not every reader
/// knows.
pub(super) fn written(
    config: &LoraConfig,
    base: &str,
    revision: Option<&str>,
    task_type: &str,
    all_linear: &[String],
) -> Value {
    let names = |modules: &Modules| match modules {
        Modules::Names(names) => json!(names),
        Modules::AllLinear | Modules::Pattern(_) => json!(modules.to_string()),
    };
    let list = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
    let own = config;
    let config = &own.portable();
    let targets = match &config.target_modules {
        Modules::AllLinear => json!(all_linear),
        modules => names(modules),
    };
    let (layers, tokens) = (&config.layers_to_transform, &config.trainable_token_indices);
    let mut json = json!({
        "alora_invocation_tokens": null,
        "alpha_pattern": alphas(config),
        "arrow_config": null,
        "auto_mapping": null,
        "base_model_name_or_path": base,
        "bias": "none",
        "corda_config": null,
        "ensure_weight_tying": false,
        "eva_config": null,
        "exclude_modules": config.exclude_modules.as_ref().map(names),
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": match config.init_lora_weights {
            LoraStart::Gaussian => json!("gaussian"),
            LoraStart::Uniform | LoraStart::Pissa => json!(true),
        },
        "kasa_config": null,
        "layer_replication": null,
        "layers_pattern": list(&config.layers_pattern),
        "layers_to_transform": if layers.is_empty() { Value::Null } else { json!(layers) },
        "loftq_config": {},
        "lora_alpha": number(config.lora_alpha),
        "lora_bias": config.lora_bias,
        "lora_dropout": config.lora_dropout,
        "lora_ga_config": null,
        "megatron_config": null,
        "megatron_core": "megatron.core",
        "modules_to_save": list(&config.modules_to_save),
        "monteclora_config": null,
        "peft_type": "LORA",
        "peft_version": PEFT_VERSION,
        "qalora_group_size": 16,
        "r": config.r,
        "rank_pattern": ranks(config),
        "revision": revision,
        "target_modules": targets,
        "target_parameters": null,
        "task_type": task_type,
        "trainable_token_indices": if tokens.is_empty() { Value::Null } else { json!(tokens) },
        "use_bdlora": null,
        "use_dora": config.use_dora,
        "use_qalora": false,
        "use_rslora": config.use_rslora,
        "velora_config": null
    });
    if own.init_lora_weights == LoraStart::Pissa {
        json[PISSA] = json!({
            "r": own.r, "lora_alpha": own.lora_alpha, "rank_pattern": ranks(own), "alpha_pattern": alphas(own),
        });
    }
    json
}

fn ranks(config: &LoraConfig) -> Value {
    config.rank_pattern.iter().map(|(it, rank)| (it.clone(), json!(rank))).collect::<Map<_, _>>().into()
}

fn alphas(config: &LoraConfig) -> Value {
    config.alpha_pattern.iter().map(|(it, alpha)| (it.clone(), number(*alpha))).collect::<Map<_, _>>().into()
}

/// As PEFT writes it: whole where it is whole.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// Whether a value says more than "not used".
fn is_used(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

/// The fields of a file.
struct File<'a> {
    path: &'a Path,
    json: &'a Value,
}

impl File<'_> {
    fn wrong<T>(&self, field: &str, expected: &str) -> Result<T> {
        let found = align_text::shortened(&self.json[field].to_string(), SHOWN);
        Err(Error::invalid(self.path, format!("`{field}`: expected {expected}, found {found}")))
    }

    fn whole(&self, field: &str, default: usize) -> Result<usize> {
        match &self.json[field] {
            Value::Null => Ok(default),
            value => match value.as_u64().and_then(|value| usize::try_from(value).ok()) {
                Some(value @ 1..) => Ok(value),
                _ => self.wrong(field, "a number from 1 on"),
            },
        }
    }

    fn number(&self, field: &str, default: f64) -> Result<f64> {
        match &self.json[field] {
            Value::Null => Ok(default),
            value => value.as_f64().map_or_else(|| self.wrong(field, "a number"), Ok),
        }
    }

    fn flag(&self, field: &str) -> Result<bool> {
        match &self.json[field] {
            Value::Null => Ok(false),
            value => value.as_bool().map_or_else(|| self.wrong(field, "true or false"), Ok),
        }
    }

    fn modules(&self, field: &str) -> Result<Option<Modules>> {
        Ok(match &self.json[field] {
            Value::Null => None,
            Value::String(text) if text.to_lowercase() == "all-linear" => Some(Modules::AllLinear),
            Value::String(text) => Some(Modules::Pattern(text.clone())),
            _ => Some(Modules::Names(self.list(field, |it| it.as_str().map(str::to_owned))?)),
        })
    }

    /// Tokens of the embedding: a list, or one by the embedding's name.
    fn tokens(&self, field: &str) -> Result<Vec<u32>> {
        let list = match &self.json[field] {
            Value::Object(by_name) => match by_name.iter().collect::<Vec<_>>().as_slice() {
                [] => return Ok(Vec::new()),
                [(name, list)] if name.rsplit('.').next() == Some("embed_tokens") => list,
                _ => return self.wrong(field, "tokens of `embed_tokens` alone"),
            },
            list => list,
        };
        self.entries(field, list, |it| it.as_u64().and_then(|it| it.try_into().ok()))
    }

    fn ranks(&self) -> Result<Vec<(String, usize)>> {
        self.pattern("rank_pattern", |it| it.as_u64().map(|it| it as usize))
    }

    fn alphas(&self) -> Result<Vec<(String, f64)>> {
        self.pattern("alpha_pattern", Value::as_f64)
    }

    /// A list, or one of its entries alone.
    fn list<T>(&self, field: &str, entry: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
        self.entries(field, &self.json[field], entry)
    }

    fn entries<T>(&self, field: &str, list: &Value, entry: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
        let entries = match list {
            Value::Null => return Ok(Vec::new()),
            Value::Array(entries) => entries.as_slice(),
            only => std::slice::from_ref(only),
        };
        let read: Option<Vec<T>> = entries.iter().map(entry).collect();
        read.map_or_else(|| self.wrong(field, "a list"), Ok)
    }

    fn pattern<T>(&self, field: &str, entry: impl Fn(&Value) -> Option<T>) -> Result<Vec<(String, T)>> {
        let entries = match &self.json[field] {
            Value::Null => return Ok(Vec::new()),
            Value::Object(entries) => entries,
            _ => return self.wrong(field, "values by the names of modules"),
        };
        let read: Option<Vec<_>> =
            entries.iter().map(|(name, value)| Some((name.clone(), entry(value)?))).collect();
        read.map_or_else(|| self.wrong(field, "values by the names of modules"), Ok)
    }
}
