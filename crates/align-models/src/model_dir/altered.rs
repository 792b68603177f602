//! The same model, read, computed or saved otherwise.

use align_kernels::Precision;

use super::ModelDir;
use crate::Quantisation;
use crate::weights::Multiplied;

impl ModelDir {
    /// The same model, quantised on loading as another one is.
    #[must_use]
    pub fn quantised_like(self, other: &Self) -> Self {
        Self { quantise: other.quantise, ..self }
    }

    /// The same model, its linear layers quantised while it is loaded: a base for adapters, which is frozen.
    #[must_use]
    pub fn quantised(self, how: Quantisation) -> Self {
        Self { quantise: Some(how), ..self }
    }

    /// The same model, its products in that precision.
    #[must_use]
    pub fn in_precision(mut self, precision: Precision) -> Self {
        let shapes =
            [Some(&mut self.decoder), self.adapter.as_mut().map(|(plain, _)| plain), self.on_disk.as_mut()];
        shapes.into_iter().flatten().for_each(|shape| shape.precision = precision);
        self
    }

    /// The same model, to be run and nothing else: neither trained nor saved. Where products round their operands to bf16, what
    /// only they read is held in bf16, which changes no bit of a result.
    #[must_use]
    pub fn to_run(self) -> Self {
        Self { is_run_only: true, ..self }
    }

    /// What is held in bf16. (Rows that are made for tokens without any are made of numbers.)
    pub(super) fn multiplied(&self) -> Option<Multiplied> {
        let is_whole = self.is_run_only && !self.is_adapter() && self.on_disk.is_none();
        Multiplied::of(&self.decoder).filter(|_| is_whole)
    }

    /// The same model, saved with another chat template.
    #[must_use]
    pub fn with_chat_template(self, template: &str) -> Self {
        Self { carried: self.carried.clone().with_template(template), ..self }
    }
}
