//! How long completions are and how they end: TRL's `completions/…`.

use align_train::Metrics;

use crate::Rollouts;

/// Lengths in tokens, of all completions and of those that ended by themselves, and the share that was cut off.
pub(crate) fn completion_metrics(rollouts: &Rollouts) -> Metrics {
    let mut metrics = Metrics::default();
    let all: Vec<f64> = rollouts.completions.iter().map(|it| it.tokens.len() as f64).collect();
    let ended = rollouts.completions.iter().filter(|it| it.finished);
    let ended: Vec<f64> = ended.map(|it| it.tokens.len() as f64).collect();
    for (lengths, kind) in [(&all, "length"), (&ended, "terminated_length")] {
        let mut add =
            |name: &str, value: f64| metrics.mean(&format!("completions/{name}_{kind}"), value, 1.0);
        // As in TRL, 0 where no completion ended by itself.
        add("mean", lengths.iter().sum::<f64>() / lengths.len().max(1) as f64);
        add("min", lengths.iter().copied().reduce(f64::min).unwrap_or(0.0));
        add("max", lengths.iter().copied().reduce(f64::max).unwrap_or(0.0));
    }
    metrics.mean("completions/clipped_ratio", (all.len() - ended.len()) as f64, all.len() as f64);
    metrics
}
