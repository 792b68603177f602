//! The block of separate ops.

use candle_core::{Result, Tensor};

use super::AttentionBlock;
use crate::{attention, linear, linears, rms_norm, rope};

/// See [`attention_block`](crate::attention_block).
pub fn attention_block(x: &Tensor, block: &AttentionBlock<'_>, rows: Option<&Tensor>) -> Result<Tensor> {
    cached_attention_block(x, block, rows, |keys, values| Ok((keys, values)))
}

/// See [`cached_attention_block`](crate::cached_attention_block).
pub(super) fn cached_attention_block(
    x: &Tensor,
    block: &AttentionBlock<'_>,
    rows: Option<&Tensor>,
    extend: impl FnOnce(Tensor, Tensor) -> Result<(Tensor, Tensor)>,
) -> Result<Tensor> {
    let (tokens, dim) = (x.dim(0)?, block.head_dim);
    let normalised = rms_norm(x, block.norm, block.norm_epsilon)?;
    let [query, key, value] = linears(&normalised, [block.query, block.key, block.value])?;
    let heads = |x: Tensor| x.reshape((tokens, x.dim(1)? / dim, dim));
    let query = rope(&heads(query)?, block.rotation)?;
    let key = rope(&heads(key)?, block.rotation)?;
    let (keys, values) = extend(key, heads(value)?)?;
    let mixed = attention(&query, &keys, &values, block.segments, block.scale(), block.window)?;
    let wanted = |x: Tensor| match rows {
        Some(rows) => x.contiguous()?.index_select(&rows.contiguous()?, 0),
        None => Ok(x),
    };
    let mixed = wanted(mixed.flatten_from(1)?)?;
    wanted(x.clone())? + linear(&mixed, block.output.0, block.output.1)?
}
