//! A low-rank adapter of a linear layer.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::{Linear, Weight};
use crate::tape::{sum_of_rows, wide};
use crate::{Param, Tape, Value};

/// Rows of a weight whose lengths are computed at a time: enough for a product, few enough to hold beside the weight.
const ROWS_AT_ONCE: usize = 256;

/// A low-rank adapter (LoRA, Hu et al. 2021, arXiv:2106.09685): `x Wᵀ + b` becomes `x Wᵀ + b + s (x Aᵀ) Bᵀ`.
///
/// Cloning shares the parameters.
#[derive(Clone, Debug)]
pub struct Adapter {
    pub(super) a: Param,
    pub(super) b: Param,
    pub(super) scale: f64,
    pub(super) bias: Option<Param>,
    magnitude: Option<Param>,
    dropout: f64,
    /// A and B of a second product, which stays.
    offset: Option<[Param; 2]>,
}

impl Adapter {
    /// An adapter of A `[rank, inputs]` and B `[outputs, rank]`, whose product is multiplied by `scale`: α / rank for LoRA,
    /// α / √rank for rsLoRA (Kalajdzievski 2023, arXiv:2312.03732).
    ///
    /// # Errors
    /// If the ranks differ.
    pub fn new(a: &Param, b: &Param, scale: f64) -> Result<Self> {
        let ((rank, _), (_, columns)) = (a.tensor().dims2()?, b.tensor().dims2()?);
        if rank != columns {
            bail!("adapter: A has rank {rank}, B {columns}");
        }
        Ok(Self {
            a: a.clone(),
            b: b.clone(),
            scale,
            bias: None,
            magnitude: None,
            dropout: 0.0,
            offset: None,
        })
    }

    /// The same with a bias of B `[outputs]`, which the scale multiplies too (`lora_bias`).
    #[must_use]
    pub fn with_bias(self, bias: &Param) -> Self {
        Self { bias: Some(bias.clone()), ..self }
    }

    /// DoRA (Liu et al. 2024, arXiv:2402.09353): row i of the weight is `mᵢ Vᵢ / ‖Vᵢ‖` with `V = W + s B A` and the
    /// magnitudes m `[outputs]`. The gradient takes ‖Vᵢ‖ for a constant, as the paper does (its equation 11).
    #[must_use]
    pub fn with_magnitude(self, magnitude: &Param) -> Self {
        Self { magnitude: Some(magnitude.clone()), ..self }
    }

    /// The same with dropout: where [training draws it](crate::Noise), the adapter reads an input of which each element is 0
    /// with probability `dropout` and divided by `1 - dropout` otherwise.
    #[must_use]
    pub fn with_dropout(self, dropout: f64) -> Self {
        Self { dropout, ..self }
    }

    /// The same with a second product beside the one that is trained: `s (B A + B₁ A₁)`. So an adapter can start from
    /// something else than zero, as PiSSA does (Meng et al. 2024, arXiv:2404.02948), and leave the layer as it is: with
    /// what A began as for A₁, and for B₁ the negative of what B did.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn with_offset(self, a: &Param, b: &Param) -> Result<Self> {
        let dims = |a: &Param, b: &Param| (a.tensor().dims().to_vec(), b.tensor().dims().to_vec());
        let (found, expected) = (dims(a, b), dims(&self.a, &self.b));
        if found != expected {
            bail!("adapter: A and B are {expected:?}, those of the offset {found:?}");
        }
        Ok(Self { offset: Some([a.clone(), b.clone()]), ..self })
    }

    /// A, `[rank, inputs]`.
    pub fn a(&self) -> &Param {
        &self.a
    }

    /// B, `[outputs, rank]`.
    pub fn b(&self) -> &Param {
        &self.b
    }

    /// The factor of their product.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    pub(super) fn params(&self) -> impl Iterator<Item = &Param> {
        [Some(&self.a), Some(&self.b), self.bias.as_ref()].into_iter().flatten()
    }

    /// True if the layer is one product more than the plain one, with the same input.
    pub(super) fn is_plain(&self, tape: &Tape) -> bool {
        self.magnitude.is_none() && self.offset.is_none() && !tape.drops_out(self.dropout)
    }

    /// True if it is A and B, and nothing else.
    pub(crate) fn is_bare(&self) -> bool {
        self.magnitude.is_none() && self.offset.is_none() && self.bias.is_none() && self.dropout == 0.0
    }

    pub(crate) fn check(&self, weight: &Weight) -> Result<()> {
        let (outputs, inputs) = weight.shape()?;
        let found = (self.b.tensor().dims()[0], self.a.tensor().dims()[1]);
        if found != (outputs, inputs) {
            bail!("adapter: expected B and A for a weight [{outputs}, {inputs}], got one for {found:?}");
        }
        let mut vectors = [&self.bias, &self.magnitude].into_iter().flatten();
        match vectors.find(|vector| vector.tensor().dims() != [outputs]) {
            None => Ok(()),
            Some(vector) => {
                bail!("adapter: expected a vector [{outputs}], got {:?}", vector.tensor().shape())
            }
        }
    }

    /// `s (x Aᵀ) Bᵀ` by itself.
    fn product(&self, tape: &mut Tape, x: &Value) -> Result<Value> {
        product(tape, x, [&self.a, &self.b], self.bias.as_ref(), self.scale)
    }

    /// `s (B A + B₁ A₁)`, `[outputs, inputs]`.
    fn change(&self) -> Result<Tensor> {
        let product = |a: &Param, b: &Param| b.tensor().detach().matmul(&a.tensor().detach());
        let mut change = product(&self.a, &self.b)?;
        if let Some([a, b]) = &self.offset {
            change = (change + product(a, b)?)?;
        }
        change * self.scale
    }
}

