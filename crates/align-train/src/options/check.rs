//! From options to a config: every rule an option must keep, and every option that would do nothing.

use align_files::Resume;

use super::{Every, Length, ReportTo, Selection, Strategy, TrainConfig, TrainOptions};
use crate::{Error, LrSchedulerType, Ranks, Result};

impl TrainOptions {
    /// Checks the options; the stage says what the learning rate is if none is given.
    ///
    /// # Errors
    /// For the first option that makes no sense or has no effect: its name, value, the rule, what to do.
    pub fn check(&self, default_learning_rate: f64) -> Result<TrainConfig> {
        let learning_rate = self.learning_rate.unwrap_or(default_learning_rate);
        at_least_0("learning_rate", learning_rate)?;
        at_least_0("max_grad_norm", self.max_grad_norm)?;
        at_least_1("per_device_train_batch_size", self.per_device_train_batch_size)?;
        self.max_tokens_per_micro_batch
            .map_or(Ok(()), |tokens| at_least_1("max_tokens_per_micro_batch", tokens))?;
        at_least_1("per_device_eval_batch_size", self.per_device_eval_batch_size)?;
        at_least_1("gradient_accumulation_steps", self.gradient_accumulation_steps)?;
        at_least_1("logging_steps", self.logging_steps)?;
        Ok(TrainConfig {
            length: self.length()?,
            per_device_train_batch_size: self.per_device_train_batch_size,
            max_tokens_per_micro_batch: self.max_tokens_per_micro_batch,
            per_device_eval_batch_size: self.per_device_eval_batch_size,
            gradient_accumulation_steps: self.gradient_accumulation_steps,
            gradient_checkpointing: self.gradient_checkpointing,
            max_memory: self.max_memory()?,
            learning_rate,
            curve: self.curve()?,
            warmup: self.warmup()?,
            optimizer: self.optimizer()?,
            max_grad_norm: (self.max_grad_norm > 0.0).then_some(self.max_grad_norm),
            logging_steps: self.logging_steps,
            logging_first_step: self.logging_first_step,
            tensorboard: self.tensorboard()?,
            evaluate: every(
                ("eval_strategy", self.eval_strategy),
                ("eval_steps", self.eval_steps),
                self.logging_steps,
            )?,
            eval_on_start: self.eval_on_start()?,
            selection: self.selection()?,
            save: every(("save_strategy", self.save_strategy), ("save_steps", self.save_steps), 500)?,
            save_total_limit: self.total_limit()?,
            resume: Resume::parse(self.resume_from_checkpoint.as_deref()),
            ranks: Ranks::default(),
            shard: self.shard,
        })
    }

    /// The fewest examples that a micro-batch may have, but for the last one of an epoch.
    pub fn least_examples(&self) -> usize {
        match self.max_tokens_per_micro_batch {
            Some(_) => 1,
            None => self.per_device_train_batch_size,
        }
    }

    /// The most memory that the run may take, in bytes.
    fn max_memory(&self) -> Result<Option<u64>> {
        let Some(size) = &self.max_memory else { return Ok(None) };
        let read = |error| Error::option("max_memory", size, error);
        let bytes = align_limits::memory_size()(size).map_err(|error| read(error.to_string()))?;
        match self.max_tokens_per_micro_batch {
            None => Ok(Some(bytes)),
            Some(_) => Err(read(
                "decides how an update is cut, and so does max_tokens_per_micro_batch; give one of the two"
                    .to_owned(),
            )),
        }
    }

    fn length(&self) -> Result<Length> {
        match self.max_steps {
            -1 => above_0("num_train_epochs", self.num_train_epochs)
                .map(|()| Length::Epochs(self.num_train_epochs)),
            steps if steps > 0 => Ok(Length::Steps(steps as usize)),
            steps => {
                Err(Error::option("max_steps", steps, "must be at least 1, or -1 to go by num_train_epochs"))
            }
        }
    }

    fn tensorboard(&self) -> Result<bool> {
        let tensorboard = self.report_to.contains(&ReportTo::Tensorboard);
        if tensorboard && self.report_to.contains(&ReportTo::None) {
            return Err(Error::option("report_to", "none,tensorboard", "`none` goes with nothing else"));
        }
        Ok(tensorboard)
    }

    fn eval_on_start(&self) -> Result<bool> {
        if self.eval_on_start && self.eval_strategy == Strategy::No {
            return Err(without_evaluation("eval_on_start", true));
        }
        Ok(self.eval_on_start)
    }

