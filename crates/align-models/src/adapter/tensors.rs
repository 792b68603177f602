//! The tensors of an adapter, as PEFT calls them.

use std::collections::BTreeSet;

use super::{AdapterPlan, LoraConfig};
use crate::plan::{Init, StoredParam, StoredTensor, weight};
use crate::{DecoderConfig, Error, Result, RewardHead};

/// What PEFT puts before the names of a model's modules.
const PREFIX: &str = "base_model.model.";

/// The tensors of an adapter beside its base.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AdapterTensors {
    /// Of the adapters themselves.
    pub(crate) low_rank: Vec<StoredTensor>,
    /// Of modules that are saved whole.
    pub(crate) whole: Vec<StoredTensor>,
}

impl AdapterTensors {
    /// All of them, in the order of the file.
    pub(crate) fn all(self) -> Vec<StoredTensor> {
        [self.low_rank, self.whole].concat()
    }
}

impl AdapterPlan {
    pub(crate) fn a(&self) -> String {
        format!("{}.lora_A.weight", self.module)
    }

    pub(crate) fn offset_a(&self) -> String {
        format!("{}.lora_A{OFFSET}", self.module)
    }
}

/// What the names of an offset's parameters end with.
const OFFSET: &str = ".offset";

/// Whether the parameter of an adapter is never trained.
pub(crate) fn is_offset(name: &str) -> bool {
    name.ends_with(OFFSET)
}

pub(crate) fn offset_b(module: &str) -> String {
    format!("{module}.lora_B{OFFSET}")
}

pub(crate) fn b(module: &str) -> String {
    format!("{module}.lora_B.weight")
}

/// A `[rank, vocab]` and B `[hidden, rank]` of an embedding.
pub(crate) fn embedding_a_and_b(module: &str) -> [String; 2] {
    ["A", "B"].map(|which| format!("{module}.lora_embedding_{which}"))
}

/// Whether it is B of an embedding, which begins normal where A begins as 0.
pub(super) fn is_of_embedding(name: &str) -> bool {
    name.ends_with(".lora_embedding_B")
}

/// The rows of tokens that are trained, which PEFT calls a difference and are not.
pub(crate) fn trained_tokens(module: &str) -> String {
    format!("{module}.token_adapter.trainable_tokens_delta")
}

pub(crate) fn bias_of_b(module: &str) -> String {
    format!("{module}.lora_B.bias")
}

pub(crate) fn magnitude(module: &str) -> String {
    format!("{module}.lora_magnitude_vector")
}

impl DecoderConfig {
    /// The tensors of the adapter, as PEFT calls them, and those of `modules_to_save`; `head` is the reward head, if there
    /// is one, which is always saved.
    pub(crate) fn adapter_tensors(
        &self,
        config: &LoraConfig,
        head: Option<RewardHead>,
    ) -> Result<AdapterTensors> {
        if head.is_some() {
            self.check_without_head()?;
        }
        Ok(AdapterTensors { low_rank: self.low_rank_tensors(), whole: self.whole_tensors(config, head)? })
    }

    /// Refuses an adapter of the language-model head, for models that have none: nothing would train it.
    pub(super) fn check_without_head(&self) -> Result<()> {
        match &self.head.adapter {
            None => Ok(()),
            Some(plan) => Err(Error::Config(format!(
                "lora_target_modules: a reward model has no `{}`; leave it out",
                plan.module
            ))),
        }
    }

    /// Those of the adapter alone.
    pub(crate) fn low_rank_tensors(&self) -> Vec<StoredTensor> {
        let mut low_rank = self.vocabulary_tensors();
        for linear in self.linears() {
            let Some(plan) = &linear.adapter else { continue };
            let mut add = |what: &str, names: Vec<String>, shape: &[usize], beside: usize, init: Init| {
                let name = format!("{PREFIX}{}.{what}", plan.module);
                let param = |name| StoredParam { name, shape: shape.to_vec(), init };
                let params: Vec<_> = names.into_iter().map(param).collect();
                match low_rank.iter_mut().find(|tensor| tensor.name == name) {
                    // A is held in common by the parts of a fused module; of the others each has its own rows.
                    Some(tensor) if tensor.params[0].name == params[0].name => {}
                    Some(tensor) => tensor.params.extend(params),
                    None => low_rank.push(StoredTensor { name, params, columns: beside, is_linear: false }),
                }
            };
            let with = |own: String, offset: String| {
                [own].into_iter().chain(plan.offset.then_some(offset)).collect::<Vec<_>>()
            };
            let (a, b) = (with(plan.a(), plan.offset_a()), with(b(&linear.name), offset_b(&linear.name)));
            let products = b.len();
            add("lora_A.weight", a, &[plan.rank, linear.inputs], 1, Init::Normal);
            add("lora_B.weight", b, &[linear.outputs, plan.rank], products, Init::Zeros);
            if plan.bias {
                add("lora_B.bias", vec![bias_of_b(&linear.name)], &[linear.outputs], 1, Init::Zeros);
            }
            if plan.magnitude {
                add("lora_magnitude_vector", vec![magnitude(&linear.name)], &[linear.outputs], 1, Init::Ones);
            }
        }
        low_rank
    }

