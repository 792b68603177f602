//! Reinforcement learning: `ppo.*`, `grpo.*`, `gmpo`, `rloo.*`, `reinforce*`, `a2po.*`, `kl.*`, `util.*` of advantages.

use align_losses::{k1, k2, k3};
use candle_core::Result;

use crate::inputs::{Computed, Inputs};

pub(crate) fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    Ok(Some(match inputs.case.loss.as_str() {
        "kl.estimators" => {
            let reference = inputs.tensor("ref_logp")?;
            let mut computed = Computed::default();
            for (name, estimator) in [("k1", k1 as fn(&_, &_) -> Result<_>), ("k2", k2), ("k3", k3)] {
                let policy = inputs.var("logp")?;
                let value = estimator(&policy, &reference)?;
                let mut one = Computed::of(value, &[(name, &policy)])?;
                one.values[0].0 = name;
                computed.values.append(&mut one.values);
                computed.grads.append(&mut one.grads);
            }
            computed
        }
        _ => return Ok(None),
    }))
}
