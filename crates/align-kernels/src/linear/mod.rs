//! `x Wᵀ + b`, accumulating the weight's gradient in its own buffer.
//!
//! candle's matmul computes both gradients whether or not they are wanted, and adds the transposed
//! weight gradient element by element. Here a frozen weight costs nothing in the backward pass, and a
//! tracked one gets `gᵀ x` directly in the weight's own layout; on the CPU, in the buffer itself.

mod adapter;
mod composed;
mod cpu;

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use crate::{Blocks, Param, Precision, Tape, Value, record};
pub use adapter::{Adapter, magnitudes};

/// The weight of a linear layer: numbers, and the precision of the products with them.
#[derive(Clone, Debug)]
pub struct Weight {
    numbers: Numbers,
    precision: Precision,
}

/// Where a weight's numbers are.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// A parameter, trained or not.
    Dense(Param),
    /// Blocks of few bits, which nothing trains.
    Blocks(Arc<dyn Blocks>),
}

/// A linear layer: every product with a weight goes through one.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Param>,
    adapter: Option<Box<Adapter>>,
}

impl Linear {
    /// A layer with a weight `[outputs, inputs]` and perhaps a bias `[outputs]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn new(weight: &Param, bias: Option<&Param>) -> Result<Self> {
        Self::of(Weight::dense(weight), bias)
    }

    /// A layer with a weight of any kind `[outputs, inputs]` and perhaps a bias `[outputs]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn of(weight: Weight, bias: Option<&Param>) -> Result<Self> {
        let (outputs, _) = weight.shape()?;
        if let Some(bias) = bias.filter(|bias| bias.tensor().dims() != [outputs]) {
            bail!("linear: expected bias [{outputs}], got {:?}", bias.tensor().shape());
        }
        Ok(Self { weight, bias: bias.cloned(), adapter: None })
    }

    /// The same layer with an adapter.
    ///
    /// # Errors
    /// If the adapter is for a weight of another shape.
    pub fn with_adapter(self, adapter: &Adapter) -> Result<Self> {
        adapter.check(&self.weight)?;
        Ok(Self { adapter: Some(Box::new(adapter.clone())), ..self })
    }

    /// The same layer with its adapter off.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        Self { adapter: None, ..self.clone() }
    }

    /// `[outputs, inputs]`.
    pub fn weight(&self) -> &Weight {
        &self.weight
    }

    /// `[outputs]`.
    pub fn bias(&self) -> Option<&Param> {
        self.bias.as_ref()
    }

    /// Width of the result.
    pub fn outputs(&self) -> usize {
        self.weight.outputs_and_inputs().0
    }

    /// Width of what goes in.
    pub fn inputs(&self) -> usize {
        self.weight.outputs_and_inputs().1
    }

    /// [`Tape::linear`] by itself.
    ///
    /// # Errors
    /// If the widths do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        record("linear", [x], |tape, [x]| tape.linear(&x, self))
    }

    fn params(&self) -> impl Iterator<Item = &Param> {
        let own = [self.weight.param(), self.bias.as_ref()].into_iter().flatten();
        own.chain(self.adapter.iter().flat_map(|adapter| adapter.params()))
    }

    fn check(&self, x: &Tensor) -> Result<()> {
        match x.dims() {
            &[_, inputs] if inputs == self.inputs() => Ok(()),
            found => bail!("linear: expected input [rows, {}], got {found:?}", self.inputs()),
        }
    }
}

impl Weight {
    /// A parameter; products are f32.
    pub fn dense(param: &Param) -> Self {
        Self { numbers: Numbers::Dense(param.clone()), precision: Precision::F32 }
    }

    /// Blocks; products are f32.
    pub fn blocks(blocks: Arc<dyn Blocks>) -> Self {
        Self { numbers: Numbers::Blocks(blocks), precision: Precision::F32 }
    }

    /// The same weight with products of another precision.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Where its numbers are.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// What operands of products with it are rounded to.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The parameter, if it is one.
    pub fn param(&self) -> Option<&Param> {
        match &self.numbers {
            Numbers::Dense(param) => Some(param),
            Numbers::Blocks(_) => None,
        }
    }

