//! What training and evaluation report, in a form that stays exact when it is averaged again.
//!
//! A mean is kept as a sum with its weight, so that the mean over micro-batches of unequal size, over a
//! window or over a logging interval is the mean over all examples. Counts, such as `num_tokens`, add up
//! over the whole run instead.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Metrics: reported values by name, ordered by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics(BTreeMap<String, Metric>);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Metric {
    Mean {
        #[serde(deserialize_with = "nan_if_null")]
        sum: f64,
        weight: f64,
    },
    Total(f64),
}

impl Metrics {
    /// Adds to the mean of that name: `sum` over `weight` examples (or tokens, or steps).
    pub fn mean(&mut self, name: &str, sum: f64, weight: f64) {
        self.add(name, Metric::Mean { sum, weight });
    }

    /// Adds to the count of that name. Counts add up over the run and are logged as they stand.
    pub fn total(&mut self, name: &str, amount: f64) {
        self.add(name, Metric::Total(amount));
    }

    /// Adds everything of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (name, metric) in &other.0 {
            self.add(name, *metric);
        }
    }

    /// The mean or count of that name; none if there is none, or if its mean has no weight.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Metric::value)
    }

    /// Names and values in name order, without means that have no weight.
    pub fn values(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().filter_map(|(name, metric)| Some((name.as_str(), metric.value()?)))
    }

    /// Forgets the means and keeps the counts: what the end of a logging interval does.
    pub fn clear_means(&mut self) {
        self.0.retain(|_, metric| matches!(metric, Metric::Total(_)));
    }

    /// A name is a mean or a count for good: the kind it was first added as wins, and a mean added to a
    /// count adds its sum.
    fn add(&mut self, name: &str, more: Metric) {
        let Some(metric) = self.0.get_mut(name) else {
            self.0.insert(name.to_owned(), more);
            return;
        };
        match (metric, more) {
            (Metric::Mean { sum, weight }, Metric::Mean { sum: more, weight: w }) => {
                *sum += more;
                *weight += w;
            }
            (Metric::Mean { sum, weight }, Metric::Total(more)) => {
                *sum += more;
                *weight += 1.0;
            }
            (Metric::Total(total), Metric::Mean { sum: more, .. } | Metric::Total(more)) => *total += more,
        }
    }
}

impl Metric {
    fn value(&self) -> Option<f64> {
        match *self {
            Self::Mean { weight: 0.0, .. } => None,
            Self::Mean { sum, weight } => Some(sum / weight),
            Self::Total(total) => Some(total),
        }
    }
}

/// JSON has no NaN or infinity; serde_json writes them as null.
fn nan_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_weigh_every_example_the_same_whatever_batch_it_came_in() {
        let mut metrics = Metrics::default();
        metrics.mean("rewards/margins", 3.0, 3.0);
        metrics.mean("rewards/margins", 5.0, 1.0);
        assert_eq!(metrics.get("rewards/margins"), Some(2.0));
    }

    #[test]
    fn counts_survive_the_end_of_a_logging_interval_and_means_do_not() {
        let mut metrics = Metrics::default();
        metrics.total("num_tokens", 10.0);
        metrics.mean("loss", 1.0, 1.0);
        metrics.clear_means();
        metrics.total("num_tokens", 5.0);
        assert_eq!(metrics.values().collect::<Vec<_>>(), [("num_tokens", 15.0)]);
    }

    #[test]
    fn a_mean_of_nothing_is_not_reported() {
        let mut metrics = Metrics::default();
        metrics.mean("rewards/chosen", 0.0, 0.0);
        assert_eq!(metrics.get("rewards/chosen"), None);
        assert_eq!(metrics.values().count(), 0);
    }

    #[test]
    fn saved_metrics_come_back_as_they_were() {
        let mut metrics = Metrics::default();
        metrics.mean("loss", 0.1 + 0.2, 3.0);
        metrics.total("num_tokens", 7.0);
        let json = serde_json::to_string(&metrics).unwrap();
        assert_eq!(serde_json::from_str::<Metrics>(&json).unwrap(), metrics);
    }

    #[test]
    fn a_metric_that_is_not_finite_does_not_make_a_checkpoint_unreadable() {
        let mut metrics = Metrics::default();
        metrics.mean("entropy", f64::NAN, 1.0);
        let json = serde_json::to_string(&metrics).unwrap();
        let loaded: Metrics = serde_json::from_str(&json).unwrap();
        assert!(loaded.get("entropy").unwrap().is_nan());
    }
}
