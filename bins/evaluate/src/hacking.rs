//! Whether training runs game their rewards: from their logs, from people's scores, or from their checkpoints.

use std::path::{Path, PathBuf};

use align_eval::{Measuring, Policy, Series, analyze_reward_hacking, attach_file, logged, measured, named};
use align_report::{Hacking, Run};
use align_reward::Reward;
use anyhow::{Context as _, ensure};

use crate::inputs::{Inputs, Prompts};
use crate::judging;
use crate::models::RewardSource;
use crate::options::Options;

/// A run whose reward is held against true quality.
pub(crate) enum Suspect {
    /// Its log and somebody's scores say all.
    Logged(Series<'static>),
    /// Nothing but the run itself says how good its answers were: they are asked for again.
    Checkpoints(String, PathBuf),
}

/// Reads what is to be analysed, and refuses what cannot be.
pub(crate) fn suspects(
    options: &Options,
    reward: Option<&RewardSource>,
    prompts: Option<&Prompts>,
) -> anyhow::Result<Vec<Suspect>> {
    options.hacking.hacking.iter().map(|word| suspect(word, options, reward, prompts)).collect()
}

fn suspect(
    word: &str,
    options: &Options,
    reward: Option<&RewardSource>,
    prompts: Option<&Prompts>,
) -> anyhow::Result<Suspect> {
    let (name, dir) = named(word)?;
    let (proxy, quality) =
        (options.hacking.proxy_metric.as_deref(), options.hacking.quality_metric.as_deref());
    if quality.is_none() && options.hacking.quality.is_none() {
        let because = "true quality is measured on the run's checkpoints, which needs it; or name `--quality-metric` or \
                       `--quality`";
        ensure!(reward.is_some(), "`hacking` without `--reward-model`: {because}");
        let prompts = prompts.with_context(|| format!("`hacking` without `--prompts`: {because}"))?;
        ensure!(
            options.hacking.gold_reward_model.is_some() || judging::rule(prompts.judge).is_some(),
            "`hacking` without `--gold-reward-model`, `--judge world` or another rule: {because}"
        );
        ensure!(
            proxy.is_none(),
            "`proxy_metric` has no effect: the reward is measured on checkpoints too; remove it"
        );
        return Ok(Suspect::Checkpoints(name, dir.into()));
    }
    let run = Run::read(name.as_str(), Path::new(&dir))?;
    let (mut points, proxy_source) = logged(&run, proxy, quality)?;
    let mut quality_source = quality.map(str::to_owned);
    if let Some(path) = &options.hacking.quality {
        attach_file(&mut points, path)?;
        quality_source = Some(path.display().to_string());
    }
    Ok(Suspect::Logged(Series { run: name, proxy_source, quality_source, points, answers: &[] }))
}

/// An analysis per run.
pub(crate) fn hacking(options: &Options, inputs: &Inputs) -> anyhow::Result<Vec<Hacking>> {
    let analysis = |suspect: &Suspect| match suspect {
        Suspect::Logged(series) => Ok(analyze_reward_hacking(series.clone(), options.models.seed)),
        Suspect::Checkpoints(name, dir) => of_checkpoints(name, dir, options, inputs),
    };
    inputs.suspects.iter().map(analysis).collect()
}

fn of_checkpoints(name: &str, dir: &Path, options: &Options, inputs: &Inputs) -> anyhow::Result<Hacking> {
    let (source, prompts) = inputs.reward.as_ref().zip(inputs.prompts.as_ref()).context("checked before")?;
    let (quality, quality_name) = match &inputs.gold {
        Some(gold) => (&gold.reward as &dyn Reward, gold.name.as_str()),
        None => judging::rule(prompts.judge).map(|rule| (rule, rule.name())).context("checked before")?,
    };
    let (baseline, seed) = (&inputs.models[0], options.models.seed);
    let start = Policy::open(baseline.name.as_str(), &baseline.path, &inputs.device)?;
    let measuring = Measuring {
        prompts: &prompts.rows,
        proxy: &source.reward,
        quality,
        generation: &options.generation,
        answers_per_prompt: options.prompts.num_return_sequences,
        seed,
        device: &inputs.device,
    };
    let (points, answers) = measured(dir, &start, &measuring).map_err(align_cli::input_error)?;
    let (proxy_source, quality_source) = (source.name.clone(), Some(quality_name.to_owned()));
    let series = Series { run: name.to_owned(), proxy_source, quality_source, points, answers: &answers };
    Ok(analyze_reward_hacking(series, seed))
}
