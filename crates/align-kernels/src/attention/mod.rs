//! Attention over a packed stream: no padding, prompts computed once for all their completions.
//!
//! One primitive serves training and decoding: a [`Segment`] is a range of query rows and the key rows
//! that form its context.

pub(crate) mod composed;
mod cpu;

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use crate::cpu::is_f32_on_cpu;
pub(crate) use cpu::Attention;

/// A run of query rows and the key rows they attend to.
///
/// The key ranges, one after the other, are the segment's context; it ends with the queries' own rows.
/// Attention is causal from the end: of `n` queries and `m` keys, query `i` sees keys `0 ..= m − n + i`.
/// A prompt is one segment over itself; a completion lists the prompt's rows before its own and so
/// sees all of them; in decoding the context is a range of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Rows of the query tensor.
    pub queries: Range<usize>,
    /// Rows of the key and value tensors, in order of position.
    pub keys: Vec<Range<usize>>,
}

impl Segment {
    /// Number of keys in the context.
    pub fn context(&self) -> usize {
        self.keys.iter().map(Range::len).sum()
    }
}

/// Softmax attention `softmax(scale · q kᵀ) v` per segment.
///
/// `q` is `[tokens, heads, head_dim]`, `k` and `v` are `[keys, kv_heads, head_dim]`; `heads` is a
/// multiple of `kv_heads` (grouped-query attention, Ainslie et al. 2023). The result is
/// `[tokens, heads, head_dim]`. With `window`, a query sees only the last `window` keys up to its own.
/// Nothing of size tokens² is kept: the backward pass computes the probabilities again.
///
/// # Errors
/// If the shapes do not fit, the segments do not cover the queries in order, the window is 0, or (when
/// gradients are wanted) key ranges overlap without being equal.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &[Segment],
    scale: f64,
    window: Option<usize>,
) -> Result<Tensor> {
    check(q, k, v, segments, window)?;
    if q.track_op() || k.track_op() || v.track_op() {
        check_apart(segments)?;
    }
    if is_f32_on_cpu(&[q, k, v]) {
        return cpu::attention(q, k, v, segments, scale, window);
    }
    composed::attention(q, k, v, segments, scale, window)
}

pub(crate) fn check(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &[Segment],
    window: Option<usize>,
) -> Result<()> {
    if window == Some(0) {
        bail!("attention: in a window of 0 keys a query does not see its own; use at least 1, or no window");
    }
    let (tokens, heads, head_dim) = q.dims3()?;
    let (keys, kv_heads, key_dim) = k.dims3()?;
    if k.dims() != v.dims() || head_dim != key_dim || heads % kv_heads != 0 {
        bail!("attention: shapes do not fit: q {:?}, k {:?}, v {:?}", q.shape(), k.shape(), v.shape());
    }
    let mut next = 0;
    for segment in segments {
        if segment.queries.start != next || segment.queries.is_empty() {
            bail!(
                "attention: segments must cover the {tokens} query rows in order, got {:?} at row {next}",
                segment.queries
            );
        }
        next = segment.queries.end;
        if segment.keys.iter().any(|range| range.end > keys || range.is_empty())
            || segment.context() < segment.queries.len()
        {
            bail!("attention: segment {segment:?} does not fit {keys} keys");
        }
    }
    if next != tokens {
        bail!("attention: segments cover {next} of {tokens} query rows");
    }
    Ok(())
}

/// Refuses key ranges that overlap without being equal: the rows of a range are one part of a gradient.
pub(crate) fn check_apart(segments: &[Segment]) -> Result<()> {
    let mut ranges: Vec<&Range<usize>> = segments.iter().flat_map(|segment| &segment.keys).collect();
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges.dedup();
    match ranges.windows(2).find(|pair| pair[1].start < pair[0].end) {
        Some(pair) => bail!("attention: key ranges {:?} and {:?} overlap", pair[0], pair[1]),
        None => Ok(()),
    }
}
