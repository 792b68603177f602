//! What training on several ranks would bring, predicted by one process that looks: the passes of a micro-batch are timed, what
//! is sent follows from the number of trained weights.

use std::fmt;
use std::time::Duration;

use align_kernels::Params;
use align_train::{Batches, Objective, Shard, time_passes};
use serde::Serialize;

use crate::memory::Shown;
use crate::{Error, Event, Host, Look, Opening, Result};

/// What passes are timed for.
const TIMED: Duration = Duration::from_secs(20);
/// Seconds from a message's beginning to its arrival, over Ethernet.
const LATENCY: f64 = 30e-6;
/// The efficiency that an accumulation is sought for.
const AIM: f64 = 0.9;

/// The ranks that a dry run is asked about, each on a machine like the one that looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// Ranks.
    pub ranks: usize,
    /// Bytes a second that each of them sends, and receives meanwhile; without it no time is predicted.
    pub bandwidth: Option<u64>,
}

/// Data-parallel training on several ranks, as it is expected: `docs/scaling.md` has the model.
#[derive(Clone, Debug, Serialize)]
pub struct Scaling {
    /// Ranks.
    pub ranks: usize,
    /// What they share.
    pub shard: Shard,
    /// Micro-batches of an update on each of them.
    pub gradient_accumulation_steps: usize,
    /// Seconds of each micro-batch that was timed; none where passes are not known in advance, as with sampled answers.
    pub micro_batch_seconds: Vec<f64>,
    /// Bytes that a rank sends for an update, and as many that it receives.
    pub sent_bytes: u64,
    /// Seconds in which they are sent.
    pub exchange_seconds: Option<f64>,
    /// The share of an update's time that is passes, which is the share of perfect scaling.
    pub efficiency: Option<f64>,
    /// The fewest micro-batches of an update on each rank with which the efficiency is 0.9; none if no number is enough.
    pub accumulation_for_nine_tenths: Option<u64>,
    /// The peak of a rank's memory in each way of sharing.
    pub memory: Vec<(Shard, u64)>,
}

impl Scaling {
    /// For `trained` weights in f32, by the seconds of some micro-batches.
    fn new(
        cluster: Cluster,
        (shard, accumulation): (Shard, usize),
        trained: usize,
        micro_batch_seconds: Vec<f64>,
        memory: Vec<(Shard, u64)>,
    ) -> Self {
        let ranks = cluster.ranks;
        // A sum of parts, or a gather of parts.
        let once = 4.0 * trained as f64 * (ranks - 1) as f64 / ranks as f64;
        let sent =
            |accumulation: f64| once * (1.0 + if shard == Shard::Gradients { accumulation } else { 1.0 });
        let seconds = |accumulation: f64| {
            Some(sent(accumulation) / cluster.bandwidth? as f64 + 2.0 * ranks as f64 * LATENCY)
        };
        let accumulated = accumulation as f64;
        let exchange = seconds(accumulated);
        let micro_batch = median(&micro_batch_seconds);
        let efficiency = exchange.zip(micro_batch).map(|(exchange, micro_batch)| {
            micro_batch * accumulated / (micro_batch * accumulated + exchange)
        });
        // The exchange is a line in the accumulation: what it grows by, and what remains of it at none.
        let enough = (|| {
            let (at_none, at_one) = (seconds(0.0)?, seconds(1.0)?);
            let allowed = AIM / (1.0 - AIM);
            let gained = micro_batch? - allowed * (at_one - at_none);
            (gained > 0.0).then(|| (allowed * at_none / gained).ceil().max(1.0) as u64)
        })();
        Self {
            ranks,
            shard,
            gradient_accumulation_steps: accumulation,
            micro_batch_seconds,
            sent_bytes: sent(accumulated) as u64,
            exchange_seconds: exchange,
            efficiency,
            accumulation_for_nine_tenths: enough,
            memory,
        }
    }
}

