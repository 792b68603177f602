//! `kl.*`.

use align_losses::{AdaptiveKl, KlController, abs_kl, exact_kl, k1, k2, k3};
use candle_core::{Device, Result, Tensor};

use super::{numbers, reported};
use crate::inputs::{Computed, Inputs};

type Estimator = fn(&Tensor, &Tensor) -> Result<Tensor>;

pub(super) fn estimators(inputs: &Inputs<'_>) -> Result<Computed> {
    let reference = inputs.tensor("ref_logp")?;
    let mut computed = Computed::default();
    for (name, estimator) in [("k1", k1 as Estimator), ("k2", k2), ("k3", k3)] {
        let policy = inputs.var("logp")?;
        let mut one = Computed::of(estimator(&policy, &reference)?, &[(name, &policy)])?;
        one.values[0].0 = name;
        computed.values.append(&mut one.values);
        computed.grads.append(&mut one.grads);
    }
    let policy = inputs.tensor("logp")?;
    computed
        .with(inputs.case, "k3_expm1", || k3(&policy, &reference))?
        .with(inputs.case, "abs", || abs_kl(&policy, &reference))
}

pub(super) fn exact(inputs: &Inputs<'_>) -> Result<Computed> {
    let logits = inputs.var("logits")?;
    let mut computed =
        Computed::of(exact_kl(&logits, &inputs.tensor("ref_logits")?)?, &[("logits", &logits)])?;
    computed.values[0].0 = "kl";
    Ok(computed)
}

pub(super) fn adaptive_controller(inputs: &Inputs<'_>) -> Result<Computed> {
    let number = |name| inputs.number(name);
    let mut controller = AdaptiveKl::new(number("init")?, number("target")?, number("horizon")?)?;
    let values = numbers(&inputs.tensor("current")?)?.into_iter().map(|current| {
        controller.update(current, number("n_steps")? as usize)?;
        Ok(controller.value())
    });
    let values = values.collect::<Result<Vec<_>>>()?;
    Ok(reported(vec![("value", Tensor::new(values, &Device::Cpu)?)]))
}
