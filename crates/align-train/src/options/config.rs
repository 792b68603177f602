//! What training goes by: options that have been checked against each other.

use align_files::Resume;

use crate::{Curve, Error, Floor, OptimizerConfig, Ranks, Result, Schedule, Shard, StableDecay, Updater};

/// The checked options of a run. Made by [`TrainOptions::check`](crate::TrainOptions::check).
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// The length of the run.
    pub length: Length,
    /// Examples per micro-batch in training.
    pub per_device_train_batch_size: usize,
    /// Tokens per micro-batch in training, which then decide instead of the examples.
    pub max_tokens_per_micro_batch: Option<usize>,
    /// Examples per micro-batch in evaluation.
    pub per_device_eval_batch_size: usize,
    /// Micro-batches per update.
    pub gradient_accumulation_steps: usize,
    /// Gradient checkpointing: whether layers are computed again for their gradients.
    pub gradient_checkpointing: bool,
    /// The most memory that the run may take, in bytes, where that decides how updates are cut.
    pub max_memory: Option<u64>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// The form of the learning-rate schedule.
    pub curve: Curve,
    /// The warm-up of the learning rate.
    pub warmup: Warmup,
    /// The optimizer and its coefficients.
    pub optimizer: OptimizerConfig,
    /// Global norm that gradients are clipped to.
    pub max_grad_norm: Option<f64>,
    /// Updates between two log entries.
    pub logging_steps: usize,
    /// Whether the first update is logged too.
    pub logging_first_step: bool,
    /// Whether TensorBoard event files are written.
    pub tensorboard: bool,
    /// The times of evaluation.
    pub evaluate: Every,
    /// Whether to evaluate before the first update.
    pub eval_on_start: bool,
    /// The selection of the best evaluation, where that matters.
    pub selection: Option<Selection>,
    /// The times at which a checkpoint is saved.
    pub save: Every,
    /// Checkpoints that are kept.
    pub save_total_limit: Option<usize>,
    /// The place where the run starts: the beginning, or a checkpoint.
    pub resume: Resume,
    /// The ranks that train together.
    pub ranks: Ranks,
    /// What they divide among themselves.
    pub shard: Shard,
}

/// The length of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// So many updates.
    Steps(usize),
    /// So many passes over the data; may be a fraction.
    Epochs(f64),
}

/// The warm-up: updates over which the learning rate rises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// So many.
    Steps(usize),
    /// A fraction of all, rounded up.
    Ratio(f64),
}

/// The times at which something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Never.
    Never,
    /// After every so many steps, and after the last.
    Steps(usize),
    /// At the end of every epoch, and of the run.
    Epoch,
}

/// The selection of the best evaluation, and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Name of the metric, without `eval_`.
    pub metric: String,
    /// Whether more of the metric is better.
    pub greater_is_better: bool,
    /// Whether the run ends with the best weights.
    pub load_best_model_at_end: bool,
    /// The patience: evaluations without improvement after which the run stops.
    pub early_stopping_patience: Option<usize>,
    /// The improvement that counts as one.
    pub early_stopping_threshold: f64,
}

impl TrainConfig {
    /// Micro-batches of an update, on all ranks together.
    pub fn micro_batches_per_update(&self) -> usize {
        self.gradient_accumulation_steps.saturating_mul(self.ranks.size())
    }

    /// Rows of the whole run, which a stream of rows ends after.
    ///
    /// # Errors
    /// A run of which its options do not say how many rows it is trained on.
    pub fn rows_of_run(&self) -> Result<usize> {
        let refuse = |rule| Err(Error::option("dataset_streaming", true, rule));
        match (self.length, self.max_tokens_per_micro_batch) {
            (Length::Epochs(_), _) => {
                refuse("needs max_steps: a source that may have no end does not say how long the run is")
            }
            (_, Some(_)) => refuse("needs micro-batches of so many rows; remove max_tokens_per_micro_batch"),
            (Length::Steps(steps), None) => {
                let of_update =
                    self.per_device_train_batch_size.saturating_mul(self.micro_batches_per_update());
                Ok(steps.saturating_mul(of_update))
            }
        }
    }

