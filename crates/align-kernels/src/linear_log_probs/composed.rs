//! The head in row chunks of tensor ops, for every device and dtype.
//!
//! The forward pass keeps one number per row (the log-sum-exp), the backward pass computes each chunk's
//! logits again and turns them into their gradient.

use std::ops::Range;

use candle_core::{D, Result, Tensor};

use super::{TokenStats, Wide};
use crate::record;
use crate::tape::wide;

/// Memory for one chunk of logits. Chunks of fewer than about 512 rows make the weight gradient's
/// matrix product slow.
const CHUNK_BYTES: usize = 128 << 20;

/// See [`super::Head::log_probs`].
pub(super) fn log_probs(hidden: &Tensor, head: &Wide, labels: &Tensor) -> Result<Tensor> {
    in_chunks(hidden, head, labels, CHUNK_BYTES)
}

fn in_chunks(hidden: &Tensor, head: &Wide, labels: &Tensor, chunk_bytes: usize) -> Result<Tensor> {
    let chunks = Chunks::new(hidden, head, labels, chunk_bytes)?;
    let (mut log_probs, mut normalisers) = (Vec::new(), Vec::new());
    for range in chunks.ranges() {
        let logits = chunks.logits(&range)?;
        let normaliser = log_sum_exp(&logits)?; // [chunk, 1]
        log_probs.push((chunks.label_logits(&logits, &range)? - &normaliser)?);
        normalisers.push(normaliser);
    }
    chunks.record(hidden, &Tensor::cat(&log_probs, 0)?, normalisers)
}

/// See [`super::Head::smoothed_log_probs_with_stats`].
pub(super) fn log_probs_with_stats(
    hidden: &Tensor,
    head: &Wide,
    labels: &Tensor,
    smoothing: f64,
) -> Result<(Tensor, TokenStats)> {
    let chunks = Chunks { smoothing, ..Chunks::new(hidden, head, labels, CHUNK_BYTES)? };
    let (mut log_probs, mut normalisers) = (Vec::new(), Vec::new());
    let (mut entropy, mut correct, mut log_sum_sq_probs) = (Vec::new(), Vec::new(), Vec::new());
    for range in chunks.ranges() {
        let logits = chunks.logits(&range)?;
        let normaliser = log_sum_exp(&logits)?;
        let p = logits.broadcast_sub(&normaliser)?.exp()?;
        // A logit of −∞ has no share: 0, where 0 · (−∞) would be NaN.
        let possible = p.gt(0f64)?.where_cond(&logits, &logits.zeros_like()?)?;
        let expected_logit = (&p * possible)?.sum(D::Minus1)?;
        entropy.push((normaliser.squeeze(1)? - expected_logit)?);
        correct.push(logits.argmax(D::Minus1)?.eq(&chunks.labels(&range)?)?.to_dtype(logits.dtype())?);
        // The largest p is at least 1/vocab, so the sum cannot vanish.
        log_sum_sq_probs.push(p.sqr()?.sum(D::Minus1)?.log()?);
        let label_logits = match smoothing {
            0.0 => chunks.label_logits(&logits, &range)?,
            _ => {
                let of_labels = (chunks.label_logits(&logits, &range)? * (1.0 - smoothing))?;
                (of_labels + (logits.mean_keepdim(D::Minus1)? * smoothing)?)?
            }
        };
        log_probs.push((label_logits - &normaliser)?);
        normalisers.push(normaliser);
    }
    let stats = TokenStats {
        entropy: Tensor::cat(&entropy, 0)?,
        correct: Tensor::cat(&correct, 0)?,
        log_sum_sq_probs: Tensor::cat(&log_sum_sq_probs, 0)?,
    };
    Ok((chunks.record(hidden, &Tensor::cat(&log_probs, 0)?, normalisers)?, stats))
}

/// The detached operands and how their rows are cut.
struct Chunks {
    hidden: Tensor,
    head: Wide,
    labels: Tensor,
    rows: usize,
    per_chunk: usize,
    /// ε of smoothed labels.
    smoothing: f64,
}

