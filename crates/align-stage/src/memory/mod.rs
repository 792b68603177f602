//! The memory planner: what a run will take at its peak, by part, before its model is loaded; whether the machine has it; and how an
//! update is cut so that it fits.
//!
//! A run is a few moments ([`predict`]): loading, a step, evaluation, saving. The largest is its peak. All of it is counted from the
//! plan of the model, the headers of its files, the rows' lengths and the optimizer, but for two constants, which were measured.

mod choose;
mod needs;
mod predict;
mod ways;

use std::fmt;

use align_limits::memory::available;
use align_train::{Shard, TrainConfig};
use serde::Serialize;

use crate::scaling::asked_about;
use crate::{Error, Event, Look, Opening, Result};
pub use needs::{Frozen, MemoryNeeds, Second};

/// The memory that a run will take: its moments, in order.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryPlan {
    /// The moments.
    pub moments: Vec<Moment>,
    /// What the process could take when it was asked, what it has included; none where the system does not say.
    pub available: Option<u64>,
    /// How the update is cut, if that was left to the plan.
    pub chosen: Option<Cut>,
}

/// A moment of a run, and what is in memory then.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// Its name: `load`, `step`, `evaluation`, `save`.
    pub name: &'static str,
    /// What is there.
    pub parts: Vec<Part>,
}

/// A part of the memory of a moment.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// What it is.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// How an update is cut: any cut with the same number of rows is the same update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Examples per micro-batch.
    pub per_device_train_batch_size: usize,
    /// Micro-batches per update.
    pub gradient_accumulation_steps: usize,
    /// Whether layers are computed again for their gradients.
    pub gradient_checkpointing: bool,
}

impl Moment {
    /// All parts.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add)
    }
}

impl MemoryPlan {
    /// The moment that takes most.
    pub fn peak(&self) -> Option<&Moment> {
        self.moments.iter().max_by_key(|moment| moment.bytes())
    }

    /// What it takes.
    pub fn bytes(&self) -> u64 {
        self.peak().map_or(0, Moment::bytes)
    }

    /// [`MemoryPlan::bytes`] in megabytes (10⁶ bytes), as reports have the peak that was measured.
    pub fn megabytes(&self) -> f64 {
        megabytes(self.bytes())
    }
}

impl MemoryPlan {
    /// The peak in a line, beside what there is, which changes from run to run.
    fn line(&self) -> String {
        let chosen = self.chosen.map_or_else(String::new, |cut| format!(" with {cut}"));
        let available =
            self.available.map_or_else(String::new, |bytes| format!("; {} are available", Shown(bytes)));
        format!("a peak of {} is predicted{chosen}{available}", Shown(self.bytes()))
    }
}

impl Opening<'_> {
    /// Predicts the memory of the run, chooses how its updates are cut if `max_memory` leaves that to the plan, and tells the host.
    /// Called before the order of the rows is made and anything of the model is loaded.
    ///
    /// # Errors
    /// A run that the machine has no memory for, with the cheapest ways to make it fit; `max_memory` below the least that the run
    /// takes, or beside a method whose updates depend on how they are cut; files of the model that cannot be read.
    pub fn plan_memory(&mut self, needs: &MemoryNeeds) -> Result<()> {
        if !self.place.device.is_cpu() && self.config.max_memory.is_some() {
            let problem = "is of main memory, and what a GPU has is not predicted; leave it out, or give `--device cpu`";
            return Err(Error::option("max_memory", problem));
        }
        let only_shown = self.host.look == Look::AtABatch && self.config.max_memory.is_none();
        if only_shown || !self.place.device.is_cpu() {
            return Ok(());
        }
        let chosen = self.config.max_memory.map(|most| choose::choose(self, needs, most)).transpose()?;
        if let Some(cut) = chosen {
            self.take(cut);
        }
        let available = available().map(|more| more.saturating_add(align_hub::policy::resident_bytes()));
        let plan =
            MemoryPlan { available, chosen, ..predict::predict(self, &self.model, &self.config, needs)? };
        self.host.tell(Event::Memory(&plan))?;
        tracing::info!("{}", plan.line());
        if let Some(available) = available.filter(|available| plan.bytes() > *available) {
            return Err(ways::shortage(self, needs, &plan, available, "are available"));
        }
        self.memory = Some(plan);
        self.predict_memory_of_ranks(needs)
    }

    /// The peak of each rank, in each way of sharing, of those that a dry run is asked about.
    fn predict_memory_of_ranks(&mut self, needs: &MemoryNeeds) -> Result<()> {
        let Some(cluster) = asked_about(self.host) else { return Ok(()) };
        for shard in [Shard::None, Shard::Optimizer, Shard::Gradients] {
            let config = TrainConfig { shard, ..self.config.clone() };
            let plan = predict::predict_on(cluster.ranks, self, &self.model, &config, needs)?;
            self.memory_of_ranks.push((shard, plan.bytes()));
        }
        Ok(())
    }
}

/// Megabytes, 10⁶ bytes.
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// `2,531 MB`.
pub(crate) struct Shown(pub(crate) u64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:.0}", megabytes(self.0));
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&format!("{text} MB"))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { per_device_train_batch_size: rows, gradient_accumulation_steps: steps, .. } = self;
        write!(f, "per_device_train_batch_size {rows}, gradient_accumulation_steps {steps}")?;
        if self.gradient_checkpointing { f.write_str(", gradient_checkpointing") } else { Ok(()) }
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peak) = self.peak() else { return Ok(()) };
        writeln!(f, "predicted peak of memory: {}, at the moment `{}`", Shown(peak.bytes()), peak.name)?;
        let mut parts: Vec<&Part> = peak.parts.iter().filter(|part| part.bytes > 0).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        parts.iter().try_for_each(|part| writeln!(f, "  {:<34}{:>12}", part.name, Shown(part.bytes)))?;
        let others = self.moments.iter().filter(|moment| moment.name != peak.name);
        let others = others.map(|moment| format!("`{}` {}", moment.name, Shown(moment.bytes())));
        write!(f, "other moments: {}", others.collect::<Vec<_>>().join(", "))?;
        self.chosen.map_or(Ok(()), |cut| write!(f, "\nchosen for `max_memory`: {cut}"))
    }
}
