//! What is known of each row's distribution while its logits pass by, and their gradient.
//!
//! Exponentials are f32, relative to the largest logit of their segment; a segment's sums are merged into
//! the row's in f64, always in the order of the vocabulary (online softmax, Milakov and Gimelshein 2018,
//! arXiv:1805.02867). Keeping the largest logit and the sum apart, not their log-sum-exp, leaves the
//! digits of probabilities alone where logits are large.

use crate::cpu::{exp, max, simd};

/// Logits whose sums are formed in f32 and that stay in the first-level cache for a second pass.
const SEGMENT: usize = 2048;

/// Partial sums of a segment: two AVX2 registers.
const LANES: usize = 16;

/// What a row is to be likely under: its label, or a share of it and an even share of every token (label smoothing).
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) label: u32,
    /// ε, what is taken off the label.
    pub(super) smoothing: f64,
    /// Tokens that it is divided among.
    pub(super) vocab: usize,
}

/// A row's running sums.
pub(super) trait Row: Clone + Send {
    /// Of a row with that target, before its first logit.
    fn new(target: Target) -> Self;

    /// Takes in the logits of the tokens from `column` on.
    fn absorb(&mut self, logits: &[f32], column: usize);
}

/// What the label's log-prob and the gradient need.
#[derive(Clone, Debug)]
pub(super) struct Softmax {
    label: usize,
    label_logit: f32,
    /// ε, and ε over the vocabulary.
    smoothing: f64,
    even_share: f64,
    /// Σ logit, of smoothed labels alone.
    total: f64,
    max: f32,
    /// Σ e^(logit − max).
    sum: f64,
}

impl Softmax {
    /// log p(label), or (1 − ε) log p(label) + ε · mean log p.
    pub(super) fn log_prob(&self) -> f32 {
        if self.smoothing == 0.0 {
            return self.label_log_prob();
        }
        let logit = (1.0 - self.smoothing) * f64::from(self.label_logit) + self.even_share * self.total;
        (logit - f64::from(self.max) - self.sum.ln()) as f32
    }

    fn label_log_prob(&self) -> f32 {
        (f64::from(self.label_logit) - f64::from(self.max) - self.sum.ln()) as f32
    }

    /// Turns the logits of the tokens from `column` on into `grad · (target − p)`, where the target is `onehot(label)`, or
    /// `(1 − ε) onehot(label) + ε / vocab`.
    pub(super) fn differentiate(&self, logits: &mut [f32], column: usize, grad: f32) {
        if grad == 0.0 {
            return logits.fill(0.0);
        }
        scaled_exp(logits, self.max, (-f64::from(grad) / self.sum) as f32);
        if self.smoothing > 0.0 {
            let share = (f64::from(grad) * self.even_share) as f32;
            logits.iter_mut().for_each(|logit| *logit += share);
        }
        if let Some(label) = self.label.checked_sub(column).and_then(|at| logits.get_mut(at)) {
            // 1 − p without cancellation where the label is almost certain.
            let missing = -f64::from(self.label_log_prob()).exp_m1();
            *label = (f64::from(grad) * (missing - self.smoothing + self.even_share)) as f32;
        }
    }

    /// Takes in what smoothed labels need beside the sums.
    fn take_total(&mut self, segment: &[f32]) {
        if self.smoothing > 0.0 {
            self.total += segment.iter().map(|&logit| f64::from(logit)).sum::<f64>();
        }
    }

    fn take_label(&mut self, logits: &[f32], column: usize) {
        if let Some(logit) = self.label.checked_sub(column).and_then(|at| logits.get(at)) {
            self.label_logit = *logit;
        }
    }

    /// Raises the largest logit to at least `max`; answers what sums relative to the old one and to
    /// `max` are to be multiplied with.
    fn raise(&mut self, max: f32) -> [f64; 2] {
        let raised = self.max.max(max);
        let factor = |max: f32| (f64::from(max) - f64::from(raised)).exp();
        let factors = [factor(self.max), factor(max)];
        self.max = raised;
        factors
    }
}

impl Row for Softmax {
    fn new(Target { label, smoothing, vocab }: Target) -> Self {
        let even_share = smoothing / vocab as f64;
        // Not −∞: a segment of nothing but −∞ then has exponentials 0, not NaN.
        let (label_logit, max) = (f32::NAN, f32::MIN);
        Self { label: label as usize, label_logit, smoothing, even_share, total: 0.0, max, sum: 0.0 }
    }

