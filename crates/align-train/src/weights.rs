//! How much of each loss term a micro-batch or a window holds.
//!
//! A loss is a sum of terms, each a mean over something else: pairs for DPO, completion tokens for NLL.
//! Dividing each term by its amount in the whole window, which is counted before the first forward pass,
//! makes gradient accumulation exact: micro-batches (8, 1) give the update of (1, 8).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The weights of loss terms: amounts such as `{"pairs": 4}` or `{"tokens": 131}`, ordered by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Weights(BTreeMap<Cow<'static, str>, f64>);

impl Weights {
    /// Amounts of a loss with one term.
    pub fn of(term: &'static str, amount: f64) -> Self {
        Self(BTreeMap::from([(term.into(), amount)]))
    }

    /// The same amounts with `amount` more of `term`.
    #[must_use]
    pub fn with(mut self, term: &'static str, amount: f64) -> Self {
        *self.0.entry(term.into()).or_default() += amount;
        self
    }

    /// Adds the amounts of another micro-batch.
    pub fn merge(&mut self, other: &Self) {
        for (term, amount) in &other.0 {
            *self.0.entry(term.clone()).or_default() += amount;
        }
    }

    /// The amount of `term`; 0 if there is none.
    pub fn get(&self, term: &str) -> f64 {
        self.0.get(term).copied().unwrap_or_default()
    }
}
