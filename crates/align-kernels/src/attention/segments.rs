//! Who sees whom in a packed stream.

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Tensor, bail};

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

/// The segments of a stream, which cover its queries in order, and the masks that come of them: made once for all
/// layers. Cloning shares both.
#[derive(Clone, Debug, Default)]
pub struct Segments(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    segments: Vec<Segment>,
    masks: Mutex<HashMap<Shape, Tensor>>,
}

/// Queries, keys and window of a mask, and what it is added to.
type Shape = (usize, usize, usize, DType);

impl From<Vec<Segment>> for Segments {
    fn from(segments: Vec<Segment>) -> Self {
        Self(Arc::new(Inner { segments, masks: Mutex::default() }))
    }
}

impl Deref for Segments {
    type Target = [Segment];

    fn deref(&self) -> &[Segment] {
        &self.0.segments
    }
}

impl Segments {
    /// Refuses key ranges that overlap without being equal: the rows of a range are one part of a gradient.
    pub(super) fn check_apart(&self) -> Result<()> {
        let mut ranges: Vec<&Range<usize>> = self.iter().flat_map(|segment| &segment.keys).collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        ranges.dedup();
        match ranges.windows(2).find(|pair| pair[1].start < pair[0].end) {
            Some(pair) => bail!("attention: key ranges {:?} and {:?} overlap", pair[0], pair[1]),
            None => Ok(()),
        }
    }

    /// 0 where one of `n` queries may look at one of `m` keys and −∞ elsewhere, `[n, m]`; none if all may look
    /// everywhere.
    pub(super) fn mask(
        &self,
        n: usize,
        m: usize,
        window: Option<usize>,
        dtype: DType,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        let window = window.unwrap_or(usize::MAX);
        if n == 1 && m <= window {
            return Ok(None);
        }
        let mut masks = self.0.masks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mask) = masks.get(&(n, m, window, dtype)) {
            return Ok(Some(mask.clone()));
        }
        let places = |from: usize, to: usize| Tensor::arange(from as f32, to as f32, device);
        let ahead = places(m - n, m)?.unsqueeze(1)?.broadcast_sub(&places(0, m)?.unsqueeze(0)?)?;
        let visible = (ahead.ge(0f32)? * ahead.lt(window as f32)?)?;
        let zeros = ahead.zeros_like()?;
        let mask = visible.where_cond(&zeros, &(&zeros + f64::NEG_INFINITY)?)?.to_dtype(dtype)?;
        masks.insert((n, m, window, dtype), mask.clone());
        Ok(Some(mask))
    }
}