    fn absorb(&mut self, logits: &[f32], column: usize) {
        self.take_label(logits, column);
        for segment in logits.chunks(SEGMENT) {
            let max = largest(segment).max(f32::MIN);
            let sum = sum_exp(segment, max);
            let [old, new] = self.raise(max);
            self.sum = self.sum * old + f64::from(sum) * new;
            self.take_total(segment);
        }
    }
}

/// [`Softmax`] and the sums of the statistics.
#[derive(Clone, Debug)]
pub(super) struct SoftmaxAndStats {
    pub(super) softmax: Softmax,
    most_likely: usize,
    /// Σ e^(logit − max) (logit − max).
    weighted: f64,
    /// Σ e^(2 (logit − max)).
    squares: f64,
}

impl SoftmaxAndStats {
    /// −Σ p log p.
    pub(super) fn entropy(&self) -> f32 {
        (self.softmax.sum.ln() - self.weighted / self.softmax.sum) as f32
    }

    /// 1 if no token is more likely than the label, nor as likely and earlier; else 0.
    pub(super) fn correct(&self) -> f32 {
        if self.most_likely == self.softmax.label { 1.0 } else { 0.0 }
    }

    /// log Σ p².
    pub(super) fn log_sum_sq_probs(&self) -> f32 {
        (self.squares.ln() - 2.0 * self.softmax.sum.ln()) as f32
    }
}

impl Row for SoftmaxAndStats {
    fn new(target: Target) -> Self {
        Self { softmax: Softmax::new(target), most_likely: 0, weighted: 0.0, squares: 0.0 }
    }

    fn absorb(&mut self, logits: &[f32], column: usize) {
        let row = &mut self.softmax;
        row.take_label(logits, column);
        for (segment, first) in logits.chunks(SEGMENT).zip((column..).step_by(SEGMENT)) {
            let max = largest(segment).max(f32::MIN);
            if max > row.max {
                self.most_likely = first + segment.iter().position(|&logit| logit == max).unwrap_or(0);
            }
            let [sum, weighted, squares] = moments(segment, max).map(f64::from);
            let before = row.max;
            let [old, new] = row.raise(max);
            let shift = |from: f32| f64::from(from) - f64::from(row.max);
            self.weighted =
                (self.weighted + shift(before) * row.sum) * old + (weighted + shift(max) * sum) * new;
            self.squares = self.squares * old * old + squares * new * new;
            row.sum = row.sum * old + sum * new;
            row.take_total(segment);
        }
    }
}

simd! {
    fn largest(logits: &[f32]) -> f32 {
        max(logits)
    }
}

simd! {
    /// Σ e^(x − max).
    fn sum_exp(logits: &[f32], max: f32) -> f32 {
        let (blocks, rest) = logits.as_chunks::<LANES>();
        let mut sums = [0f32; LANES];
        for block in blocks {
            for lane in 0..LANES {
                sums[lane] += exp(block[lane] - max);
            }
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum += exp(x - max);
        }
        total(&sums)
    }
}

/// `x − max`, but not below where eˣ is 0: a logit of −∞ has the probability 0 and adds 0 to every sum, where
/// 0 · (−∞) would be NaN.
#[inline(always)]
fn below(x: f32, max: f32) -> f32 {
    const NO_SHARE: f32 = -104.0; // as `exp` has it
    let below = x - max;
    if below < NO_SHARE { NO_SHARE } else { below }
}

simd! {
    /// Σ e^(x − max), Σ e^(x − max) (x − max), Σ e^(2 (x − max)).
    fn moments(logits: &[f32], max: f32) -> [f32; 3] {
        let (blocks, rest) = logits.as_chunks::<LANES>();
        let (mut sums, mut weighted, mut squares) = ([0f32; LANES], [0f32; LANES], [0f32; LANES]);
        for block in blocks {
            // One short loop for each sum: the compiler does not vectorise them all together.
            let below = block.map(|x| below(x, max));
            let e = below.map(exp);
            for lane in 0..LANES {
                sums[lane] += e[lane];
            }
            for lane in 0..LANES {
                weighted[lane] += e[lane] * below[lane];
            }
            for lane in 0..LANES {
                squares[lane] += e[lane] * e[lane];
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            let below = below(*x, max);
            let e = exp(below);
            sums[lane] += e;
            weighted[lane] += e * below;
            squares[lane] += e * e;
        }
        [total(&sums), total(&weighted), total(&squares)]
    }
}

simd! {
    /// x ← factor · e^(x − max).
    fn scaled_exp(logits: &mut [f32], max: f32, factor: f32) {
        for x in logits {
            *x = factor * exp(*x - max);
        }
    }
}

#[inline(always)]
fn total(lanes: &[f32; LANES]) -> f32 {
    crate::cpu::sum(lanes)
}
