//! Attention over a packed stream: no padding, prompts computed once for all their completions.
//!
//! One primitive serves training and decoding: a [`Segment`] is a range of query rows and the key rows
//! that form its context.

mod composed;
mod cpu;
mod segments;

use candle_core::{Result, Tensor, bail};

use crate::{SoftCap, Tape, Value, record};
pub use segments::{Segment, Segments};

/// The settings of attention, beside who sees whom: scale, window and soft cap.
#[derive(Clone, Copy, Debug)]
pub struct Looking {
    /// The factor of the products of queries and keys.
    pub scale: f64,
    /// The window: keys that a query sees, its own included; none for all.
    pub window: Option<usize>,
    /// The soft cap of the scaled products.
    pub softcap: Option<SoftCap>,
}

impl Tape {
    /// Softmax attention `softmax(cap(scale · q kᵀ)) v` per segment.
    ///
    /// `q` is `[tokens, heads, head_dim]`, `k` and `v` are `[keys, kv_heads, head_dim]`; `heads` is a
    /// multiple of `kv_heads` (grouped-query attention, Ainslie et al. 2023). The result is
    /// `[tokens, heads, head_dim]`. With a window, a query sees only the last `window` keys up to its own.
    /// Nothing of size tokens² is kept: the backward pass computes the probabilities again. Keys and values may be of bf16 beside
    /// queries of f32, as a cache holds them: they are widened, and have no gradient.
    ///
    /// # Errors
    /// If the shapes do not fit, the segments do not cover the queries in order, the window is 0, or (when
    /// gradients are wanted) key ranges overlap without being equal.
    pub fn attention(
        &mut self,
        [q, k, v]: [&Value; 3],
        segments: &Segments,
        looking: Looking,
    ) -> Result<Value> {
        check(q.tensor(), k.tensor(), v.tensor(), segments, looking.window)?;
        let wanted = [q, k, v].map(Value::is_tracked);
        if wanted != [false; 3] {
            segments.check_apart()?;
            if q.tensor().dtype() != k.tensor().dtype() {
                bail!(
                    "attention: keys of another type than the queries are a cache's, which has no gradient"
                );
            }
        }
        let operands = [q.keep(), k.keep(), v.keep()];
        let only_wanted = move |grads: [Tensor; 3]| {
            let mut wanted = wanted.into_iter();
            grads.map(|grad| wanted.next().unwrap_or(false).then_some(grad))
        };
        let segments = segments.clone();
        let [queries, keys, values] = operands.each_ref();
        let held = cpu::are_held_here([keys, values]) && Self::on_cpu(&[queries]);
        if held || Self::on_cpu(&[queries, keys, values]) {
            let (mixed, run) = cpu::Attention::run(operands, &segments, looking)?;
            let value = self.push("attention", [q, k, v], [], mixed, move |grad: &Tensor| {
                Ok(only_wanted(run.backward(&segments, grad)?))
            });
            value.keep();
            return Ok(value);
        }
        let mixed = composed::forward(&operands, &segments, looking)?;
        Ok(self.push("attention", [q, k, v], [], mixed, move |grad: &Tensor| {
            Ok(only_wanted(composed::backward(&operands, grad, &segments, looking)?))
        }))
    }
}

/// [`Tape::attention`] by itself.
///
/// # Errors
/// As [`Tape::attention`].
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    segments: &[Segment],
    scale: f64,
    window: Option<usize>,
) -> Result<Tensor> {
    let segments = Segments::from(segments.to_vec());
    record("attention", [q, k, v], |tape, [q, k, v]| {
        tape.attention([&q, &k, &v], &segments, Looking { scale, window, softcap: None })
    })
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, segments: &Segments, window: Option<usize>) -> Result<()> {
    if window == Some(0) {
        bail!("attention: in a window of 0 keys a query does not see its own; use at least 1, or no window");
    }
    let (tokens, heads, head_dim) = q.dims3()?;
    let (keys, kv_heads, key_dim) = k.dims3()?;
    if k.dims() != v.dims() || head_dim != key_dim || heads % kv_heads != 0 {
        bail!("attention: shapes do not fit: q {:?}, k {:?}, v {:?}", q.shape(), k.shape(), v.shape());
    }
    if k.dtype() != v.dtype() {
        bail!("attention: keys are {:?}, but values {:?}", k.dtype(), v.dtype());
    }
    let mut next = 0;
    for segment in segments.iter() {
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