    /// Those at the embedding and the head.
    fn vocabulary_tensors(&self) -> Vec<StoredTensor> {
        let stored = |name: String, shape: [usize; 2], init: Init| StoredTensor {
            name: format!("{PREFIX}{name}"),
            params: vec![StoredParam { name, shape: shape.to_vec(), init }],
            columns: 1,
            is_linear: false,
        };
        let (vocab, hidden) = (self.vocab, self.hidden);
        let mut tensors = Vec::new();
        if let Some(plan) = &self.head.adapter {
            tensors.push(stored(plan.a(), [plan.rank, hidden], Init::Normal));
            tensors.push(stored(b(&plan.module), [vocab, plan.rank], Init::Zeros));
        }
        if let Some(plan) = &self.embedding_adapter {
            let [a, b] = embedding_a_and_b(&plan.module);
            tensors.push(stored(a, [plan.rank, vocab], Init::Zeros));
            tensors.push(stored(b, [hidden, plan.rank], Init::Normal));
        }
        if !self.trained_tokens.is_empty() {
            tensors.push(stored(
                trained_tokens(&self.embedding),
                [self.trained_tokens.len(), hidden],
                Init::Zeros,
            ));
        }
        tensors
    }

    /// Tensors of the base that PEFT saves beside adapters of embedding and head, by the names of the base's own.
    pub(crate) fn base_copies(&self) -> Vec<(String, String)> {
        let copies = [&self.embedding, &self.head.name];
        copies.map(|module| (format!("{PREFIX}{module}.base_layer.weight"), weight(module))).into()
    }

    /// The names of the adapter's own parameters.
    pub(crate) fn low_rank_names(&self) -> BTreeSet<String> {
        self.low_rank_tensors().into_iter().flat_map(|tensor| tensor.params).map(|param| param.name).collect()
    }

    fn whole_tensors(&self, config: &LoraConfig, head: Option<RewardHead>) -> Result<Vec<StoredTensor>> {
        let own = match head {
            None => self.tensors(),
            Some(_) => self.backbone_tensors(),
        };
        let mut whole = Vec::new();
        for module in &config.modules_to_save {
            let is_part = |tensor: &&StoredTensor| {
                let (owner, _) = tensor.name.rsplit_once('.').unwrap_or((&tensor.name, ""));
                let mut above = Some(owner);
                std::iter::from_fn(|| {
                    let here = above?;
                    above = here.rsplit_once('.').map(|(above, _)| above);
                    Some(here)
                })
                .any(|here| here.ends_with(module.as_str())) // PEFT asks for no dot here
            };
            let parts: Vec<_> = own.iter().filter(is_part).cloned().collect();
            if self.tied_embeddings && parts.iter().any(|part| part.name == weight(&self.embedding)) {
                return Err(Error::Config(format!(
                    "modules_to_save: `{module}` is also the head of this model (tied embeddings), of which PEFT would leave a \
                     copy behind; leave it out"
                )));
            }
            let is_head = head.is_some() && ["score", "classifier"].contains(&module.as_str());
            if parts.is_empty() && !is_head {
                return Err(Error::Config(self.no_such_module("modules_to_save", module)));
            }
            whole.extend(parts.into_iter().filter(|part| !whole.contains(part)).collect::<Vec<_>>());
        }
        let shapes = head.map(|head| head.weight_shapes(self.hidden)).into_iter().flatten();
        whole.extend(shapes.map(|(name, shape)| StoredTensor::alone(name, &shape, Init::Normal)));
        whole.iter_mut().for_each(|tensor| tensor.name = format!("{PREFIX}{}", tensor.name));
        Ok(whole)
    }
}
