//! Mean and variance of all numbers seen so far.

/// Running mean and variance in f64 by Chan et al.'s (1979) merge of batches: BCO's δ is the mean, reward scaling
/// divides by the standard deviation. State worth saving with a checkpoint, so the fields are public.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningMoments {
    /// Mean of what was seen.
    pub mean: f64,
    /// Variance of it, divided by the count.
    pub var: f64,
    /// Standard deviation, from the variance divided by count − 1; 0 for a single number.
    pub std: f64,
    /// The numbers seen so far, and the start's 10⁻²⁴.
    pub count: f64,
}

impl Default for RunningMoments {
    /// As TRL: mean 0 and variance 1 with next to no weight.
    fn default() -> Self {
        Self { mean: 0.0, var: 1.0, std: 1.0, count: 1e-24 }
    }
}

impl RunningMoments {
    /// Merges a batch; an empty one changes nothing.
    pub fn update(&mut self, batch: &[f64]) {
        if batch.is_empty() {
            return;
        }
        let size = batch.len() as f64;
        let mean = batch.iter().sum::<f64>() / size;
        let squares: f64 = batch.iter().map(|x| (x - mean).powi(2)).sum();
        let (total, shift) = (self.count + size, mean - self.mean);
        let squares = self.var * self.count + shift * shift * self.count * size / total + squares;
        self.mean += shift * size / total;
        self.var = squares / total;
        self.std = if total > 1.0 { (squares / (total - 1.0)).sqrt() } else { 0.0 };
        self.count = total;
    }
}
