//! An ordered set of named parameters.
//!
//! Ordered, because norms, updates and checkpoints walk it and their floating-point sums must come out
//! the same in every run. (candle's `VarMap` is a `HashMap`.)

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor, bail};

use crate::{Blocks, Noise, Param, Weight};

/// Parameters by their Hugging Face names. Cloning shares storage and gradient buffers.
#[derive(Clone, Debug, Default)]
pub struct Params {
    params: BTreeMap<String, Param>,
    blocks: BTreeMap<String, Arc<dyn Blocks>>,
    noise: Noise,
}

impl Params {
    /// Trainable parameters that start from copies of `tensors`.
    pub fn tracked<'a>(tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>) -> Result<Self> {
        tensors.into_iter().map(|(name, tensor)| Ok((name.clone(), Param::tracked(tensor)?))).collect()
    }

    /// Parameters that nothing updates and that get no gradient.
    pub fn frozen<'a>(tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>) -> Self {
        tensors.into_iter().map(|(name, tensor)| (name.clone(), Param::frozen(tensor))).collect()
    }

    /// Views: the same weights without graph or gradient, for evaluation and rollouts. They see every update.
    pub fn view(&self) -> Self {
        let views = self.iter().map(|(name, param)| (name.to_owned(), param.view())).collect();
        Self { params: views, blocks: self.blocks.clone(), noise: Noise::default() }
    }

    /// Trainable parameters that start from copies of these.
    ///
    /// # Errors
    /// If some are in blocks of few bits, which nothing trains.
    pub fn tracked_copy(&self) -> Result<Self> {
        if let Some((name, blocks)) = self.blocks.iter().next() {
            bail!(
                "`{name}` is in {}: such weights cannot be trained, but an adapter over them can",
                blocks.format()
            );
        }
        self.iter().map(|(name, param)| Ok((name.to_owned(), Param::tracked(param.tensor())?))).collect()
    }

    /// These parameters, with those of `over` in the place of the ones of the same name, and besides them.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        let all = self.iter().chain(over.iter());
        let all: Self = all.map(|(name, param)| (name.to_owned(), param.clone())).collect();
        let blocks = self.blocks.iter().chain(&over.blocks);
        let blocks = blocks.filter(|(name, _)| !over.params.contains_key(*name));
        Self { blocks: blocks.map(|(name, it)| (name.clone(), Arc::clone(it))).collect(), ..all }
    }

    /// Those that are trained, with the noise of all.
    #[must_use]
    pub fn trained(&self) -> Self {
        let tracked = self.params.iter().filter(|(_, param)| param.is_tracked());
        let params = tracked.map(|(name, param)| (name.clone(), param.clone())).collect();
        Self { params, blocks: BTreeMap::new(), noise: self.noise.clone() }
    }

    /// The same parameters, with nothing dropped in the models over them.
    #[must_use]
    pub fn silent(self) -> Self {
        Self { noise: Noise::default(), ..self }
    }

    /// What dropout in the models over these parameters is drawn from: silent unless one of them is trained.
    pub fn noise(&self) -> &Noise {
        &self.noise
    }

    /// A frozen copy with storage of its own: what a reference model is made from.
    pub fn frozen_copy(&self) -> Result<Self> {
        let copied =
            self.iter().map(|(name, p)| Ok((name.to_owned(), Param::frozen(&p.tensor().detach().copy()?))));
        // What nothing changes needs no copy.
        let (params, blocks) = (copied.collect::<Result<_>>()?, self.blocks.clone());
        Ok(Self { params, blocks, noise: Noise::default() })
    }

    /// The parameter of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.params.get(name)
    }

    /// The parameter of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn require(&self, name: &str) -> Result<&Param> {
        match self.params.get(name) {
            Some(param) => Ok(param),
            None => bail!("missing tensor `{name}`"),
        }
    }

    /// The weight of that name, of either kind.
    ///
    /// # Errors
    /// If there is none.
    pub fn weight(&self, name: &str) -> Result<Weight> {
        match self.blocks.get(name) {
            Some(blocks) => Ok(Weight::blocks(Arc::clone(blocks))),
            None => Ok(Weight::dense(self.require(name)?)),
        }
    }

    /// The weights in blocks of few bits, which are frozen, in name order.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<dyn Blocks>)> {
        self.blocks.iter().map(|(name, blocks)| (name.as_str(), blocks))
    }

    /// The same with a weight in blocks.
    #[must_use]
    pub fn with_blocks(mut self, blocks: impl IntoIterator<Item = (String, Arc<dyn Blocks>)>) -> Self {
        self.blocks.extend(blocks);
        self
    }

    /// The same parameters, those in blocks as the numbers that they stand for.
    ///
    /// # Errors
    /// If they cannot be put on the device.
    pub fn decoded(&self) -> Result<Self> {
        let device = self.params.values().next().map_or(Device::Cpu, |param| param.device().clone());
        let decoded =
            self.blocks.iter().map(|(name, it)| Ok((name.clone(), Param::frozen(&it.dense(&device)?))));
        let decoded = decoded.collect::<Result<Self>>()?;
        Ok(Self { blocks: BTreeMap::new(), ..self.overlaid(&decoded) })
    }

    /// Adds a parameter; a name taken twice is a bug in the caller.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn insert(&mut self, name: &str, param: Param) -> Result<()> {
        match self.params.insert(name.to_owned(), param) {
            None => Ok(()),
            Some(_) => bail!("two parameters are called `{name}`"),
        }
    }

    /// Names and parameters in name order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Param)> {
        self.params.iter().map(|(name, param)| (name.as_str(), param))
    }

    /// Number of parameters (tensors, not elements).
    pub fn len(&self) -> usize {
        self.params.len()
    }

    /// True if there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.params.is_empty()
    }

    /// Number of elements in all tensors.
    pub fn elem_count(&self) -> usize {
        let in_blocks = self.blocks.values().map(|blocks| blocks.shape().0 * blocks.shape().1);
        self.params.values().map(|param| param.tensor().elem_count()).chain(in_blocks).sum()
    }

    /// Forgets all gradients.
    pub fn clear_grads(&self) {
        self.params.values().filter_map(Param::grad_buffer).for_each(|buffer| buffer.clear());
    }
}

impl FromIterator<(String, Param)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, Param)>>(iter: I) -> Self {
        let params: BTreeMap<String, Param> = iter.into_iter().collect();
        let noise = if params.values().any(Param::is_tracked) { Noise::new() } else { Noise::default() };
        Self { params, blocks: BTreeMap::new(), noise }
    }
}
