//! Whether training runs game their rewards: from their logs, from people's scores, or from their checkpoints.

use std::path::{Path, PathBuf};

use align_report::{Hacking, Run};
use align_stage::{Error, Result, ensure};

use super::Job;
use super::inputs::{Inputs, Prompts};
use super::models::RewardSource;
use crate::{Measuring, Series, analyze_reward_hacking, attach_file, logged, measured, named};

/// A run whose reward is held against true quality.
pub(super) enum Suspect {
    /// Its log and somebody's scores say all.
    Logged(Series<'static>),
    /// Nothing but the run itself says how good its answers were: they are asked for again.
    Checkpoints(String, PathBuf),
}

/// Reads what is to be analysed, and refuses what cannot be.
pub(super) fn suspects(
    job: &Job,
    reward: Option<&RewardSource>,
    prompts: Option<&Prompts<'_>>,
) -> Result<Vec<Suspect>> {
    job.hacking.hacking.iter().map(|word| suspect(word, job, reward, prompts)).collect()
}

fn suspect(
    word: &str,
    job: &Job,
    reward: Option<&RewardSource>,
    prompts: Option<&Prompts<'_>>,
) -> Result<Suspect> {
    let (name, dir) = named(word)?;
    let (proxy, quality) = (job.hacking.proxy_metric.as_deref(), job.hacking.quality_metric.as_deref());
    if quality.is_none() && job.hacking.quality.is_none() {
        let because = "true quality is measured on the run's checkpoints, which needs it; or name `--quality-metric` or \
                       `--quality`";
        ensure!(reward.is_some(), "`hacking` without `--reward-model`: {because}");
        ensure!(prompts.is_some(), "`hacking` without `--prompts`: {because}");
        ensure!(
            job.hacking.gold_reward_model.is_some() || prompts.is_some_and(|prompts| prompts.rule.is_some()),
            "`hacking` without `--gold-reward-model`, `--judge world` or another rule: {because}"
        );
        ensure!(
            proxy.is_none(),
            "`proxy_metric` has no effect: the reward is measured on checkpoints too; remove it"
        );
        return Ok(Suspect::Checkpoints(name, dir.into()));
    }
    let run = Run::read(name.as_str(), Path::new(&dir)).map_err(crate::Error::from)?;
    let (mut points, proxy_source) = logged(&run, proxy, quality)?;
    let mut quality_source = quality.map(str::to_owned);
    if let Some(path) = &job.hacking.quality {
        attach_file(&mut points, path)?;
        quality_source = Some(path.display().to_string());
    }
    Ok(Suspect::Logged(Series { run: name, proxy_source, quality_source, points, answers: &[] }))
}

/// An analysis per run.
pub(super) fn hacking(job: &Job, inputs: &Inputs<'_>) -> Result<Vec<Hacking>> {
    let analysis = |suspect: &Suspect| match suspect {
        Suspect::Logged(series) => Ok(analyze_reward_hacking(series.clone(), job.models.seed)),
        Suspect::Checkpoints(name, dir) => of_checkpoints(name, dir, job, inputs),
    };
    inputs.suspects.iter().map(analysis).collect()
}

fn of_checkpoints(name: &str, dir: &Path, job: &Job, inputs: &Inputs<'_>) -> Result<Hacking> {
    let asked = inputs.reward.as_ref().zip(inputs.prompts.as_ref()).and_then(|(source, prompts)| {
        let gold = inputs.gold.as_ref().map(|gold| (gold.reward(), gold.name.as_str()));
        Some((source, prompts, gold.or_else(|| prompts.rule.map(|rule| (rule, rule.name())))?))
    });
    // `suspect` refuses a job without them.
    let Some((source, prompts, (quality, quality_name))) = asked else {
        return Err(Error::option("hacking", "there is nothing to measure a run's checkpoints with"));
    };
    let (baseline, seed) = (&inputs.models[0], job.models.seed);
    let start = baseline.load(&inputs.device)?;
    let measuring = Measuring {
        prompts: &prompts.rows,
        proxy: source.reward(),
        quality,
        generation: &job.generation,
        answers_per_prompt: job.prompts.num_return_sequences,
        seed,
        device: &inputs.device,
    };
    let (points, answers) = measured(dir, &start, &measuring).map_err(Error::late_input)?;
    let (proxy_source, quality_source) = (source.name.clone(), Some(quality_name.to_owned()));
    let series = Series { run: name.to_owned(), proxy_source, quality_source, points, answers: &answers };
    Ok(analyze_reward_hacking(series, seed))
}
