//! Tokens and rewards: `sft.*`, `gkd.*`, `reward.*`, `sequence.*`, `numerics.*`, `util.selective_log_softmax`.

use align_losses::log_sigmoid;
use candle_core::Result;

use crate::inputs::{Computed, Inputs};

pub(crate) fn run(inputs: &Inputs<'_>) -> Result<Option<Computed>> {
    Ok(Some(match inputs.case.loss.as_str() {
        "numerics.log_sigmoid" => {
            let x = inputs.var("x")?;
            let mut computed = Computed::of(log_sigmoid(&x)?, &[("x", &x)])?;
            computed.values[0].0 = "y";
            computed
        }
        _ => return Ok(None),
    }))
}
