//! Where the numbers of a run come from: its log, a file of scores, or its checkpoints, asked again.

use std::path::{Path, PathBuf};

use align_data::PromptOnly;
use align_models::generation::GenerationOptions;
use align_report::{HackingPoint, Run};
use align_reward::Reward;
use candle_core::Device;
use serde::Deserialize;

use crate::judge::{Slate, scores};
use crate::policy::{Policy, PolicyDir};
use crate::prompts::PromptRow;
use crate::{Error, Result};

/// Metrics of the reward that is optimised, by what logs them: PPO, GRPO, DPO.
const PROXIES: [&str; 4] = ["objective/scores", "reward", "rewards/mean", "rewards/margins"];
const KLS: [&str; 3] = ["objective/kl", "kl", "eval_kl"];
const LENGTHS: [&str; 3] = ["completions/mean_length", "completions/mean_tokens", "objective/length"];

/// The points of a run's log, and the metric that they hold as the reward.
///
/// # Errors
/// A log without such a metric.
pub fn logged(run: &Run, proxy: Option<&str>, quality: Option<&str>) -> Result<(Vec<HackingPoint>, String)> {
    let names = || run.curves.iter().map(|curve| curve.metric.as_str()).collect::<Vec<_>>().join(", ");
    let missing =
        |metric: &str| Error::Config(format!("{}: has no metric `{metric}`; it has {}", run.path, names()));
    let proxy = match proxy {
        Some(metric) => metric,
        None => PROXIES.into_iter().find(|metric| run.curve(metric).is_some()).ok_or_else(|| {
            Error::Config(format!(
                "{}: has none of {}; name the metric: it has {}",
                run.path,
                PROXIES.join(", "),
                names()
            ))
        })?,
    };
    let curve = run.curve(proxy).ok_or_else(|| missing(proxy))?;
    let mut points: Vec<HackingPoint> =
        curve.iter().map(|&[step, proxy]| HackingPoint { step, proxy, ..HackingPoint::default() }).collect();
    let first_of = |metrics: &[&str]| metrics.iter().find_map(|metric| run.curve(metric));
    let (kl, length) = (first_of(&KLS), first_of(&LENGTHS));
    for point in &mut points {
        point.kl = kl.and_then(|curve| at(curve, point.step));
        point.tokens = length.and_then(|curve| at(curve, point.step));
    }
    if let Some(metric) = quality {
        let curve = run.curve(metric).ok_or_else(|| missing(metric))?;
        attach(&mut points, curve);
    }
    Ok((points, proxy.to_owned()))
}

/// Bytes of the largest file of scores: millions of them.
const LARGEST: u64 = 256 << 20;

/// Adds the true quality that a file holds: JSON lines with `step` and `quality`.
///
/// # Errors
/// With `file:line`: what is none, and steps that the log does not reach, which are of another run.
pub fn attach_file(points: &mut [HackingPoint], path: &Path) -> Result<()> {
    #[derive(Deserialize)]
    struct Row {
        step: f64,
        quality: f64,
    }
    let text = align_files::read_to_string(path, LARGEST).map_err(|error| Error::io(path)(error.source))?;
    let last = points.last().map_or(0.0, |point| point.step);
    let mut measured = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row: Row = serde_json::from_str(line).map_err(|error| {
            let place = path.display();
            Error::Config(format!(
                "{place}:{}: expected an object with `step` and `quality`: {error}",
                number + 1
            ))
        })?;
        if !(0.0..=last).contains(&row.step) {
            let (place, number, step) = (path.display(), number + 1, row.step);
            return Err(Error::Config(format!(
                "{place}:{number}: expected a step of the run, whose log ends at step {last}; found {step}"
            )));
        }
        measured.push([row.step, row.quality]);
    }
    if measured.is_empty() {
        let problem = "holds no scores; expected JSON lines with `step` and `quality`";
        return Err(Error::Config(format!("{}: {problem}", path.display())));
    }
    attach(points, &measured);
    Ok(())
}

/// The last value at or before a step.
fn at(curve: &[[f64; 2]], step: f64) -> Option<f64> {
    curve.iter().take_while(|point| point[0] <= step).last().map(|point| point[1])
}