    fn selection(&self) -> Result<Option<Selection>> {
        let used = self.load_best_model_at_end || self.early_stopping_patience.is_some();
        if !used {
            // A schedule may go by the same metric.
            let is_judged = self.lr_scheduler_type == LrSchedulerType::ReduceLrOnPlateau;
            return if is_judged { Ok(None) } else { self.unused_selection().map(|()| None) };
        }
        if self.eval_strategy == Strategy::No {
            return Err(match self.early_stopping_patience {
                Some(patience) => without_evaluation("early_stopping_patience", patience),
                None => without_evaluation("load_best_model_at_end", true),
            });
        }
        if self.load_best_model_at_end && self.save_strategy == Strategy::No {
            return Err(Error::option(
                "load_best_model_at_end",
                true,
                "needs checkpoints; set save_strategy to steps or epoch",
            ));
        }
        match self.early_stopping_patience {
            Some(patience) => at_least_1("early_stopping_patience", patience)?,
            None => no_effect(
                "early_stopping_threshold",
                self.early_stopping_threshold.as_ref(),
                "early_stopping_patience",
            )?,
        }
        let threshold = self.early_stopping_threshold.unwrap_or(0.0);
        at_least_0("early_stopping_threshold", threshold)?;
        let (metric, greater_is_better) = self.judged();
        Ok(Some(Selection {
            greater_is_better,
            metric,
            load_best_model_at_end: self.load_best_model_at_end,
            early_stopping_patience: self.early_stopping_patience,
            early_stopping_threshold: threshold,
        }))
    }

    /// The metric that evaluations are judged by, and whether more of it is better.
    pub(super) fn judged(&self) -> (String, bool) {
        let metric = self.metric_for_best_model.as_deref().unwrap_or("loss");
        let metric = metric.strip_prefix("eval_").unwrap_or(metric).to_owned();
        (metric.clone(), self.greater_is_better.unwrap_or(!metric.ends_with("loss")))
    }

    /// Nothing depends on a best evaluation: fails if an option says how to choose it.
    fn unused_selection(&self) -> Result<()> {
        let needed = "load_best_model_at_end or early_stopping_patience";
        no_effect("metric_for_best_model", self.metric_for_best_model.as_ref(), needed)?;
        no_effect("greater_is_better", self.greater_is_better.as_ref(), needed)?;
        no_effect(
            "early_stopping_threshold",
            self.early_stopping_threshold.as_ref(),
            "early_stopping_patience",
        )
    }

    fn total_limit(&self) -> Result<Option<usize>> {
        let Some(limit) = self.save_total_limit else { return Ok(None) };
        at_least_1("save_total_limit", limit)?;
        if self.save_strategy == Strategy::No {
            return Err(Error::no_effect(
                "save_total_limit",
                limit,
                "has no effect with save_strategy no; set save_strategy to steps or epoch, or remove it",
            ));
        }
        Ok(Some(limit))
    }
}

fn every(
    (strategy_name, strategy): (&str, Strategy),
    (steps_name, steps): (&'static str, Option<usize>),
    default: usize,
) -> Result<Every> {
    if let Some(steps) = steps {
        at_least_1(steps_name, steps)?;
        if strategy != Strategy::Steps {
            let found = if strategy == Strategy::No { "no" } else { "epoch" };
            return Err(Error::no_effect(
                steps_name,
                steps,
                format!(
                    "has no effect with {strategy_name} {found}; set {strategy_name} to steps, or remove it"
                ),
            ));
        }
    }
    Ok(match strategy {
        Strategy::No => Every::Never,
        Strategy::Steps => Every::Steps(steps.unwrap_or(default)),
        Strategy::Epoch => Every::Epoch,
    })
}

pub(super) fn without_evaluation(option: &'static str, value: impl ToString) -> Error {
    Error::option(option, value, "needs evaluation; set eval_strategy to steps or epoch")
}

fn no_effect(option: &'static str, value: Option<&impl ToString>, needed: &str) -> Result<()> {
    match value {
        None => Ok(()),
        Some(value) => Err(Error::no_effect(
            option,
            value.to_string(),
            format!("has no effect without {needed}; remove it"),
        )),
    }
}

pub(super) fn at_least_0(option: &'static str, value: f64) -> Result<()> {
    rule(option, value, value.is_finite() && value >= 0.0, "must be a number of at least 0")
}

pub(super) fn above_0(option: &'static str, value: f64) -> Result<()> {
    rule(option, value, value.is_finite() && value > 0.0, "must be a number above 0")
}

pub(super) fn fraction_below_1(option: &'static str, value: f64) -> Result<()> {
    rule(option, value, (0.0..1.0).contains(&value), "must be at least 0 and below 1")
}

pub(super) fn at_least_1(option: &'static str, value: usize) -> Result<()> {
    rule(option, value, value >= 1, "must be at least 1")
}

pub(super) fn rule(option: &'static str, value: impl ToString, holds: bool, problem: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::option(option, value, problem)) }
}
