//! Who runs a job: what a job says, to whom, and what stops it.

use std::fmt::Display;
use std::path::Path;

use align_data::Findings;
use align_train::{LogEntry, OnLog, Ranks, RunControl, Stop};

use crate::{Cluster, Error, Given, MemoryPlan, Result, Scaling};

/// An event of a job, which its listener hears.
#[non_exhaustive]
pub enum Event<'a> {
    /// Findings about the data.
    Findings(&'a Findings),
    /// Advice to think about before the job trains.
    Advice(&'a str),
    /// The memory that the run will take, before its model is loaded.
    Memory(&'a MemoryPlan),
    /// What the ranks of [`Host::cluster`] would bring, in [`Look::DryRun`].
    Scaling(&'a Scaling),
    /// A row of the first micro-batch, in [`Look::AtABatch`].
    Row(&'a dyn Display),
    /// [`Look::DryRun`] found nothing wrong: so many updates would be made.
    WouldTrain {
        /// Updates that would be made.
        steps: usize,
        /// Updates that the checkpoint to resume from has behind it.
        done: usize,
    },
    /// The start of training: everything is checked and the output directory is the run's. What fails from now on
    /// is not the input's fault.
    Starts {
        /// The directory that the run writes to.
        output_dir: &'a Path,
    },
    /// All input of a job that does not train is checked: what fails from now on is not the input's fault, unless its error
    /// says so ([`Error::LateInput`]).
    Checked,
    /// An entry of the log.
    Logged(&'a LogEntry),
    /// The report of the run, whose model is saved.
    Report {
        /// `report.json` in words.
        report: &'a dyn Display,
        /// The directory of the report and the model.
        output_dir: &'a Path,
    },
}

/// A look at a job instead of the whole of it: how far the job goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// No look: the whole job, to its end.
    #[default]
    No,
    /// A dry run: everything is loaded and checked, and nothing written.
    DryRun,
    /// The first micro-batch is shown, and nothing written.
    AtABatch,
}

/// The listener's answer: an error ends the job.
pub type Heard = std::result::Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The host of a job: who runs it. By default nobody listens, nothing stops it, and what is given is what differs
/// from the defaults.
#[derive(Default)]
pub struct Host<'a> {
    /// The listener, who is told what happens.
    pub listener: Option<&'a dyn Fn(Event<'_>) -> Heard>,
    /// The stop token, which asks the run to stop.
    pub stop: Stop,
    /// Whether a terminal gets a progress bar.
    pub progress_bar: bool,
    /// The look: how far the job goes.
    pub look: Look,
    /// Ranks that a dry run predicts the training on.
    pub cluster: Option<Cluster>,
    /// The options that were given, where somebody knows better than by comparing with the defaults.
    pub given: Option<Given>,
    /// All options as the text that repeats the run, where somebody has them so.
    pub settings: Option<String>,
    /// Paths that are read beside those that the options name, with what each is: nothing of them may lie in a
    /// directory that is replaced.
    pub also_read: Vec<(&'static str, String)>,
    /// The ranks that train together; by default there is one. The first writes and speaks: the listeners of the others hear
    /// nothing but that work starts.
    pub ranks: Ranks,
}

impl Host<'_> {
    /// Refuses several ranks, for a job that runs on one.
    ///
    /// # Errors
    /// More ranks than one; `because` says why.
    pub fn refuse_ranks(&self, because: &str) -> Result<()> {
        let ranks = self.ranks.size();
        match self.ranks.is_alone() {
            true => Ok(()),
            false => Err(Error::Inputs(format!("started on {ranks} ranks: {because}; start it on one"))),
        }
    }

    /// Tells the listener.
    ///
    /// # Errors
    /// If it cannot take it.
    pub fn tell(&self, event: Event<'_>) -> Result<()> {
        if !self.ranks.leads() && !matches!(event, Event::Starts { .. } | Event::Checked) {
            return Ok(());
        }
        self.listener.map_or(Ok(()), |listener| listener(event).map_err(Error::Listener))
    }

    /// True if the job trains, and does not only look.
    pub fn trains(&self) -> bool {
        self.look == Look::No
    }

    /// Control of the run; `on_log` is told its log.
    pub(crate) fn control<'b>(&self, on_log: &'b OnLog<'b>) -> RunControl<'b> {
        RunControl { stop: self.stop.clone(), progress_bar: self.progress_bar, on_log: Some(on_log) }
    }
}