    /// Outputs and inputs: rows and columns.
    ///
    /// # Errors
    /// If it is no matrix.
    pub fn shape(&self) -> Result<(usize, usize)> {
        match &self.numbers {
            Numbers::Dense(param) => param.tensor().dims2(),
            Numbers::Blocks(blocks) => Ok(blocks.shape()),
        }
    }

    /// The shape of a weight that was found to be a matrix.
    fn outputs_and_inputs(&self) -> (usize, usize) {
        match &self.numbers {
            Numbers::Dense(param) => (param.tensor().dims()[0], param.tensor().dims()[1]),
            Numbers::Blocks(blocks) => blocks.shape(),
        }
    }

    /// The weight as numbers of `like`'s precision and device, outside any graph.
    pub(crate) fn as_numbers(&self, like: &Tensor) -> Result<Tensor> {
        match &self.numbers {
            Numbers::Dense(param) => Ok(param.tensor().detach()),
            Numbers::Blocks(blocks) => blocks.dense(like.device())?.to_dtype(like.dtype()),
        }
    }

    /// Some rows of it, of `like`'s precision and on its device.
    fn rows(&self, start: usize, rows: usize, like: &Tensor) -> Result<Tensor> {
        match &self.numbers {
            Numbers::Dense(param) => param.tensor().detach().narrow(0, start, rows),
            Numbers::Blocks(blocks) => blocks.rows_dense(start..start + rows, like.dtype(), like.device()),
        }
    }
}

impl Tape {
    /// `x Wᵀ + b`, and what the layer's adapter adds: `[rows, inputs]` → `[rows, outputs]`.
    ///
    /// # Errors
    /// If the widths do not fit.
    pub fn linear(&mut self, x: &Value, layer: &Linear) -> Result<Value> {
        layer.check(x.tensor())?;
        if let Some(adapter) = layer.adapter.as_deref().filter(|adapter| !adapter.is_plain(self)) {
            return self.adapted(x, layer, adapter);
        }
        let [value] = self.plain(x, [layer])?;
        Ok(value)
    }

    /// [`Tape::linear`] for several layers that take the same input.
    ///
    /// On the CPU their adapters share products and their gradients add up where they are computed; in decoding, where rows
    /// are few, the weights are one parallel pass.
    ///
    /// # Errors
    /// If the widths do not fit.
    pub fn linears<const N: usize>(&mut self, x: &Value, layers: [&Linear; N]) -> Result<[Value; N]> {
        if layers.iter().all(|layer| layer.adapter.as_deref().is_none_or(|it| it.is_plain(self))) {
            layers.iter().try_for_each(|layer| layer.check(x.tensor()))?;
            return self.plain(x, layers);
        }
        let values = layers.iter().map(|layer| self.linear(x, layer)).collect::<Result<Vec<_>>>();
        Ok(values?.try_into().expect("one output per layer"))
    }

    /// Layers that take the same input, without adapters or with [plain ones](Adapter::is_plain).
    fn plain<const N: usize>(&mut self, x: &Value, layers: [&Linear; N]) -> Result<[Value; N]> {
        let params = || layers.iter().flat_map(|layer| layer.params());
        let operands: Vec<_> = params().map(Param::tensor).chain([x.tensor()]).collect();
        if Self::on_cpu(&operands) {
            let (values, back) = cpu::linears(x, layers)?;
            let wanted = x.is_tracked();
            let back = move |grads: &[Option<&Tensor>]| Ok([back.gradients(grads, wanted)?]);
            return Ok(self.push_all("linear", [x], params(), values, back));
        }
        let one = |layer: &&Linear| {
            let (y, back) = composed::linear(&x.keep(), layer, x.is_tracked())?;
            Ok(self.push("linear", [x], layer.params(), y, back))
        };
        let values = layers.iter().map(one).collect::<Result<Vec<_>>>()?;
        Ok(values.try_into().expect("one output per layer"))
    }
}

/// `x Wᵀ + b` by itself, for a weight `[outputs, inputs]` and a bias `[outputs]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn linear(x: &Tensor, weight: &Param, bias: Option<&Param>) -> Result<Tensor> {
    Linear::new(weight, bias)?.forward(x)
}
