//! Keys and values of the tokens so far: one buffer per layer, written in place. What is usual is allocated once; where one
//! sequence alone may need more than that, the buffers grow with it.

use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, bail};
use half::slice::HalfFloatSliceExt;

use crate::{DecoderConfig, Error, KeyValues};

/// Room for the tokens of all sequences underway. Who has which rows is the scheduler's business.
#[derive(Debug)]
pub(super) struct Cache {
    keys: Vec<Tensor>, // per layer: [rows, kv_heads, head_dim]
    values: Vec<Tensor>,
    rows: usize,
    /// Rows that it may grow to.
    capacity: usize,
    /// Row of the buffers that each of the next stream's tokens goes to.
    destinations: Destinations,
}

#[derive(Debug)]
enum Destinations {
    /// Main memory: rows are copied one by one.
    Rows(Vec<u32>),
    /// Elsewhere: an index per element, `[tokens, kv_heads, head_dim]`, so that one kernel writes them.
    Elements(Tensor),
}

/// Bytes that a token takes in all layers.
pub(super) fn token_bytes(config: &DecoderConfig, dtype: DType) -> usize {
    let widths =
        config.layers.iter().map(|layer| layer.attention.key.outputs + layer.attention.value.outputs);
    widths.sum::<usize>() * dtype.size_in_bytes()
}

impl Cache {
    /// With room for `at_first` rows, if `capacity` is not less.
    pub(super) fn new(
        config: &DecoderConfig,
        capacity: usize,
        at_first: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let rows = capacity.min(at_first);
        let buffers = || -> Result<Vec<Tensor>> {
            let attentions = config.layers.iter().map(|layer| &layer.attention);
            let shapes = attentions.map(|attention| (rows, attention.kv_heads(), attention.head_dim));
            shapes.map(|shape| Tensor::zeros(shape, dtype, device)).collect()
        };
        let destinations = Destinations::Rows(Vec::new());
        Ok(Self { keys: buffers()?, values: buffers()?, rows, capacity, destinations })
    }

    /// Says which row each of the next stream's tokens goes to.
    ///
    /// # Errors
    /// If there is no memory for that many rows.
    pub(super) fn write_to(&mut self, rows: Vec<u32>) -> crate::Result<()> {
        let needed = rows.iter().max().map_or(0, |&row| row as usize + 1);
        if needed > self.rows {
            self.grow(needed)?;
        }
        let Some(buffer) = self.keys.first() else { return Ok(()) };
        let (_, kv_heads, head_dim) = buffer.dims3()?;
        self.destinations = if buffer.device().is_cpu() && matches!(buffer.dtype(), DType::F32 | DType::BF16)
        {
            Destinations::Rows(rows)
        } else {
            let tokens = rows.len();
            let rows = Tensor::from_vec(rows, (tokens, 1, 1), buffer.device())?;
            Destinations::Elements(rows.broadcast_as((tokens, kv_heads, head_dim))?.contiguous()?)
        };
        Ok(())
    }

    /// To `needed` rows, or twice as many as there are, so that a row is moved once on average.
    fn grow(&mut self, needed: usize) -> crate::Result<()> {
        let rows = needed.max(self.rows.saturating_mul(2)).min(self.capacity.max(needed));
        let buffers = || self.keys.iter().chain(&self.values);
        let bytes = buffers().try_fold(0_u64, |sum, buffer| {
            let width =
                buffer.elem_count().checked_div(self.rows).unwrap_or(0) * buffer.dtype().size_in_bytes();
            sum.checked_add((width as u64).checked_mul(rows as u64)?)
        });
        let short = |shortage| Error::Config(format!("keys and values of {rows} tokens: {shortage}"));
        align_limits::memory::check(bytes).map_err(short)?;
        for buffer in self.keys.iter_mut().chain(&mut self.values) {
            let (_, kv_heads, head_dim) = buffer.dims3()?;
            let larger = Tensor::zeros((rows, kv_heads, head_dim), buffer.dtype(), buffer.device())?;
            larger.slice_set(buffer, 0, 0)?;
            *buffer = larger;
        }
        self.rows = rows;
        Ok(())
    }
}

impl KeyValues for Cache {
    fn extend(&mut self, layer: usize, key: Tensor, value: Tensor) -> Result<(Tensor, Tensor)> {
        let (keys, values) = (&self.keys[layer], &self.values[layer]);
        for (buffer, new) in [(keys, key.contiguous()?), (values, value.contiguous()?)] {
            match &self.destinations {
                Destinations::Rows(rows) => buffer.inplace_op2(&new, &PutRows(rows))?,
                Destinations::Elements(index) => buffer.scatter_set(index, &new, 0)?,
            }
        }
        Ok((keys.clone(), values.clone()))
    }
}

/// Row i of the second operand, of f32, to row `.0[i]` of the first; both contiguous, of the same width.
struct PutRows<'a>(&'a [u32]);

impl InplaceOp2 for PutRows<'_> {
    fn name(&self) -> &'static str {
        "put_rows"
    }

    fn cpu_fwd(
        &self,
        to: &mut CpuStorage,
        to_layout: &Layout,
        from: &CpuStorage,
        layout: &Layout,
    ) -> Result<()> {
        let width: usize = to_layout.dims()[1..].iter().product();
        let (CpuStorage::F32(from), Some((start, end))) = (from, layout.contiguous_offsets()) else {
            bail!("put_rows: expected contiguous f32");
        };
        if end - start != self.0.len() * width {
            bail!("put_rows: expected {} rows of {width}, got {:?}", self.0.len(), layout.shape());
        }
        let first = to_layout.start_offset();
        let places =
            self.0.iter().map(|&row| first + row as usize * width..first + (row as usize + 1) * width);
        let rows = from[start..end].chunks_exact(width).zip(places);
        match to {
            CpuStorage::F32(to) => rows.for_each(|(row, place)| to[place].copy_from_slice(row)),
            // They are rounded already.
            CpuStorage::BF16(to) => rows.for_each(|(row, place)| to[place].convert_from_f32_slice(row)),
            _ => bail!("put_rows: expected a cache of f32 or bf16"),
        }
        Ok(())
    }
}