/// `s (x Aᵀ) Bᵀ`, and the bias of B.
fn product(
    tape: &mut Tape,
    x: &Value,
    [a, b]: [&Param; 2],
    bias: Option<&Param>,
    scale: f64,
) -> Result<Value> {
    let inner = tape.linear(x, &Linear::new(a, None)?)?;
    let outer = tape.linear(&inner, &Linear::new(b, bias)?)?;
    tape.scale(outer, scale)
}

impl Tape {
    /// A layer whose adapter [is not plain](Adapter::is_plain).
    pub(super) fn adapted(&mut self, x: &Value, layer: &Linear, adapter: &Adapter) -> Result<Value> {
        let dropped = self.dropout(x, adapter.dropout)?;
        let Some(magnitude) = &adapter.magnitude else {
            let base = self.linear(x, &layer.without_adapter())?;
            let mut low_rank = adapter.product(self, dropped.as_ref().unwrap_or(x))?;
            if let Some([a, b]) = &adapter.offset {
                // First of all the two products together, which may begin as exactly nothing.
                let offset = product(self, x, [a, b], None, adapter.scale)?;
                low_rank = self.add(&low_rank, offset)?;
            }
            return self.add(&base, low_rank);
        };
        let plain = Adapter { magnitude: None, dropout: 0.0, ..adapter.clone() };
        let turned = Linear { bias: None, adapter: Some(Box::new(plain)), ..layer.clone() };
        let turned = self.linear(dropped.as_ref().unwrap_or(x), &turned)?;
        let scaled = self.magnified(&turned, magnitude, &row_norms(layer, adapter)?, layer.bias())?;
        let Some(dropped) = dropped else { return Ok(scaled) };
        // Of an input that loses elements, only what the adapter adds to the layer: x W ᵀ stands whole.
        let minus = self.scale(dropped, -1.0)?;
        let lost = self.add(x, minus)?;
        let lost = self.linear(&lost, &Linear { bias: None, adapter: None, ..layer.clone() })?;
        self.add(&scaled, lost)
    }

    /// `y ⊙ m / n + b` over the columns of `y`.
    fn magnified(
        &mut self,
        y: &Value,
        magnitude: &Param,
        norms: &Tensor,
        bias: Option<&Param>,
    ) -> Result<Value> {
        let (input, norms, wanted) = (y.keep(), norms.clone(), y.is_tracked());
        let ratio = (magnitude.tensor().detach() / &norms)?;
        let mut value = input.broadcast_mul(&ratio)?;
        if let Some(bias) = bias {
            value = value.broadcast_add(&bias.tensor().detach())?;
        }
        let buffer = |param: &Param| param.grad_buffer().cloned();
        let (of_magnitude, of_bias) = (buffer(magnitude), bias.and_then(buffer));
        let back = move |grad: &Tensor| {
            if let Some(buffer) = &of_bias {
                buffer.accumulate(&sum_of_rows(&grad.contiguous()?)?)?;
            }
            if let Some(buffer) = &of_magnitude {
                buffer.accumulate(&(sum_of_rows(&(grad * &input)?)? / &norms)?)?;
            }
            Ok([if wanted { Some(grad.broadcast_mul(&ratio)?) } else { None }])
        };
        Ok(self.push("dora", [y], [magnitude].into_iter().chain(bias), value, back))
    }
}

/// The lengths of the rows of `W + s B A`, `[outputs]`.
fn row_norms(layer: &Linear, adapter: &Adapter) -> Result<Tensor> {
    let detached = |param: &Param| param.tensor().detach();
    let (a, b) = (detached(&adapter.a), detached(&adapter.b));
    let outputs = layer.outputs();
    let starts: Vec<usize> = (0..outputs).step_by(ROWS_AT_ONCE).collect();
    let lengths = starts.into_par_iter().map(|start| {
        let rows = ROWS_AT_ONCE.min(outputs - start);
        let change = (b.narrow(0, start, rows)?.matmul(&a)? * adapter.scale)?;
        let turned = (layer.weight.rows(start, rows, &a)? + change)?;
        wide(&turned)?.sqr()?.sum(1)?.sqrt()?.to_dtype(a.dtype())
    });
    Tensor::cat(&lengths.collect::<Result<Vec<_>>>()?, 0)
}

impl Linear {
    /// The layer's weight with its adapter merged into it, and what that adds to the bias.
    ///
    /// # Errors
    /// If it has none.
    pub fn merged(&self) -> Result<(Tensor, Option<Tensor>)> {
        let Some(adapter) = self.adapter.as_deref() else { bail!("the layer has no adapter") };
        let detached = |param: &Param| param.tensor().detach();
        let change = adapter.change()?;
        let mut merged = (self.weight.as_numbers(&change)? + change)?;
        if let Some(magnitude) = &adapter.magnitude {
            let ratio = (detached(magnitude) / row_norms(self, adapter)?)?;
            merged = merged.broadcast_mul(&ratio.unsqueeze(1)?)?;
        }
        let shift = adapter.bias.as_ref().map(|bias| detached(bias) * adapter.scale);
        Ok((merged, shift.transpose()?))
    }
}

/// The lengths of the rows of a weight `[outputs, inputs]` with an adapter's product added: where DoRA's magnitudes start.
///
/// # Errors
/// If the shapes do not fit.
pub fn magnitudes(weight: &Weight, adapter: &Adapter) -> Result<Tensor> {
    row_norms(&Linear::of(weight.clone(), None)?.with_adapter(adapter)?, adapter)
}
