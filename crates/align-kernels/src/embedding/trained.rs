//! Rows of a table that are trained while the others stay.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use crate::{Param, Tape, Value, Weight};

/// Rows of an embedding, or of a head, that a parameter has in the place of the table's own: those of some tokens (PEFT's
/// `trainable_token_indices`). Cloning shares them.
#[derive(Clone, Debug)]
pub struct TrainedRows {
    ids: Arc<[u32]>,
    values: Param,
}

impl TrainedRows {
    /// The rows `ids`, each once, as `values` `[ids, width]` has them.
    ///
    /// # Errors
    /// If there are more or fewer rows than ids; an id that is there twice.
    pub fn new(ids: &[u32], values: &Param) -> Result<Self> {
        let (rows, _) = values.tensor().dims2()?;
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        if rows != ids.len() || sorted.len() != ids.len() {
            bail!("trained rows: expected {} different ids, got {ids:?}", rows);
        }
        Ok(Self { ids: ids.into(), values: values.clone() })
    }

    /// The rows' numbers, in the order of the values.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// `[ids, width]`.
    pub fn values(&self) -> &Param {
        &self.values
    }

    /// The table `[rows, width]` with these rows in the place of its own, outside any graph.
    ///
    /// # Errors
    /// If it has no such rows.
    pub fn placed_in(&self, table: &Tensor) -> Result<Tensor> {
        let values = self.values.tensor().detach();
        let place = |table: Tensor, (place, id): (usize, &u32)| {
            table.slice_scatter(&values.narrow(0, place, 1)?, 0, *id as usize)
        };
        self.ids.iter().enumerate().try_fold(table.clone(), place)
    }

    /// Which of the values stands in for a row, if one does.
    pub(crate) fn place(&self, row: usize) -> Option<usize> {
        self.ids.iter().position(|id| *id as usize == row)
    }

    /// Refuses rows that a table does not have.
    pub(crate) fn check(&self, table: &Weight) -> Result<()> {
        let (rows, width) = table.shape()?;
        if self.values.tensor().dim(1)? != width || self.ids.iter().any(|id| *id as usize >= rows) {
            let (ids, shape) = (&self.ids, self.values.tensor().shape());
            bail!("trained rows: expected rows of a table [{rows}, {width}], got {shape:?} for {ids:?}");
        }
        Ok(())
    }
}

impl Tape {
    /// [`Tape::embedding`] of a table of which some rows are trained.
    ///
    /// # Errors
    /// As [`Tape::embedding`]; if the table has no such rows.
    pub fn embedding_with_rows(
        &mut self,
        ids: &Tensor,
        table: &Weight,
        trained: &TrainedRows,
    ) -> Result<Value> {
        trained.check(table)?;
        let rows = self.embedding(ids, table)?;
        let places =
            ids.to_vec1::<u32>()?.into_iter().map(|id| trained.place(id as usize)).collect::<Vec<_>>();
        let column = |value: &dyn Fn(&Option<usize>) -> f32| {
            let values: Vec<f32> = places.iter().map(value).collect();
            Tensor::from_vec(values, (places.len(), 1), ids.device())?.to_dtype(rows.tensor().dtype())
        };
        // 1 and 0 as factors: what is multiplied with 0 is a number, and adds nothing.
        let own = column(&|place| f32::from(u8::from(place.is_some())))?;
        let other = column(&|place| f32::from(u8::from(place.is_none())))?;
        let places: Vec<u32> = places.iter().map(|place| place.unwrap_or(0) as u32).collect();
        let places = Tensor::from_vec(places, ids.dim(0)?, ids.device())?;
        let trained = self.embedding(&places, &Weight::dense(&trained.values))?;
        let trained = self.scale_rows(&trained, &own)?;
        let rows = self.scale_rows(&rows, &other)?;
        self.add(&trained, rows)
    }
}
