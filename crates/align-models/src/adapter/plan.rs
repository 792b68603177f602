//! An adapter in the plan of a decoder: which linear layers have one, and what their tensors are called.

use std::collections::BTreeSet;

use super::targets::{Targets, is_end};
use super::{LoraConfig, LoraStart, Modules};
use crate::plan::{Init, LinearPlan, StoredParam, StoredTensor, weight};
use crate::{DecoderConfig, Error, Result, RewardHead};

/// What PEFT puts before the names of a model's modules.
const PREFIX: &str = "base_model.model.";

/// The adapter of a linear layer.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterPlan {
    /// The module on disk, whose parts have A in common.
    pub module: String,
    /// The rank.
    pub rank: usize,
    /// The factor of the product of A and B.
    pub scale: f64,
    /// The probability with which an element of the input is dropped in training.
    pub dropout: f64,
    /// Whether B has a bias.
    pub bias: bool,
    /// Whether there are DoRA's magnitudes.
    pub magnitude: bool,
    /// Whether a second product stays beside the one that is trained.
    pub offset: bool,
}

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

pub(crate) fn bias_of_b(module: &str) -> String {
    format!("{module}.lora_B.bias")
}

pub(crate) fn magnitude(module: &str) -> String {
    format!("{module}.lora_magnitude_vector")
}

impl DecoderConfig {
    /// The same decoder with an adapter at the modules that the settings name.
    ///
    /// # Errors
    /// Settings that make no sense; a target that is no module, with the nearest that is; a rank larger than the weight.
    pub fn with_adapter(&self, config: &LoraConfig) -> Result<Self> {
        check(config)?;
        let targets = Targets::new(config)?;
        let mut with = self.clone();
        let mut adapted = BTreeSet::new();
        for linear in with.linears_mut() {
            let module = linear.module().to_owned();
            linear.adapter = None;
            if !targets.has(&module, true) {
                continue;
            }
            let (rank, alpha) = targets.rank_and_alpha(&module);
            if rank == 0 || rank > linear.inputs.min(linear.outputs) {
                let (outputs, inputs) = (linear.outputs, linear.inputs);
                return Err(Error::Config(format!(
                    "lora_r: expected a rank from 1 to {} for `{}`, whose weight is [{outputs}, {inputs}], found {rank}",
                    inputs.min(outputs),
                    linear.name
                )));
            }
            adapted.insert(module.clone());
            linear.adapter = Some(AdapterPlan {
                module,
                rank,
                scale: config.scale(rank, alpha),
                dropout: config.lora_dropout,
                bias: config.lora_bias,
                magnitude: config.use_dora,
                offset: config.init_lora_weights == LoraStart::Pissa,
            });
        }
        with.check_targets(config, &adapted)?;
        Ok(with)
    }

    /// Whether a linear layer has an adapter.
    pub fn has_adapter(&self) -> bool {
        self.linears().any(|linear| linear.adapter.is_some())
    }

    /// The tensors of the adapter, as PEFT calls them, and those of `modules_to_save`; `head` is the reward head, if there
    /// is one, which is always saved.
    pub(crate) fn adapter_tensors(
        &self,
        config: &LoraConfig,
        head: Option<RewardHead>,
    ) -> Result<AdapterTensors> {
        Ok(AdapterTensors { low_rank: self.low_rank_tensors(), whole: self.whole_tensors(config, head)? })
    }

    /// Those of the adapter alone.
    pub(crate) fn low_rank_tensors(&self) -> Vec<StoredTensor> {
        let mut low_rank: Vec<StoredTensor> = Vec::new();
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

    /// Refuses names that chose nothing, and a choice of nothing.
    fn check_targets(&self, config: &LoraConfig, adapted: &BTreeSet<String>) -> Result<()> {
        if let Modules::Names(names) = &config.target_modules {
            let known = |name: &&String| !self.linears().any(|linear| is_end(linear.module(), name));
            if let Some(unknown) = names.iter().find(known) {
                return Err(Error::Config(self.no_such_module("lora_target_modules", unknown)));
            }
        }
        if adapted.is_empty() {
            let modules = align_text::shortened(&config.target_modules.to_string(), crate::error::SHOWN);
            return Err(Error::Config(format!(
                "lora_target_modules: no linear module of the model fits `{modules}`; there are {}",
                self.leaf_names()
            )));
        }
        Ok(())
    }

    fn no_such_module(&self, option: &str, name: &str) -> String {
        let shown = align_text::shortened(name, crate::error::SHOWN);
        format!("{option}: the model has no linear module `{shown}`; there are {}", self.leaf_names())
    }

    /// The last parts of the linear modules' names.
    fn leaf_names(&self) -> String {
        let leaf = |linear: &LinearPlan| linear.module().rsplit('.').next().unwrap_or_default().to_owned();
        let mut leaves = Vec::new();
        for leaf in self.linears().map(leaf) {
            if !leaves.contains(&leaf) {
                leaves.push(leaf);
            }
        }
        leaves.join(", ")
    }

    /// The modules that have an adapter, by the last parts of their names where these name no other module; else by the
    /// whole names.
    pub(crate) fn adapted_modules(&self) -> Vec<String> {
        let leaf = |module: &str| module.rsplit('.').next().unwrap_or_default().to_owned();
        let others: BTreeSet<String> =
            self.linears().filter(|it| it.adapter.is_none()).map(|it| leaf(it.module())).collect();
        let mut names = Vec::new();
        for linear in self.linears().filter(|linear| linear.adapter.is_some()) {
            let leaf = leaf(linear.module());
            let name = if others.contains(&leaf) { linear.module().to_owned() } else { leaf };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn linears_mut(&mut self) -> impl Iterator<Item = &mut LinearPlan> {
        self.layers.iter_mut().flat_map(|layer| {
            let (attention, mlp) = (&mut layer.attention, &mut layer.mlp);
            let first =
                [&mut attention.query, &mut attention.key, &mut attention.value, &mut attention.output];
            first.into_iter().chain([&mut mlp.gate, &mut mlp.up, &mut mlp.down])
        })
    }
}

fn check(config: &LoraConfig) -> Result<()> {
    let wrong = |problem: &str| Err(Error::Config(problem.to_owned()));
    if !(0.0..1.0).contains(&config.lora_dropout) {
        return Err(Error::Config(format!(
            "lora_dropout: expected 0 ≤ p < 1, found {}",
            config.lora_dropout
        )));
    }
    if !config.lora_alpha.is_finite() || config.lora_alpha == 0.0 {
        return Err(Error::Config(format!(
            "lora_alpha: expected a number other than 0, which would switch the adapter off, found {}",
            config.lora_alpha
        )));
    }
    if config.use_dora && config.lora_bias {
        return wrong(
            "lora_bias: has no place in DoRA, whose magnitudes are those of weights; leave out one of both",
        );
    }
    if config.use_dora && config.init_lora_weights == LoraStart::Pissa {
        return wrong(
            "init_lora_weights: pissa is taken off again by an offset, of which DoRA's magnitudes know nothing; leave out one \
             of both",
        );
    }
    Ok(())
}

impl LinearPlan {
    /// The module that holds the layer on disk.
    pub(crate) fn module(&self) -> &str {
        self.fused_in.as_deref().unwrap_or(&self.name)
    }

    /// Name of the weight's parameter.
    pub(crate) fn weight(&self) -> String {
        weight(&self.name)
    }
}
