//! Keys and values of the tokens so far: one buffer per layer, each sequence in a range of its own.

use std::ops::Range;

use candle_core::{DType, Device, Result, Tensor};

use crate::{DecoderConfig, KeyValues};

/// Room for a batch of sequences, allocated once and written in place.
#[derive(Debug)]
pub(super) struct Cache {
    keys: Vec<Tensor>, // per layer: [capacity, kv_heads, head_dim]
    values: Vec<Tensor>,
    /// Rows of the buffers that the next stream's tokens go to, run by run.
    destinations: Vec<Range<usize>>,
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
        Ok(Self { keys: buffers()?, values: buffers()?, destinations: Vec::new() })
    }

    /// Says where the next stream's tokens go; their number is that of the stream's tokens.
    pub(super) fn write_to(&mut self, destinations: Vec<Range<usize>>) {
        self.destinations = destinations;
    }
}

impl KeyValues for Cache {
    fn extend(&mut self, layer: usize, key: Tensor, value: Tensor) -> Result<(Tensor, Tensor)> {
        let mut row = 0;
        for range in &self.destinations {
            let part = |x: &Tensor| x.narrow(0, row, range.len())?.contiguous();
            self.keys[layer].slice_set(&part(&key)?, 0, range.start)?;
            self.values[layer].slice_set(&part(&value)?, 0, range.start)?;
            row += range.len();
        }
        Ok((self.keys[layer].clone(), self.values[layer].clone()))
    }
}
