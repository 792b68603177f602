//! An adapter in the plan of a decoder: which modules have one.

use std::collections::BTreeSet;

use super::targets::{Targets, is_end};
use super::{LoraConfig, LoraStart, Modules};
use crate::plan::{LinearPlan, weight};
use crate::{DecoderConfig, Error, Result};

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
        let mut plan = |module: &str, name: &str, [outputs, inputs]: [usize; 2], is_linear| {
            if !targets.has(module, is_linear) {
                return Ok(None);
            }
            let (rank, alpha) = targets.rank_and_alpha(module);
            if rank == 0 || rank > inputs.min(outputs) {
                return Err(Error::Config(format!(
                    "lora_r: expected a rank from 1 to {} for `{name}`, whose weight is [{outputs}, {inputs}], found {rank}",
                    inputs.min(outputs)
                )));
            }
            adapted.insert(module.to_owned());
            Ok(Some(AdapterPlan {
                module: module.to_owned(),
                rank,
                scale: config.scale(rank, alpha),
                dropout: config.lora_dropout,
                bias: config.lora_bias,
                magnitude: config.use_dora,
                offset: config.init_lora_weights == LoraStart::Pissa,
            }))
        };
        for linear in with.linears_mut() {
            linear.adapter = plan(linear.module(), &linear.name, [linear.outputs, linear.inputs], true)?;
        }
        let shape = [self.vocab, self.hidden];
        with.embedding_adapter = plan(&self.embedding, &self.embedding, shape, false)?;
        with.head.adapter = plan(&self.head.name, &self.head.name, shape, false)?;
        with.trained_tokens.clone_from(&config.trainable_token_indices);
        with.check_targets(config, &adapted)?;
        with.check_vocabulary()?;
        Ok(with)
    }

    /// Whether a module has an adapter, or a token rows of its own.
    pub fn has_adapter(&self) -> bool {
        self.linears().any(|linear| linear.adapter.is_some()) || self.changes_vocabulary()
    }

    /// Whether the embedding or the head has an adapter, or a token rows of its own.
    pub(crate) fn changes_vocabulary(&self) -> bool {
        self.embedding_adapter.is_some() || self.head.adapter.is_some() || !self.trained_tokens.is_empty()
    }

    /// Refuses what is not possible at the embedding and the head, or would be lost there.
    fn check_vocabulary(&self) -> Result<()> {
        let wrong = |problem: String| Err(Error::Config(problem));
        let adapted = [&self.embedding_adapter, &self.head.adapter];
        if let Some(plan) = adapted.into_iter().flatten().next() {
            let option = [
                (plan.magnitude, "use_dora"),
                (plan.bias, "lora_bias"),
                (plan.offset, "init_lora_weights pissa"),
            ];
            if let Some((_, option)) = option.into_iter().find(|(given, _)| *given) {
                let module = &plan.module;
                return wrong(format!("{option}: has no place at `{module}`; leave one of both out"));
            }
        }
        if self.head.adapter.as_ref().is_some_and(|plan| plan.dropout > 0.0) {
            let head = &self.head.name;
            return wrong(format!("lora_dropout: has no place at `{head}`; leave one of both out"));
        }
        let tokens = &self.trained_tokens;
        if let Some(token) = tokens.iter().find(|token| **token as usize >= self.vocab) {
            let vocab = self.vocab;
            return wrong(format!("trainable_token_indices: expected tokens below {vocab}, found {token}"));
        }
        if let Some((_, token)) = tokens.iter().enumerate().find(|(at, token)| tokens[..*at].contains(token))
        {
            return wrong(format!("trainable_token_indices: token {token} is there twice"));
        }
        let also = self.embedding_adapter.is_some() || (self.tied_embeddings && self.head.adapter.is_some());
        if !tokens.is_empty() && also {
            let problem = "trainable_token_indices: the rows of these tokens would have an adapter as well; leave out one of both";
            return wrong(problem.to_owned());
        }
        Ok(())
    }

    /// Refuses names that chose nothing, and a choice of nothing.
    fn check_targets(&self, config: &LoraConfig, adapted: &BTreeSet<String>) -> Result<()> {
        if let Modules::Names(names) = &config.target_modules {
            let unknown = |name: &&String| !self.modules().any(|module| is_end(module, name));
            if let Some(unknown) = names.iter().find(unknown) {
                return Err(Error::Config(self.no_such_module("lora_target_modules", unknown)));
            }
        }
        if adapted.is_empty() {
            let modules = align_text::shortened(&config.target_modules.to_string(), crate::error::SHOWN);
            return Err(Error::Config(format!(
                "lora_target_modules: no module of the model fits `{modules}`; there are {}",
                self.leaf_names()
            )));
        }
        Ok(())
    }

    pub(super) fn no_such_module(&self, option: &str, name: &str) -> String {
        let shown = align_text::shortened(name, crate::error::SHOWN);
        format!("{option}: the model has no module `{shown}`; there are {}", self.leaf_names())
    }

    /// The modules that can have an adapter.
    fn modules(&self) -> impl Iterator<Item = &str> {
        self.linears().map(LinearPlan::module).chain([self.embedding.as_str(), &self.head.name])
    }

    /// The last parts of the modules' names.
    fn leaf_names(&self) -> String {
        let leaf = |module: &str| module.rsplit('.').next().unwrap_or_default().to_owned();
        let mut leaves = Vec::new();
        for leaf in self.modules().map(leaf) {
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
