//! The first half of a decoder layer of Llama: attention over normalised rows, added to the rows.
//!
//! As one op because candle's backward pass fills a zeroed tensor for the gradient of every tensor in between
//! and adds to it, on one thread; and because the last layer of a model need not answer for all rows.

pub(crate) mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::cpu::is_f32_on_cpu;
use crate::linear::Layer;
use crate::{Param, Rope, Segment};

/// What [`attention_block`] has beside its input.
#[derive(Clone, Copy, Debug)]
pub struct AttentionBlock<'a> {
    /// Weight `[hidden]` of the norm in front.
    pub norm: &'a Param,
    /// ε of that norm.
    pub norm_epsilon: f64,
    /// `[heads · head_dim, hidden]`.
    pub query: Layer<'a>,
    /// `[kv_heads · head_dim, hidden]`.
    pub key: Layer<'a>,
    /// `[kv_heads · head_dim, hidden]`.
    pub value: Layer<'a>,
    /// `[hidden, heads · head_dim]`.
    pub output: Layer<'a>,
    /// Width of a head.
    pub head_dim: usize,
    /// The rotation of queries and keys.
    pub rotation: &'a Rope,
    /// Who sees whom.
    pub segments: &'a [Segment],
    /// How many keys a query sees; none for all.
    pub window: Option<usize>,
}

impl<'a> AttentionBlock<'a> {
    fn layers(&self) -> [Layer<'a>; 4] {
        [self.query, self.key, self.value, self.output]
    }

    fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }
}

/// `y = x + output(attention(rope(query(n)), rope(key(n)), value(n)))` with `n = rms_norm(x)`, the scores scaled by
/// `1 / √head_dim`: `[tokens, hidden]` → `[tokens, hidden]`; with `rows` (u32), which may repeat, only these rows of
/// `y`: `[rows, hidden]`.
///
/// Values are to the bit those of the separate ops, and so are gradients but for the order in which those of
/// repeated rows are summed.
///
/// # Errors
/// If the shapes do not fit or there is no such row.
pub fn attention_block(x: &Tensor, block: &AttentionBlock<'_>, rows: Option<&Tensor>) -> Result<Tensor> {
    let layers = block.layers();
    let params =
        layers.iter().flat_map(|(weight, bias)| [Some(*weight), *bias]).flatten().chain([block.norm]);
    // The one input that the op is recorded for is `x`: if it is not tracked, the separate ops are.
    if x.track_op() && is_f32_on_cpu(&[x]) && params.into_iter().all(|param| is_f32_on_cpu(&[param.tensor()]))
    {
        cpu::attention_block(x, block, rows)
    } else {
        composed::attention_block(x, block, rows)
    }
}

/// [`attention_block`] where the keys `[tokens, kv_heads, head_dim]` and values of `x` go through `extend`, which returns
/// all that the block's segments refer to: decoding with a cache.
///
/// # Errors
/// As [`attention_block`]; what `extend` raises.
pub fn cached_attention_block(
    x: &Tensor,
    block: &AttentionBlock<'_>,
    rows: Option<&Tensor>,
    extend: impl FnOnce(Tensor, Tensor) -> Result<(Tensor, Tensor)>,
) -> Result<Tensor> {
    composed::cached_attention_block(x, block, rows, extend)
}
