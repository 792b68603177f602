//! Likelihood displacement: the chosen answers become less likely too, only more slowly than the rejected
//! ones. The loss and the margin look fine while the policy forgets how to say what it should.

use std::path::Path;

use align_train::{Metrics, Result};
use serde::{Deserialize, Serialize};

use crate::state;

const FILE: &str = "displacement.json";

/// Nats by which the average chosen answer may lose against the reference before it is worth a word.
const ALLOWED_LOSS: f64 = 5.0;

/// How much of the running mean an update replaces: it looks back about 20 updates.
const RATE: f64 = 0.05;

/// Watches the log-ratio of the chosen answers beside the margin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DisplacementMonitor {
    chosen: Option<f64>,
    next_warning: f64,
}

impl Default for DisplacementMonitor {
    fn default() -> Self {
        Self { chosen: None, next_warning: ALLOWED_LOSS }
    }
}

impl DisplacementMonitor {
    /// Takes account of an update, and warns when the loss has passed the next threshold: 5 nats, 10, 20, …
    pub(crate) fn observe(&mut self, metrics: &Metrics, beta: f64) {
        let (Some(reward), Some(margin)) = (metrics.get("rewards/chosen"), metrics.get("rewards/margins"))
        else {
            return;
        };
        let latest = reward / beta;
        let chosen = self.chosen.map_or(latest, |mean| mean + RATE * (latest - mean));
        self.chosen = Some(chosen);
        if margin > 0.0 && -chosen > self.next_warning {
            tracing::warn!(
                "likelihood displacement: chosen answers have lost {:.1} nats against the reference while the margin \
                 grows; lower the learning rate, raise beta, or add their likelihood (`--loss-type sigmoid,sft`)",
                -chosen
            );
            self.next_warning *= 2.0;
        }
    }

    /// Keeps what was seen so far with a checkpoint.
    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        state::write(&dir.join(FILE), self)
    }

    pub(crate) fn restore(dir: &Path) -> Result<Self> {
        state::read(&dir.join(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(updates: usize, chosen_reward: f64, margin: f64) -> DisplacementMonitor {
        let mut monitor = DisplacementMonitor::default();
        let mut metrics = Metrics::default();
        metrics.mean("rewards/chosen", chosen_reward, 1.0);
        metrics.mean("rewards/margins", margin, 1.0);
        (0..updates).for_each(|_| monitor.observe(&metrics, 0.1));
        monitor
    }

    #[test]
    fn it_warns_where_chosen_falls_and_the_margin_grows_and_nowhere_else() {
        assert_eq!(after(50, -0.6, 1.0).next_warning, 10.0);
        assert_eq!(after(50, -1.2, 1.0).next_warning, 20.0);
        assert_eq!(after(50, -0.4, 1.0).next_warning, 5.0);
        assert_eq!(after(50, -0.6, -1.0).next_warning, 5.0);
        assert_eq!(after(50, 0.6, 1.0).next_warning, 5.0);
    }
}
