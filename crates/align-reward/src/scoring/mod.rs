//! Scoring as a whole: answers and what gives rewards in, rows with scores out: scores, comparisons, the best of many,
//! preference files.

mod answers;
mod options;
mod rows;

use std::fmt::Display;
use std::time::Instant;

use align_hub::Hub;
use align_stage::{Error, Event, Heard, Host, PlaceError, Result, ensure, given};
use serde::Serialize;

use crate::{Normalize, OutsideOptions, Reading, Reward, RewardError, RewardSpec, WeightedSum, open_reward};
use answers::Answers;

pub use options::{AnswerOptions, RowOptions, SourceOptions, Write};
pub use rows::{Row, Scored};

/// A scoring job: all its options.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Job {
    /// What gives the scores.
    #[command(flatten)]
    pub rewards: SourceOptions,
    /// Who else gives scores, outside of the process.
    #[command(flatten)]
    pub outside: OutsideOptions,
    /// What is scored.
    #[command(flatten)]
    pub answers: AnswerOptions,
    /// What is made of scores.
    #[command(flatten)]
    pub rows: RowOptions,
}

/// What came of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Answers that were scored.
    pub answers: usize,
    /// Rows that were handed out.
    pub rows: usize,
    /// Prompts whose answers all have the same score: of [`Write::Compare`] and [`Write::Preferences`].
    pub equal: usize,
    /// Prompts whose first answer has the higher score: of [`Write::Compare`].
    pub first_preferred: usize,
    /// Seconds from the first answer to the last row.
    pub seconds: f64,
}

impl Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answers, seconds, .. } = *self;
        write!(f, "{answers} answers in {seconds:.1} s, {:.0} a second", answers as f64 / seconds)
    }
}

impl Job {
    /// The job over the answers of a data set by name; everything else is as by default, and nothing gives scores yet.
    pub fn new(dataset: impl Into<String>) -> Self {
        let mut job = Self::default();
        job.answers.dataset = dataset.into();
        job
    }
}

/// Scores the job's answers, a batch of which is in memory at a time, and hands each row to `take` as it comes, in the order of
/// the answers.
///
/// # Errors
/// Options, the first row or a model that are wrong, before the host hears [`Event::Checked`]; later rows that are wrong
/// ([`Error::LateInput`]); what `take` refuses.
pub fn score(job: &Job, host: &Host<'_>, take: &mut dyn FnMut(&Row) -> Heard) -> Result<Report> {
    job.check(&given(host, job)?)?;
    let (hub, write) = (Hub::from_env(), job.rows.write);
    let mut answers = Answers::open(&job.answers, write, &hub)?;
    let reward = reward(job, &hub)?;

    host.tell(Event::Checked)?;
    let (start, mut report) = (Instant::now(), Report::default());
    loop {
        let batch = answers.batch(job.answers.batch_size).map_err(Error::late_input)?;
        if batch.is_empty() {
            break;
        }
        let scores = reward.rewards(&batch).map_err(|error| complaint(error, job))?;
        for (task, scores) in batch.iter().zip(scores) {
            if let Some(row) = report.row(write, &task.candidates, &scores) {
                take(&row).map_err(Error::Listener)?;
            }
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    tracing::info!("{report}");
    report.finish(write)?;
    Ok(report)
}

/// The rewards that the options name, added up.
fn reward(job: &Job, hub: &Hub) -> Result<WeightedSum> {
    let reward = |spec: &RewardSpec| {
        let reward = spec.rule().map_or_else(|| model(job, hub), Ok)?;
        Ok::<_, Error>((spec.weight, reward))
    };
    let asked = &job.rewards.reward;
    let mut members: Vec<_> = asked.iter().map(reward).collect::<Result<_>>()?;
    if asked.is_empty() && job.reads_model() {
        members.push((1.0, model(job, hub)?));
    }
    let outside = job.outside.open(&job.answers.reference_column)?;
    members.extend(outside.into_iter().map(|reward| (1.0, reward)));
    Ok(WeightedSum::new(members)?)
}

fn model(job: &Job, hub: &Hub) -> Result<Box<dyn Reward>> {
    let asked = &job.rewards;
    let name = asked.model_name_or_path.as_deref().unwrap_or_default();
    let device = asked.device.open().map_err(PlaceError::from)?;
    let path = hub.model(name, &asked.model_revision)?;
    let reading = Reading {
        normalize: if asked.normalize { Normalize::Always("normalize") } else { Normalize::Never },
        add_bos_token: job.answers.add_bos_token,
        batch_size: job.answers.batch_size,
        precision: asked.precision.precision()?,
    };
    let called = format!("model {}", path.display());
    let open = open_reward(&path, &called, &device, &reading)?;
    ensure!(
        reading.precision == open.precision,
        "`dtype`, `bf16`: have no effect on {called}, an encoder, which computes in float32; remove the option"
    );
    Ok(open.reward)
}

/// What the user can do about it.
fn complaint(error: RewardError, job: &Job) -> Error {
    let column = &job.answers.reference_column;
    if let RewardError::Outside { .. } = error {
        return error.into(); // its own fault, and not the input's
    }
    Error::late_input(match error {
        error @ RewardError::NoReference { .. } => Error::Inputs(format!(
            "{error}; `reference_column` = {column} names no column of it: name the one with the right answer"
        )),
        error => error.into(),
    })
}

#[cfg(test)]
mod tests;