    /// Updates in an epoch of so many micro-batches. The last one may be partial.
    pub fn steps_per_epoch(&self, batches_per_epoch: usize) -> usize {
        batches_per_epoch.div_ceil(self.micro_batches_per_update()).max(1)
    }

    /// Updates in the whole run.
    pub fn total_steps(&self, batches_per_epoch: usize) -> usize {
        match self.length {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => {
                ((epochs * self.steps_per_epoch(batches_per_epoch) as f64).ceil() as usize).max(1)
            }
        }
    }

    /// The learning rate of every update of a run of so many updates.
    ///
    /// # Errors
    /// If warmup and decay do not fit into the run.
    pub fn schedule(&self, total_steps: usize) -> Result<Schedule> {
        let warmup_steps = match self.warmup {
            Warmup::Steps(steps) => steps,
            Warmup::Ratio(ratio) => (ratio * total_steps as f64).ceil() as usize,
        };
        self.check_decay(warmup_steps, total_steps)?;
        self.check_floor()?;
        if warmup_steps > total_steps {
            tracing::warn!(
                "the run has {total_steps} updates, {warmup_steps} of warmup: the learning rate never reaches its peak"
            );
        }
        let (curve, learning_rate) = (self.curve.clone(), self.learning_rate);
        Ok(Schedule { curve, learning_rate, warmup_steps, total_steps })
    }

    /// The last phase of a schedule that has one lies after the warmup.
    fn check_decay(&self, warmup_steps: usize, total_steps: usize) -> Result<()> {
        let Curve::WarmupStableDecay(StableDecay { decay_steps, stable_steps, .. }) = self.curve else {
            return Ok(());
        };
        let before = warmup_steps.saturating_add(stable_steps.unwrap_or(0));
        if before.saturating_add(decay_steps) <= total_steps {
            return Ok(());
        }
        let problem =
            format!("does not fit: the run has {total_steps} updates, {before} of warmup and stable rate");
        Err(Error::option("num_decay_steps", decay_steps, problem))
    }

    /// Learning rates that a schedule falls to lie below the one that it falls from.
    fn check_floor(&self) -> Result<()> {
        let (argument, floor) = match self.curve {
            Curve::Polynomial { lr_end, .. } => ("lr_end", lr_end),
            Curve::Cosine { floor: Floor::LearningRate(min_lr), .. } => ("min_lr", min_lr),
            _ => return Ok(()),
        };
        if floor < self.learning_rate {
            return Ok(());
        }
        let problem = format!("must be below learning_rate, {}", self.learning_rate);
        Err(Error::option("lr_scheduler_kwargs", format!("{argument}={floor}"), problem))
    }

    /// Refuses evaluation without anything to evaluate on, before any work is done.
    ///
    /// # Errors
    /// If evaluation is asked for and `available` is false.
    pub fn check_evaluation(&self, available: bool) -> Result<()> {
        if self.evaluate == Every::Never || available {
            return Ok(());
        }
        Err(Error::option("eval_strategy", "steps or epoch", "needs evaluation data; give eval_dataset"))
    }

    /// The updater that a run of so many updates needs.
    ///
    /// # Errors
    /// As [`TrainConfig::schedule`] and [`Updater::new`].
    pub fn updater(&self, params: &align_kernels::Params, total_steps: usize) -> Result<Updater> {
        let updater = Updater::new(params, self.optimizer, self.schedule(total_steps)?, self.max_grad_norm)?;
        updater.on(self.ranks.clone(), self.shard)
    }
}

impl Every {
    /// Whether it is due after update number `step`.
    pub(crate) fn is_due(self, step: usize, ends_epoch: bool, ends_run: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Steps(every) => step.is_multiple_of(every) || ends_run,
            Self::Epoch => ends_epoch || ends_run,
        }
    }
}
