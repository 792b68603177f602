//! A case's inputs and parameters as its loss takes them, and its results by the names they have in the file.

use align_testkit::{Array, Case, GoldenFile};
use candle_core::{DType, Result, Tensor, Var, bail};
use serde_json::Value;

/// What a case is computed in.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Precision {
    /// f64: compared with the file.
    Double,
    /// f32.
    Single,
    /// f64 on inputs rounded to f32: what [`Precision::Single`] is compared with.
    Rounded,
}

/// A case in one precision.
pub(crate) struct Inputs<'a> {
    pub(crate) file: &'a GoldenFile,
    pub(crate) case: &'a Case,
    pub(crate) precision: Precision,
}

impl Inputs<'_> {
    /// An input as a constant.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor> {
        self.rounded(&self.file.input(self.case, name)?)
    }

    /// An array of another place in the case, in this precision.
    pub(crate) fn rounded(&self, array: &Array) -> Result<Tensor> {
        match self.precision {
            Precision::Double => array.tensor(DType::F64),
            Precision::Single => array.tensor(DType::F32),
            Precision::Rounded => array.tensor(DType::F32)?.to_dtype(DType::F64),
        }
    }

    /// An input that a gradient is taken for.
    pub(crate) fn var(&self, name: &str) -> Result<Var> {
        Var::from_tensor(&self.tensor(name)?)
    }

    /// A number among the parameters.
    pub(crate) fn number(&self, name: &str) -> Result<f64> {
        self.case.number(name)
    }

    /// A number among the parameters that may be absent or null.
    pub(crate) fn number_if_given(&self, name: &str) -> Result<Option<f64>> {
        match self.case.params.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.number(name).map(Some),
        }
    }

    /// A switch among the parameters; absent is off.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.case.params.get(name).is_some_and(|value| value == true)
    }

    /// A word among the parameters; absent is empty.
    pub(crate) fn word(&self, name: &str) -> &str {
        self.case.params.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Results by the names they have in the file.
#[derive(Default)]
pub(crate) struct Computed {
    pub(crate) values: Vec<(&'static str, Tensor)>,
    pub(crate) grads: Vec<(&'static str, Tensor)>,
    /// Where gradients are compared, if not everywhere: TRL also adds up what does not count, as its model has 0
    /// there, and so gives it a gradient.
    pub(crate) mask: Option<Tensor>,
}

impl Computed {
    /// A loss and its gradient by each variable.
    pub(crate) fn of(loss: Tensor, variables: &[(&'static str, &Var)]) -> Result<Self> {
        let mut gradients = loss.sum_all()?.backward()?;
        let grads = variables.iter().map(|(name, variable)| {
            // A branch that a constant cut off has the gradient zero in PyTorch.
            let gradient = gradients.remove(variable).map_or_else(|| variable.zeros_like(), Ok)?;
            Ok((*name, gradient))
        });
        Ok(Self { grads: grads.collect::<Result<_>>()?, values: vec![("loss", loss)], mask: None })
    }

    /// An expected gradient, 0 where it is not compared.
    pub(crate) fn where_compared(&self, expected: &Tensor) -> Result<Tensor> {
        let compared = |mask: &Tensor| mask.ne(0f64)?.where_cond(expected, &expected.zeros_like()?);
        self.mask.as_ref().map_or_else(|| Ok(expected.clone()), compared)
    }

    /// Adds a result if the file has it.
    pub(crate) fn with(
        mut self,
        case: &Case,
        name: &'static str,
        value: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Self> {
        if case.outputs.contains_key(name) {
            self.values.push((name, value()?));
        }
        Ok(self)
    }

    /// Fails if the file has a result or gradient that was not computed, beside what is said of TRL itself.
    pub(crate) fn check_complete(&self, case: &Case) -> Result<()> {
        // TRL's own figures, in f32 and with a tie as a miss; the trace is compared by its function.
        let not_ours = ["loss_in_float32", "rewards/accuracies", "accuracy", "trace"];
        let missing = |expected: &mut dyn Iterator<Item = &String>, computed: &[(&'static str, Tensor)]| {
            let mut missing = expected.filter(|name| !computed.iter().any(|(computed, _)| computed == name));
            missing.find(|name| !not_ours.contains(&name.as_str())).cloned()
        };
        let value = missing(&mut case.outputs.keys(), &self.values);
        match value.or_else(|| missing(&mut case.grads.keys(), &self.grads)) {
            Some(name) => bail!("{name} was not computed"),
            None => Ok(()),
        }
    }
}