/// Gives each measurement to the point nearest to its step; a point that has several gets their mean.
fn attach(points: &mut [HackingPoint], measured: &[[f64; 2]]) {
    let mut sums = vec![(0.0, 0.0); points.len()];
    for &[step, quality] in measured {
        let distance = |place: &usize| (points[*place].step - step).abs();
        let nearest = (0..points.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        if let Some(place) = nearest {
            sums[place].0 += quality;
            sums[place].1 += 1.0;
        }
    }
    for (point, (sum, count)) in points.iter_mut().zip(sums) {
        if count > 0.0 {
            point.quality = Some(sum / count);
        }
    }
}

/// What checkpoints are asked, and who says what their answers are worth.
pub struct Measuring<'a> {
    /// The prompts; those that leave room for an answer count.
    pub prompts: &'a [PromptRow],
    /// What was optimised.
    pub proxy: &'a dyn Reward,
    /// What was not.
    pub quality: &'a dyn Reward,
    /// How answers are sampled.
    pub generation: &'a GenerationOptions,
    /// How many to each prompt.
    pub answers_per_prompt: usize,
    /// Seed of the answers.
    pub seed: u64,
    /// Where models run.
    pub device: &'a Device,
}

/// Reward, quality, KL and length of a run's start, its checkpoints and its end, and the answers at its end, one to each
/// prompt.
///
/// # Errors
/// A run without checkpoints; models that cannot be run.
pub fn measured(
    run: &Path,
    start: &Policy,
    measuring: &Measuring<'_>,
) -> Result<(Vec<HackingPoint>, Vec<String>)> {
    let checkpoints = checkpoints(run)?;
    if checkpoints.is_empty() {
        return Err(Error::Config(format!(
            "{}: has no checkpoints to measure true quality on; train with `--save-steps`, or name a metric \
             (`--quality-metric`) or a file (`--quality`) with it",
            run.display()
        )));
    }
    let (mut points, mut answers) = (Vec::new(), Vec::new());
    if checkpoints[0].0 > 0 {
        points.push(measuring.point(0.0, start, start)?.0);
    }
    for (step, path) in checkpoints {
        let dir = PolicyDir::open(format!("step {step}"), &path)?.in_precision(start.dir().precision());
        let policy = dir.load(measuring.device)?;
        let (point, said) = measuring.point(step as f64, &policy, start)?;
        points.push(point);
        answers = said;
    }
    Ok((points, answers))
}

impl Measuring<'_> {
    fn point(&self, step: f64, policy: &Policy, start: &Policy) -> Result<(HackingPoint, Vec<String>)> {
        let asked: Vec<PromptOnly> = self.prompts.iter().map(|row| row.task.prompt.clone()).collect();
        let tokens = policy.dir().prompt_tokens(&asked, self.generation.max_new_tokens)?;
        let rows = self.prompts.iter().zip(tokens).filter(|(row, _)| row.is_main);
        let (rows, tokens): (Vec<&PromptRow>, Vec<Vec<u32>>) =
            rows.filter_map(|(row, tokens)| Some((row, tokens?))).unzip();
        let said = policy.answer_groups(&tokens, self.answers_per_prompt, self.generation, self.seed)?;
        let slates = rows.iter().zip(&said).map(|(row, answers)| Slate {
            task: row.task.clone(),
            answers: answers.iter().map(|answer| answer.text.clone()).collect(),
        });
        let slates: Vec<Slate> = slates.collect();
        let count = said.iter().flatten().count().max(1) as f64;
        let mean = |reward: &dyn Reward| -> Result<f64> {
            Ok(scores(reward, &slates)?.iter().flatten().sum::<f64>() / count)
        };
        let kl = policy.kl_from(start, &tokens, self.generation.max_new_tokens, self.seed)?;
        let length: f64 = said.iter().flatten().map(|answer| answer.tokens as f64).sum();
        let point = HackingPoint {
            step,
            proxy: mean(self.proxy)?,
            quality: Some(mean(self.quality)?),
            kl: kl.map(|kl| kl.per_sequence),
            tokens: Some(length / count),
        };
        let first = said.into_iter().filter_map(|answers| Some(answers.into_iter().next()?.text));
        Ok((point, first.collect()))
    }
}

/// `checkpoint-N` folders by N, and the run's end.
fn checkpoints(run: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(run).map_err(Error::io(run))? {
        let path = item.map_err(Error::io(run))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let step = name.strip_prefix("checkpoint-").and_then(|step| step.parse().ok());
        if let Some(step) = step.filter(|_| path.join("config.json").is_file()) {
            found.push((step, path));
        }
    }
    found.sort();
    // The run ends with a model of its own, unless its last checkpoint is that model.
    let steps = Run::read("", run).ok().and_then(|run| run.steps).map(|steps| steps as u64);
    if let (Some(steps), Some((last, _))) = (steps, found.last())
        && steps > *last
        && run.join("config.json").is_file()
    {
        found.push((steps, run.to_owned()));
    }
    Ok(found)
}
