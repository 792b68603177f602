//! How an update is cut so that it fits: the cheapest cut in time, of those that are the same update.

use align_files::Resume;
use align_train::{Run, TrainConfig};
use serde_json::Value;

use super::predict::predict;
use super::{Cut, MemoryNeeds, Shown, ways};
use crate::{Error, Opening, Result};

/// The work of a micro-batch beside its tokens, in tokens: every weight is read three times, and every gradient added to. Measured on
/// two threads of a Zen 4: micro-batches of 30 tokens took a third longer for each token than those of a thousand.
const TOKENS_OF_A_PASS: f64 = 10.0;
/// What computing layers again costs: one of three passes.
const AGAIN: f64 = 1.0 / 3.0;

/// The cut of the run's updates that takes the least time among those that take at most so many bytes. Of a run that is resumed it is
/// the one that it was begun with.
///
/// # Errors
/// A method whose updates depend on the cut; options that decide it otherwise; a limit that no cut keeps.
pub(super) fn choose(opening: &Opening<'_>, needs: &MemoryNeeds, most: u64) -> Result<Cut> {
    if let Some(what) = &needs.of_micro_batch {
        let problem = format!(
            "cannot choose how an update is cut into micro-batches: {what}; leave it out, and set `per_device_train_batch_size` and \
             `gradient_checkpointing` yourself"
        );
        return Err(Error::option("max_memory", problem));
    }
    let cuts = match begun(opening)? {
        Some(cut) => vec![cut],
        None => cuts(opening, needs),
    };
    let tokens: usize = needs.train.iter().map(|row| row.tokens).sum();
    let mean = needs.bins.map_or(tokens as f64 / needs.train.len().max(1) as f64, |tokens| tokens as f64);
    let mut timed: Vec<(f64, Cut)> = cuts.into_iter().map(|cut| (time(cut, mean), cut)).collect();
    timed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut least: Option<super::MemoryPlan> = None;
    for (_, cut) in timed {
        let plan = predict(opening, &opening.model, &cut.of(&opening.config), needs)?;
        if plan.bytes() <= most {
            return Ok(cut);
        }
        if least.as_ref().is_none_or(|least| plan.bytes() < least.bytes()) {
            least = Some(super::MemoryPlan { chosen: Some(cut), ..plan });
        }
    }
    let plan = least.expect("an update has at least one cut");
    let cut = plan.chosen.expect("noted above");
    let problem =
        format!("{} is below the least that the run takes, {} with {cut}", Shown(most), Shown(plan.bytes()));
    Err(Error::option("max_memory", ways::with(opening, needs, &cut.of(&opening.config), most, problem)))
}

/// All cuts of the update that the options say.
fn cuts(opening: &Opening<'_>, needs: &MemoryNeeds) -> Vec<Cut> {
    let TrainConfig {
        per_device_train_batch_size, gradient_accumulation_steps, gradient_checkpointing, ..
    } = opening.config;
    let rows = per_device_train_batch_size * gradient_accumulation_steps;
    let again = match opening.given.has("gradient_checkpointing") || needs.frozen_backbone {
        true => vec![gradient_checkpointing],
        false => vec![false, true],
    };
    // A micro-batch of more rows than there are is one of all of them.
    let most = rows.min(needs.train.len()).max(per_device_train_batch_size);
    let sizes = (1..=most).filter(|size| rows.is_multiple_of(*size));
    let cut = |(size, gradient_checkpointing)| Cut {
        per_device_train_batch_size: size,
        gradient_accumulation_steps: rows / size,
        gradient_checkpointing,
    };
    sizes.flat_map(|size| again.iter().map(move |again| cut((size, *again)))).collect()
}

/// The time of an update, as a multiple of what its products take at their best.
fn time(cut: Cut, tokens_of_row: f64) -> f64 {
    let tokens = cut.per_device_train_batch_size as f64 * tokens_of_row;
    let again = if cut.gradient_checkpointing { AGAIN } else { 0.0 };
    (1.0 + again) * (1.0 + TOKENS_OF_A_PASS / tokens.max(1.0))
}

/// The cut that a run was begun with which is to be resumed, if it has the same number of rows.
fn begun(opening: &Opening<'_>) -> Result<Option<Cut>> {
    let config = &opening.config;
    if config.resume == Resume::No {
        return Ok(None);
    }
    let Some((directory, kind)) = opening.place.named() else { return Ok(None) };
    let Some(settings) = Run::settings_to_resume(directory, kind, config)? else { return Ok(None) };
    let options = &settings["options"]["train"];
    let count = |name: &str| options[name].as_u64().and_then(|count| usize::try_from(count).ok());
    let cut = || {
        Some(Cut {
            per_device_train_batch_size: count("per_device_train_batch_size")?,
            gradient_accumulation_steps: count("gradient_accumulation_steps")?,
            gradient_checkpointing: options["gradient_checkpointing"].as_bool()?,
        })
    };
    let rows = config.per_device_train_batch_size * config.gradient_accumulation_steps;
    let is_same = |cut: &Cut| {
        cut.per_device_train_batch_size.checked_mul(cut.gradient_accumulation_steps) == Some(rows)
    };
    Ok(cut().filter(is_same))
}

impl Cut {
    /// The options with this cut.
    pub(crate) fn of(self, config: &TrainConfig) -> TrainConfig {
        TrainConfig {
            per_device_train_batch_size: self.per_device_train_batch_size,
            gradient_accumulation_steps: self.gradient_accumulation_steps,
            gradient_checkpointing: self.gradient_checkpointing,
            ..config.clone()
        }
    }

    /// The options that it stands for.
    pub(crate) fn options(self) -> [(&'static str, Value); 3] {
        [
            ("per_device_train_batch_size", self.per_device_train_batch_size.into()),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps.into()),
            ("gradient_checkpointing", self.gradient_checkpointing.into()),
        ]
    }
}
