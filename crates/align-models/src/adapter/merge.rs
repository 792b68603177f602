//! Adapters merged into their base: an ordinary model, for whoever reads no adapters.

use align_kernels::{Param, Params, Precision};
use candle_core::{DType, Device, Tensor};

use super::{AdapterDir, bias_of_b};
use crate::layer::linear;
use crate::plan::{LinearPlan, bias};
use crate::{Error, Model, ModelDir, Result};

impl ModelDir {
    /// The model with its adapter merged into the weights, and the directory that saves it: W + s B A, or DoRA's rows.
    ///
    /// # Errors
    /// A model without adapter; biases of B where the layer has none to take them.
    pub fn merged(&self, device: &Device) -> Result<(Self, Model)> {
        let adapter = self.require_adapter()?;
        let params = match adapter.head {
            None => self.model(device)?.params,
            Some(_) => self.load_reward_model(None, 0, device)?.1,
        };
        Ok((self.without_adapter(), self.folded(&params.decoded()?)?))
    }

    fn require_adapter(&self) -> Result<&AdapterDir> {
        let problem = || Error::invalid(self.path(), "is no adapter: there is nothing to merge");
        self.adapter().ok_or_else(problem)
    }

    /// The model of all these parameters with those of the adapter merged into the others.
    fn folded(&self, all: &Params) -> Result<Model> {
        let mut changed = Vec::new();
        for plan in self.decoder_config().linears().filter(|plan| plan.adapter.is_some()) {
            let (weight, shift) = linear(plan, all, Precision::F32)?.merged()?;
            changed.push((plan.weight(), weight));
            if let Some(shift) = shift {
                changed.push(shifted(plan, all, &shift)?);
            }
        }
        changed.extend(self.merged_vocabulary(all)?);
        let changed: Params =
            changed.into_iter().map(|(name, tensor)| (name, Param::frozen(&tensor))).collect();
        let own = self.decoder_config().low_rank_names();
        let kept = all.iter().filter(|(name, _)| !own.contains(*name));
        let kept: Params = kept.map(|(name, param)| (name.to_owned(), param.clone())).collect();
        Ok(Model { config: self.base_config().clone(), params: kept.overlaid(&changed) })
    }

    /// A sum of adapters over one base, each by its weight, merged: W + Σ wᵢ (Wᵢ − W).
    ///
    /// # Errors
    /// As [`ModelDir::merged`]; adapters of several bases; heads, which have no base to be added to.
    pub fn merged_sum(adapters: &[(Self, f64)], device: &Device) -> Result<(Self, Model)> {
        let [(first, weight), others @ ..] = adapters else {
            return Err(Error::Config("expected adapters to merge, found none".to_owned()));
        };
        if others.is_empty() && *weight == 1.0 {
            return first.merged(device);
        }
        for (adapter, _) in adapters {
            let own = adapter.require_adapter()?;
            if adapter.base_path().canonicalize().ok() != first.base_path().canonicalize().ok() {
                let (base, other) = (first.base_path().display(), adapter.base_path().display());
                return Err(Error::invalid(
                    adapter.path(),
                    format!("is over {other}, the first one over {base}; expected one base"),
                ));
            }
            if own.head.is_some() {
                return Err(Error::invalid(
                    adapter.path(),
                    "is a reward model, whose head cannot be weighted; merge it alone",
                ));
            }
        }
        let base = first.load(device)?.decoded()?;
        let mut sum = base.clone();
        for (adapter, weight) in adapters {
            let model = adapter.folded(&adapter.with_own_adapter(base.clone(), 0, device)?.params)?;
            let add = |(name, param): (&str, &Param)| {
                let (merged, own, sum) = (model.params.require(name)?, param.tensor(), sum.require(name)?);
                let sum = if merged.tensor().id() == own.id() {
                    sum.clone()
                } else {
                    let change = ((merged.tensor() - own)? * *weight)?;
                    Param::frozen(&(sum.tensor() + change)?)
                };
                Ok((name.to_owned(), sum))
            };
            sum = base.iter().map(add).collect::<candle_core::Result<Params>>()?;
        }
        let config = first.base_config().clone();
        Ok((first.without_adapter(), Model { config, params: sum }))
    }
}

/// The bias of a layer with that of B added.
fn shifted(plan: &LinearPlan, params: &Params, shift: &Tensor) -> Result<(String, Tensor)> {
    let name = bias(&plan.name);
    match params.get(&name) {
        Some(own) => Ok((name, (own.tensor().to_dtype(DType::F32)? + shift)?)),
        None => Err(Error::Config(format!(
            "`{}`: the layer has no bias that could take this one; the adapter cannot be merged",
            bias_of_b(&plan.name)
        ))),
    }
}
