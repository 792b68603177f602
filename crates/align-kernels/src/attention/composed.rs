//! Segment attention by ordinary tensor ops, one segment after the other: the definition, the fallback
//! on every device, and the oracle of any faster form.

use std::collections::BTreeMap;
use std::ops::Range;

use candle_core::{D, Result, Tensor, bail};

use super::{Looking, Segment, Segments};
use crate::tape::wide;

/// The result for `q`, `k`, `v`; the segments are taken to fit.
pub(super) fn forward([q, k, v]: &[Tensor; 3], segments: &Segments, looking: Looking) -> Result<Tensor> {
    let heads = q.dim(1)?;
    let outputs = segments.iter().map(|segment| {
        let own = Heads::of([q, k, v], segment)?;
        let (p, _) = own.probabilities(segments, looking)?;
        ungroup(&p.to_dtype(q.dtype())?.matmul(&own.v)?, heads, own.n)
    });
    Tensor::cat(&outputs.collect::<Result<Vec<_>>>()?, 0)
}

/// Gradients of `q`, `k`, `v`. With `P` the probabilities and `g` the gradient of the output `P v`:
/// `dv = Pᵀ g`, `dS = P ⊙ (g vᵀ − rowsum(P ⊙ g vᵀ))`, `dq = scale · dS k`, `dk = scale · dSᵀ q`.
pub(super) fn backward(
    [q, k, v]: &[Tensor; 3],
    grad: &Tensor,
    segments: &Segments,
    looking: Looking,
) -> Result<[Tensor; 3]> {
    let (_, heads, _) = q.dims3()?;
    let (_, kv_heads, _) = k.dims3()?;
    let mut dq = Vec::with_capacity(segments.len());
    let (mut dk, mut dv) = (RowSums::default(), RowSums::default());
    for segment in segments.iter() {
        let own = Heads::of([q, k, v], segment)?;
        let (p, slope) = own.probabilities(segments, looking)?; // [kv_heads, group · n, m]
        let g = group(&grad.narrow(0, segment.queries.start, own.n)?, kv_heads)?;
        let dp = wide(&g.matmul(&own.v.transpose(1, 2)?)?)?;
        let centre = (&p * &dp)?.sum_keepdim(D::Minus1)?;
        let mut ds = ((&p * dp.broadcast_sub(&centre)?)? * looking.scale)?;
        if let Some(slope) = slope {
            ds = (ds * slope)?;
        }
        let (ds, p) = (ds.to_dtype(q.dtype())?, p.to_dtype(q.dtype())?);
        dq.push(ungroup(&ds.matmul(&own.k)?, heads, own.n)?);
        dk.add(segment, &ds.transpose(1, 2)?.matmul(&own.q)?.transpose(0, 1)?)?;
        dv.add(segment, &p.transpose(1, 2)?.matmul(&g)?.transpose(0, 1)?)?;
    }
    Ok([Tensor::cat(&dq, 0)?, dk.total(k)?, dv.total(v)?])
}

/// One segment's rows, heads first, the query heads that share a key head stacked.
struct Heads {
    q: Tensor, // [kv_heads, group · n, head_dim]
    k: Tensor, // [kv_heads, m, head_dim]
    v: Tensor,
    n: usize,
}

impl Heads {
    fn of([q, k, v]: [&Tensor; 3], segment: &Segment) -> Result<Self> {
        let n = segment.queries.len();
        Ok(Self {
            q: group(&q.narrow(0, segment.queries.start, n)?, k.dim(1)?)?,
            k: context(k, &segment.keys)?.to_dtype(q.dtype())?,
            v: context(v, &segment.keys)?.to_dtype(q.dtype())?,
            n,
        })
    }

    /// The probabilities `[kv_heads, group · n, m]`, and the slope of the scores' cap, if they have one. Scores of half
    /// precision become f32 before the softmax, as in transformers.
    fn probabilities(&self, segments: &Segments, looking: Looking) -> Result<(Tensor, Option<Tensor>)> {
        let (kv_heads, rows, m) = (self.k.dim(0)?, self.q.dim(1)?, self.k.dim(1)?);
        let mut scores = (wide(&self.q.matmul(&self.k.transpose(1, 2)?)?)? * looking.scale)?;
        let mut slope = None;
        if let Some(by) = looking.softcap {
            scores = by.of(&scores)?;
            slope = Some(by.slope(&scores)?);
        }
        if let Some(mask) = segments.mask(self.n, m, looking.window, scores.dtype(), scores.device())? {
            let grouped = scores.reshape((kv_heads, rows / self.n, self.n, m))?;
            scores = grouped.broadcast_add(&mask)?.reshape((kv_heads, rows, m))?;
        }
        // Every row holds at least its own key, so the maximum is finite.
        let exp = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        Ok((exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?, slope))
    }
}

/// `[n, heads, head_dim]` → `[kv_heads, group · n, head_dim]`.
fn group(x: &Tensor, kv_heads: usize) -> Result<Tensor> {
    let (n, heads, head_dim) = x.dims3()?;
    let group = heads / kv_heads;
    x.reshape((n, kv_heads, group, head_dim))?.permute((1, 2, 0, 3))?.reshape((kv_heads, group * n, head_dim))
}

/// The inverse of [`group`].
fn ungroup(x: &Tensor, heads: usize, n: usize) -> Result<Tensor> {
    let (kv_heads, _, head_dim) = x.dims3()?;
    let grouped = x.reshape((kv_heads, heads / kv_heads, n, head_dim))?;
    grouped.permute((2, 0, 1, 3))?.reshape((n, heads, head_dim))
}

/// The rows of all ranges, heads first: `[kv_heads, m, head_dim]`.
fn context(x: &Tensor, ranges: &[Range<usize>]) -> Result<Tensor> {
    let parts = ranges.iter().map(|range| x.narrow(0, range.start, range.len()));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let rows = if let [only] = parts.as_slice() { only.clone() } else { Tensor::cat(&parts, 0)? };
    rows.transpose(0, 1)?.contiguous()
}

/// Gradient rows by the key range they belong to.
#[derive(Default)]
struct RowSums(BTreeMap<usize, (Range<usize>, Tensor)>);

impl RowSums {
    /// Adds `[m, kv_heads, head_dim]` rows to the ranges of the segment's context.
    fn add(&mut self, segment: &Segment, rows: &Tensor) -> Result<()> {
        let mut offset = 0;
        for range in &segment.keys {
            let part = rows.narrow(0, offset, range.len())?;
            offset += range.len();
            let sum = match self.0.remove(&range.start) {
                None => part.contiguous()?,
                Some((known, sum)) if known == *range => (sum + part)?,
                Some((known, _)) => bail!("attention: key ranges {known:?} and {range:?} overlap"),
            };
            self.0.insert(range.start, (range.clone(), sum));
        }
        Ok(())
    }

    /// All rows of a gradient shaped like `like`; rows that no segment saw are zero.
    fn total(self, like: &Tensor) -> Result<Tensor> {
        let (rows, kv_heads, head_dim) = like.dims3()?;
        let zeros = |n: usize| Tensor::zeros((n, kv_heads, head_dim), like.dtype(), like.device());
        let (mut parts, mut next) = (Vec::new(), 0);
        for (range, sum) in self.0.into_values() {
            if range.start < next {
                bail!("attention: key ranges overlap at row {}", range.start);
            }
            if range.start > next {
                parts.push(zeros(range.start - next)?);
            }
            next = range.end;
            parts.push(sum);
        }
        if next < rows {
            parts.push(zeros(rows - next)?);
        }
        Tensor::cat(&parts, 0)
    }
}
