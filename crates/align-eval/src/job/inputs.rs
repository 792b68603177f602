//! Everything that is read before the first model is loaded: what is missing or wrong is found at once.

use std::path::Path;

use align_data::{Dataset, Demonstration};
use align_hub::Hub;
use align_models::generation::check_completions;
use align_report::Run;
use align_reward::Reward;
use align_stage::{Error, PlaceError, Result, data_set, ensure};
use candle_core::Device;

use super::hacking::{Suspect, suspects};
use super::judging::{World, rule};
use super::models::{self, Model, RewardSource};
use super::{Job, JudgeKind};
use crate::{PairSet, Principle, PromptRow, load_text, named, with_sets};

/// What there is to evaluate.
pub(super) struct Inputs<'a> {
    pub(super) device: Device,
    pub(super) models: Vec<Model>,
    pub(super) reward: Option<RewardSource>,
    pub(super) gold: Option<RewardSource>,
    pub(super) prompts: Option<Prompts<'a>>,
    pub(super) pairs: Vec<PairSet>,
    /// What models were trained on, where it is named.
    pub(super) train_pairs: Option<PairSet>,
    pub(super) principles: Vec<Principle>,
    pub(super) suspects: Vec<Suspect>,
    pub(super) runs: Vec<Run>,
}

/// What models are asked, and who judges.
pub(super) struct Prompts<'a> {
    pub(super) rows: Vec<PromptRow>,
    pub(super) source: String,
    pub(super) text: Vec<Demonstration>,
    pub(super) judge: JudgeKind,
    /// What the judge asks, if it is a rule.
    pub(super) rule: Option<&'a dyn Reward>,
}

impl<'a> Inputs<'a> {
    /// Reads what the job names.
    ///
    /// # Errors
    /// Inputs that are not there, cannot be read, or do not go together.
    pub(super) fn read(job: &Job, world: Option<World<'a>>) -> Result<Self> {
        let hub = Hub::from_env();
        let device = job.models.device.open().map_err(PlaceError::from)?;
        let models = models::find(&job.models, &hub)?;
        check(&models)?;
        let prompts = prompts(job, &hub, world)?;
        ensure!(
            prompts.is_none() || !models.is_empty(),
            "`prompts`: there is no model to ask; name one with `--model`"
        );
        if let Some(critic) = job.critique.critic.as_deref().filter(|critic| *critic != "endpoint") {
            let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
            if !names.contains(&critic) {
                let names = names.join(", ");
                return Err(Error::Inputs(format!(
                    "`critic` {critic}: expected `endpoint` or one of the models: {names}"
                )));
            }
        }
        let pairs = job.preferences.preferences.iter().map(|name| {
            let (split, column) = (&job.prompts.split, &job.preferences.subset_column);
            let mut pairs = PairSet::load(data_of(job, &hub, name, split)?, split, column)?;
            pairs.truncate(job.preferences.num_pairs.unwrap_or(usize::MAX));
            Ok(pairs)
        });
        let train_pairs = job.preferences.train_preferences.as_ref().map(|name| {
            let column = &job.preferences.subset_column;
            Ok::<_, Error>(PairSet::load(data_of(job, &hub, name, "train")?, "train", column)?)
        });
        let train_pairs = train_pairs.transpose()?;
        let (reward, gold) = (job.models.reward_model.as_ref(), job.hacking.gold_reward_model.as_ref());
        let precision = job.models.precision.precision()?;
        let reward = models::reward(("reward_model", reward), &hub, &device, precision)?;
        let gold = models::reward(("gold_reward_model", gold), &hub, &device, precision)?;
        ensure!(
            pairs.len() == 0 || job.outside.count() == 0 || !models.is_empty(),
            "`preferences` with `reward_command` or `reward_url`: how long answers are is counted in the tokens of a model; \
             name one with `--model`"
        );
        let reward = match reward {
            None => models::outside(&job.outside, &job.prompts.reference_column)?,
            model => model,
        };
        let runs = job.hacking.run.iter().map(|word| {
            let (name, dir) = named(word)?;
            Ok(Run::read(name, dir.as_ref()).map_err(crate::Error::from)?)
        });
        let principles = job.critique.principles.as_deref().map(Principle::load);
        Ok(Self {
            suspects: suspects(job, reward.as_ref(), prompts.as_ref())?,
            runs: runs.collect::<Result<_>>()?,
            pairs: pairs.collect::<Result<_>>()?,
            train_pairs,
            principles: principles.transpose()?.unwrap_or_default(),
            reward,
            gold,
            device,
            models,
            prompts,
        })
    }
}