impl Chunks {
    fn new(hidden: &Tensor, head: &Wide, labels: &Tensor, chunk_bytes: usize) -> Result<Self> {
        let (rows, _) = hidden.dims2()?;
        let (vocab, _) = head.weight.shape()?;
        let row_bytes = vocab * hidden.dtype().size_in_bytes();
        Ok(Self {
            hidden: head.weight.precision().rounded(&hidden.detach().contiguous()?)?,
            head: head.clone(),
            labels: labels.clone(),
            rows,
            per_chunk: (chunk_bytes / row_bytes).clamp(1, rows),
            smoothing: 0.0,
        })
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, per_chunk) = (self.rows, self.per_chunk);
        (0..rows).step_by(per_chunk).map(move |start| start..rows.min(start + per_chunk))
    }

    fn hidden(&self, range: &Range<usize>) -> Result<Tensor> {
        self.hidden.narrow(0, range.start, range.len())
    }

    fn labels(&self, range: &Range<usize>) -> Result<Tensor> {
        self.labels.narrow(0, range.start, range.len())
    }

    fn logits(&self, range: &Range<usize>) -> Result<Tensor> {
        let logits = wide(&self.hidden(range)?.matmul(&self.head.dense(&self.hidden)?.t()?)?)?;
        self.head.softcap.map_or(Ok(logits.clone()), |by| by.of(&logits))
    }

    fn label_logits(&self, logits: &Tensor, range: &Range<usize>) -> Result<Tensor> {
        logits.gather(&self.labels(range)?.unsqueeze(1)?.contiguous()?, 1)
    }

    /// Puts the `[rows, 1]` values in the graph. With `p` a row's probabilities and `g` its gradient, the
    /// gradient of its logits is `g (onehot(label) − p)`; of smoothed labels `g ((1 − ε) onehot(label) + ε / vocab − p)`.
    fn record(self, hidden: &Tensor, log_probs: &Tensor, normalisers: Vec<Tensor>) -> Result<Tensor> {
        let value = log_probs.squeeze(1)?.contiguous()?;
        let weight = self.head.trained().cloned();
        let buffer = weight.as_ref().and_then(|weight| weight.grad_buffer().cloned());
        let hidden_is_tracked = hidden.track_op();
        let backward = move |grad: &Tensor| {
            let mut d_hidden = Vec::new();
            for (range, normaliser) in self.ranges().zip(&normalisers) {
                let grad = grad.narrow(0, range.start, range.len())?.unsqueeze(1)?.contiguous()?;
                let logits = self.logits(&range)?;
                let p = logits.broadcast_sub(normaliser)?.exp()?;
                let labels = self.labels(&range)?.unsqueeze(1)?.contiguous()?;
                let even_share = self.smoothing / logits.dim(D::Minus1)? as f64;
                let p = if self.smoothing == 0.0 { p } else { (p - even_share)? };
                let of_label = (&grad * (1.0 - self.smoothing))?;
                let mut d_logits = p.broadcast_mul(&grad.neg()?)?.scatter_add(&labels, &of_label, 1)?;
                if let Some(by) = self.head.softcap {
                    d_logits = (d_logits * by.slope(&logits)?)?;
                }
                let d_logits = d_logits.to_dtype(self.hidden.dtype())?;
                let d_logits = self.head.weight.precision().rounded(&d_logits)?;
                if hidden_is_tracked {
                    d_hidden.push(d_logits.matmul(&self.head.dense(&self.hidden)?)?);
                }
                if let Some(buffer) = &buffer {
                    buffer.accumulate(&self.head.gradient(&d_logits, &self.hidden(&range)?)?)?;
                }
            }
            Ok([if hidden_is_tracked { Some(Tensor::cat(&d_hidden, 0)?) } else { None }])
        };
        record("linear_log_probs", [hidden], |tape, [hidden]| {
            Ok(tape.push("linear_log_probs", [&hidden], weight.as_ref(), value, backward))
        })
    }
}

/// `[rows, n]` → `[rows, 1]`, no gradient.
fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    let max = x.max_keepdim(D::Minus1)?;
    x.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?.log()? + max
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor};

    use super::in_chunks;
    use crate::linear_log_probs::Wide;
    use crate::{Head, Param};

    #[test]
    fn chunks_change_neither_values_nor_gradients() -> Result<()> {
        let values = |rows: usize, columns: usize, seed: f64| {
            let entries = (0..rows * columns).map(|i| ((i as f64 + seed) * 1.7).sin());
            Tensor::from_iter(entries, &Device::Cpu)?.reshape((rows, columns))
        };
        let labels = Tensor::new(&[3u32, 0, 6, 6, 1], &Device::Cpu)?;
        let run = |chunk_bytes: usize| -> Result<[Vec<f64>; 3]> {
            let (hidden, weight) =
                (Param::tracked(&values(5, 3, 0.1)?)?, Param::tracked(&values(7, 3, 5.3)?)?);
            let log_probs = in_chunks(&hidden.leaf()?, &Wide::of(&Head::new(&weight)), &labels, chunk_bytes)?;
            (&log_probs * &log_probs)?.sum_all()?.backward()?;
            let grad = |p: &Param| p.grad_buffer().unwrap().get().unwrap().flatten_all()?.to_vec1::<f64>();
            Ok([log_probs.to_vec1()?, grad(&hidden)?, grad(&weight)?])
        };
        let whole = run(1 << 20)?;
        for rows in [1, 2, 4] {
            let chunked = run(rows * 7 * 8)?;
            assert_eq!(whole.each_ref().map(Vec::len), chunked.each_ref().map(Vec::len));
            for (a, b) in whole.iter().flatten().zip(chunked.iter().flatten()) {
                assert!((a - b).abs() < 1e-12, "{rows} rows a chunk: {b} is not {a}");
            }
        }
        Ok(())
    }
}
