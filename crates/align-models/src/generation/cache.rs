//! Keys and values of the tokens so far: one buffer per layer, allocated once and written in place.

use candle_core::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, bail};

use crate::{DecoderConfig, KeyValues};

/// Room for the tokens of all sequences underway. Who has which rows is the scheduler's business.
#[derive(Debug)]
pub(super) struct Cache {
    keys: Vec<Tensor>, // per layer: [capacity, kv_heads, head_dim]
    values: Vec<Tensor>,
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
    2 * config.layers * config.kv_heads * config.head_dim * dtype.size_in_bytes()
}

impl Cache {
    pub(super) fn new(
        config: &DecoderConfig,
        capacity: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let buffers = || -> Result<Vec<Tensor>> {
            let shape = (capacity, config.kv_heads, config.head_dim);
            (0..config.layers).map(|_| Tensor::zeros(shape, dtype, device)).collect()
        };
        Ok(Self { keys: buffers()?, values: buffers()?, destinations: Destinations::Rows(Vec::new()) })
    }

    /// Says which row each of the next stream's tokens goes to.
    pub(super) fn write_to(&mut self, rows: Vec<u32>) -> Result<()> {
        let Some(buffer) = self.keys.first() else { return Ok(()) };
        let (_, kv_heads, head_dim) = buffer.dims3()?;
        self.destinations = if buffer.device().is_cpu() && buffer.dtype() == DType::F32 {
            Destinations::Rows(rows)
        } else {
            let tokens = rows.len();
            let rows = Tensor::from_vec(rows, (tokens, 1, 1), buffer.device())?;
            Destinations::Elements(rows.broadcast_as((tokens, kv_heads, head_dim))?.contiguous()?)
        };
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

/// Row i of the second operand to row `.0[i]` of the first; both contiguous, of the same width.
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
        let (CpuStorage::F32(to), CpuStorage::F32(from), Some((start, end))) =
            (to, from, layout.contiguous_offsets())
        else {
            bail!("put_rows: expected contiguous f32");
        };
        if end - start != self.0.len() * width {
            bail!("put_rows: expected {} rows of {width}, got {:?}", self.0.len(), layout.shape());
        }
        let first = to_layout.start_offset();
        for (row, &place) in from[start..end].chunks_exact(width).zip(self.0) {
            let place = first + place as usize * width;
            to[place..place + width].copy_from_slice(row);
        }
        Ok(())
    }
}
