//! Values that are held in fewer bits than they are computed in.

use candle_core::Result;

use super::{Gradient, Tape, Value};
use crate::Precision;
use crate::cpu::{has_form, round, simd, update};

impl Tape {
    /// `x`, rounded as operands of products in that precision are; in its own storage where nobody else holds it. Its gradient is
    /// that of the rounded values.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn rounded(&mut self, x: Value, precision: Precision) -> Result<Value> {
        if precision == Precision::F32 {
            return Ok(x);
        }
        let may_write = !x.shared.get() && has_form(&[&x.tensor]) && x.tensor.is_contiguous();
        let rounded = match may_write {
            true => {
                update(&x.tensor, round_all)?;
                x.tensor.clone()
            }
            false => precision.rounded(&x.tensor)?,
        };
        Ok(self.push_step("rounded", [&x], [], rounded, |grad: Gradient| Ok(vec![Some(grad)])))
    }
}

simd! {
    fn round_all(all: &mut [f32]) {
        for x in all {
            *x = round(*x);
        }
    }
}