/// Every model can be told from the others, and can be asked.
fn check(models: &[Model]) -> Result<()> {
    for (place, model) in models.iter().enumerate() {
        if let Some(other) = models[..place].iter().find(|other| other.name == model.name) {
            let (name, first, second) = (&model.name, other.path.display(), model.path.display());
            return Err(Error::Inputs(format!(
                "two models are called `{name}`, {first} and {second}; name them: --model NAME=DIRECTORY"
            )));
        }
        model.dir()?;
    }
    Ok(())
}

/// A data set of the job, in the job's config unless it is a file.
fn data_of(job: &Job, hub: &Hub, name: &str, split: &str) -> Result<Dataset> {
    let config = job.prompts.dataset_config.as_deref();
    data_set(hub, name, config.filter(|_| !Path::new(name).is_file()), split)
}

fn prompts<'a>(job: &Job, hub: &Hub, world: Option<World<'a>>) -> Result<Option<Prompts<'a>>> {
    let Some(source) = &job.prompts.prompts else { return Ok(None) };
    let (split, column) = (&job.prompts.split, &job.prompts.reference_column);
    let mut rows = PromptRow::load(data_of(job, hub, source, split)?, split, column)?;
    rows.truncate(job.prompts.num_prompts.unwrap_or(usize::MAX));
    let each = job.prompts.num_return_sequences.max(job.prompts.best_of_n.unwrap_or(1));
    let too_many = |error| Error::Inputs(format!("`num_return_sequences`, `best_of_n`: {error}"));
    check_completions(rows.len(), each).map_err(too_many)?;
    let mut sets = Vec::new();
    for (name, file) in
        [("safety", &job.prompts.safety_prompts), ("helpfulness", &job.prompts.helpfulness_prompts)]
    {
        if let Some(file) = file {
            let prompts = PromptRow::load_set(name, data_of(job, hub, file, split)?, split, column)?;
            sets.push((name.to_owned(), prompts));
        }
    }
    let judge = job.judge_kind()?;
    let rule = rule(judge, world)?;
    if let (JudgeKind::World, Some(world)) = (judge, world) {
        let added = sets.iter_mut().flat_map(|(_, rows)| rows);
        classify(&world, rows.iter_mut().chain(added))?;
    }
    let rows = with_sets(rows, sets);
    let has_no_answer = |row: &&PromptRow| row.task.reference.is_none();
    let compares = matches!(judge, JudgeKind::ExactMatch | JudgeKind::NumericAnswer);
    if let (true, Some(row)) = (compares, rows.iter().find(has_no_answer)) {
        let origin = &row.task.prompt.origin;
        return Err(Error::Inputs(format!(
            "{origin}: `judge` compares with the right answer, and the row has none in the column `{column}`"
        )));
    }
    let text = match &job.prompts.text {
        Some(text) => load_text(&data_of(job, hub, text, split)?, split)?,
        None => Vec::new(),
    };
    Ok(Some(Prompts { rows, source: source.clone(), text, judge, rule }))
}

/// Says of prompts what the world, whose rule judges them, knows: their kind, and what those that belong to no set yet are for.
fn classify<'a>(world: &World<'_>, rows: impl Iterator<Item = &'a mut PromptRow>) -> Result<()> {
    for row in rows {
        let prompt = &row.task.prompt;
        world.rule.knows(&prompt.prompt, &prompt.origin)?;
        let Some(class) = (world.classify)(&prompt.prompt) else { continue };
        row.kind = Some(class.kind);
        if row.is_main {
            row.sets.push(class.category);
        }
    }
    Ok(())
}