impl Opening<'_> {
    /// Tells the host what the ranks that it asked about would bring, the passes of `batches` being timed.
    ///
    /// # Errors
    /// What the objective and the batches raise; a listener that cannot take it.
    pub(crate) fn predict_scaling<O: Objective, B: Batches<Batch = O::Batch>>(
        &self,
        (objective, batches): (&O, &mut B),
        params: &Params,
    ) -> Result<()> {
        let Some(cluster) = asked_about(self.host) else { return Ok(()) };
        let timed = cluster.bandwidth.map(|_| time_passes(objective, batches, params, TIMED)).transpose()?;
        self.tell_scaling(cluster, params.elem_count(), timed.unwrap_or_default())
    }

    /// The same of training whose passes are not known in advance.
    ///
    /// # Errors
    /// A listener that cannot take it.
    pub fn predict_exchange(&self, params: &Params) -> Result<()> {
        let Some(cluster) = asked_about(self.host) else { return Ok(()) };
        self.tell_scaling(cluster, params.elem_count(), Vec::new())
    }

    fn tell_scaling(&self, cluster: Cluster, trained: usize, timed: Vec<f64>) -> Result<()> {
        let how = (self.config.shard, self.config.gradient_accumulation_steps);
        let scaling = Scaling::new(cluster, how, trained, timed, self.memory_of_ranks.clone());
        self.host.tell(Event::Scaling(&scaling))
    }
}

/// The ranks that a dry run is asked about.
pub(crate) fn asked_about(host: &Host<'_>) -> Option<Cluster> {
    host.cluster.filter(|_| host.look == Look::DryRun)
}

/// Refuses to predict what ranks would bring where there are several already.
pub(crate) fn check_cluster(host: &Host<'_>) -> Result<()> {
    if asked_about(host).is_none() || host.ranks.is_alone() {
        return Ok(());
    }
    let problem = "predicts what several ranks would bring, and there are several: start the program alone";
    Err(Error::option("ranks", problem))
}

fn median(seconds: &[f64]) -> Option<f64> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ranks, gradient_accumulation_steps: accumulation, .. } = self;
        writeln!(f, "{ranks} ranks, each on a machine like this one:")?;
        let mut line = |name: &str, text: String| writeln!(f, "  {name:<37}{text}");
        if let Some(micro_batch) = median(&self.micro_batch_seconds) {
            let (passes, timed) = (micro_batch * *accumulation as f64, self.micro_batch_seconds.len());
            let each = format!(
                "{accumulation} x {micro_batch:.3} s, the median of {timed} micro-batches timed here"
            );
            line("passes of an update", format!("{passes:.3} s ({each})"))?;
        }
        let seconds = self.exchange_seconds.map_or_else(String::new, |seconds| format!(" in {seconds:.3} s"));
        line("sent by a rank for an update", format!("{}{seconds}", Shown(self.sent_bytes)))?;
        if let Some(efficiency) = self.efficiency {
            let as_many = efficiency * *ranks as f64;
            line("expected efficiency", format!("{efficiency:.2}: the rows a second of {as_many:.1} ranks"))?;
            line(
                "for 0.9",
                self.accumulation_for_nine_tenths.map_or_else(
                    || "no accumulation is enough with `--shard gradients`".to_owned(),
                    |steps| format!("--gradient-accumulation-steps {steps}"),
                ),
            )?;
        } else if let Some(seconds) = self.exchange_seconds {
            let least = seconds * AIM / (1.0 - AIM);
            line(
                "for an efficiency of 0.9",
                format!("an update has to take each rank {least:.3} s without it"),
            )?;
        }
        let memory = self.memory.iter().map(|(shard, bytes)| format!("{} {}", shard.name(), Shown(*bytes)));
        line("peak of a rank's memory, by --shard", memory.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaling(shard: Shard, accumulation: usize) -> Scaling {
        let cluster = Cluster { ranks: 4, bandwidth: Some(1_000_000_000) };
        Scaling::new(cluster, (shard, accumulation), 100_000_000, vec![0.5, 9.0, 0.4], Vec::new())
    }

    /// 400 MB of weights, of which a rank sends three quarters twice.
    #[test]
    fn what_is_sent_and_how_long_it_takes() {
        let found = scaling(Shard::Optimizer, 2);
        assert_eq!(found.sent_bytes, 600_000_000);
        assert!((found.exchange_seconds.unwrap() - 0.600_24).abs() < 1e-9);
        assert!((found.efficiency.unwrap() - 1.0 / 1.600_24).abs() < 1e-9);
        assert_eq!(scaling(Shard::Gradients, 2).sent_bytes, 900_000_000);
    }

    #[test]
    fn the_accumulation_that_is_named_is_the_fewest_that_is_enough() {
        let enough = scaling(Shard::None, 1).accumulation_for_nine_tenths.unwrap() as usize;
        assert!(scaling(Shard::None, enough).efficiency.unwrap() >= AIM);
        assert!(scaling(Shard::None, enough - 1).efficiency.unwrap() < AIM);
        // Each micro-batch sends for 0.3 s what it computed in 0.5 s.
        assert_eq!(scaling(Shard::Gradients, 1).accumulation_for_nine_tenths, None);
    }
}
