//! A head with an adapter as one product, `h Wᵀ + s (h Aᵀ) Bᵀ = [h, s h Aᵀ] [W, B]ᵀ`, and one of which some rows are trained.

use candle_core::{Result, Tensor};

use super::Head;
use crate::{Linear, Param, SoftCap, Tape, TrainedRows, Value, Weight, record};

/// What the hidden states, widened by what their adapter makes of them, are multiplied with.
#[derive(Clone, Debug)]
pub(super) struct Wide {
    /// `[vocab, width]`.
    pub(super) weight: Weight,
    /// B, `[vocab, rank]`, beside it.
    pub(super) beside: Option<Param>,
    /// Rows in the place of the weight's own; then there is nothing beside it.
    pub(super) rows: Option<TrainedRows>,
    pub(super) softcap: Option<SoftCap>,
}

impl Wide {
    pub(super) fn of(head: &Head) -> Self {
        let beside = head.adapter.as_ref().map(|adapter| adapter.b().clone());
        Self { weight: head.weight.clone(), beside, rows: head.trained.clone(), softcap: head.softcap }
    }

    /// The parameter that may be trained: B, the rows that are, or the weight itself.
    pub(super) fn trained(&self) -> Option<&Param> {
        self.beside.as_ref().or(self.rows.as_ref().map(TrainedRows::values)).or(self.weight.param())
    }

    /// All of it as one tensor, an operand of products.
    pub(super) fn dense(&self, like: &Tensor) -> Result<Tensor> {
        let weight = self.weight.as_numbers(like)?;
        self.weight.precision().rounded(&match (&self.beside, &self.rows) {
            (None, None) => weight,
            (Some(beside), _) => Tensor::cat(&[weight, beside.tensor().detach()], 1)?,
            (None, Some(rows)) => rows.placed_in(&weight)?,
        })
    }

    /// The gradient of what is trained, from that of a chunk's logits and the chunk's widened hidden states.
    pub(super) fn gradient(&self, d_logits: &Tensor, hidden: &Tensor) -> Result<Tensor> {
        match (&self.beside, &self.rows) {
            (Some(beside), _) => {
                let rank = beside.tensor().dim(1)?;
                d_logits.t()?.matmul(&hidden.narrow(1, hidden.dim(1)? - rank, rank)?)
            }
            (None, Some(rows)) => {
                let ids = Tensor::new(rows.ids(), d_logits.device())?;
                d_logits.index_select(&ids, 1)?.t()?.matmul(hidden)
            }
            (None, None) => d_logits.t()?.matmul(hidden),
        }
    }

    pub(super) fn has_cpu_form(&self, hidden: &Tensor) -> bool {
        let rows = self.rows.as_ref().map(TrainedRows::values);
        let params = [self.weight.param(), self.beside.as_ref(), rows];
        params
            .into_iter()
            .flatten()
            .all(|param| Tape::on_cpu(&[hidden, param.tensor()]) && param.tensor().is_contiguous())
            && Tape::on_cpu(&[hidden])
    }
}

impl Head {
    /// The hidden states `[rows, width]`, and beside them what the adapter makes of them: `[rows, width + rank]`.
    pub(super) fn widened(&self, hidden: &Tensor) -> Result<Tensor> {
        let Some(adapter) = &self.adapter else { return Ok(hidden.clone()) };
        record("lm_head adapter", [hidden], |tape, [hidden]| {
            let inner = tape.linear(&hidden, &Linear::new(adapter.a(), None)?)?;
            let inner = tape.scale(inner, adapter.scale())?;
            tape.beside(&hidden, &inner)
        })
    }
}

impl Tape {
    /// `x` with the columns `ids` replaced by those of `y`.
    pub(super) fn with_columns(&mut self, x: &Value, y: &Value, ids: &[u32]) -> Result<Value> {
        let (x_now, y_now) = (x.tensor(), y.tensor());
        let place = |value: Tensor, (column, id): (usize, &u32)| {
            value.slice_scatter(&y_now.narrow(1, column, 1)?, 1, *id as usize)
        };
        let value = ids.iter().enumerate().try_fold(x_now.clone(), place)?;
        let (ids, wanted) = (ids.to_vec(), [x.is_tracked(), y.is_tracked()]);
        Ok(self.push("columns", [x, y], [], value, move |grad: &Tensor| {
            let of_y = grad.index_select(&Tensor::new(ids.as_slice(), grad.device())?, 1)?;
            let zero = of_y.narrow(1, 0, 1)?.zeros_like()?;
            let clear = |grad: Tensor, id: &u32| grad.slice_scatter(&zero, 1, *id as usize);
            let of_x = wanted[0].then(|| ids.iter().try_fold(grad.clone(), clear)).transpose()?;
            Ok([of_x, wanted[1].then_some(of_y)])
        }))
    }
}
