//! Everything that is read before the first model is loaded: what is missing or wrong is found at once.

use align_data::Demonstration;
use align_eval::{PairSet, PolicyDir, Principle, PromptRow, load_text, named, with_sets};
use align_hub::Hub;
use align_models::generation::check_completions;
use align_report::Run;
use align_world_judge::WorldQuality;
use anyhow::{Context as _, bail, ensure};
use candle_core::Device;

use crate::hacking::{Suspect, suspects};
use crate::models::{self, Model, RewardSource};
use crate::options::{JudgeKind, Options};

/// What there is to evaluate.
pub(crate) struct Inputs {
    pub(crate) device: Device,
    pub(crate) models: Vec<Model>,
    pub(crate) reward: Option<RewardSource>,
    pub(crate) gold: Option<RewardSource>,
    pub(crate) prompts: Option<Prompts>,
    pub(crate) pairs: Vec<PairSet>,
    /// What models were trained on, where it is named.
    pub(crate) train_pairs: Option<PairSet>,
    pub(crate) principles: Vec<Principle>,
    pub(crate) suspects: Vec<Suspect>,
    pub(crate) runs: Vec<Run>,
}

/// What models are asked, and who judges.
pub(crate) struct Prompts {
    pub(crate) rows: Vec<PromptRow>,
    pub(crate) source: String,
    pub(crate) text: Vec<Demonstration>,
    pub(crate) judge: JudgeKind,
}

impl Inputs {
    pub(crate) fn read(options: &Options) -> anyhow::Result<Self> {
        let hub = Hub::from_env();
        let device = options.models.device.open()?;
        let models = models::find(&options.models, &hub)?;
        check(&models)?;
        let prompts = prompts(options, &hub)?;
        ensure!(
            prompts.is_none() || !models.is_empty(),
            "`prompts`: there is no model to ask; name one with `--model`"
        );
        if let Some(critic) = options.critique.critic.as_deref().filter(|critic| *critic != "endpoint") {
            let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
            if !names.contains(&critic) {
                bail!("`critic` {critic}: expected `endpoint` or one of the models: {}", names.join(", "));
            }
        }
        let pairs = options.preferences.preferences.iter().map(|name| {
            let mut pairs = PairSet::load(
                &hub.dataset(name)?,
                &options.prompts.split,
                &options.preferences.subset_column,
            )?;
            pairs.truncate(options.preferences.num_pairs.unwrap_or(usize::MAX));
            Ok(pairs)
        });
        let train_pairs = options.preferences.train_preferences.as_ref().map(|name| {
            let pairs = PairSet::load(&hub.dataset(name)?, "train", &options.preferences.subset_column);
            Ok::<_, anyhow::Error>(pairs?)
        });
        let train_pairs = train_pairs.transpose()?;
        let (reward, gold) =
            (options.models.reward_model.as_ref(), options.hacking.gold_reward_model.as_ref());
        let reward = models::reward(("reward_model", reward), &hub, &device)?;
        let gold = models::reward(("gold_reward_model", gold), &hub, &device)?;
        let runs = options.hacking.run.iter().map(|word| {
            let (name, dir) = named(word)?;
            Ok(Run::read(name, dir.as_ref())?)
        });
        Ok(Self {
            suspects: suspects(options, reward.as_ref(), prompts.as_ref())?,
            runs: runs.collect::<anyhow::Result<_>>()?,
            pairs: pairs.collect::<anyhow::Result<_>>()?,
            train_pairs,
            principles: options
                .critique
                .principles
                .as_deref()
                .map(Principle::load)
                .transpose()?
                .unwrap_or_default(),
            reward,
            gold,
            device,
            models,
            prompts,
        })
    }
}

/// Every model can be told from the others, and can be asked.
fn check(models: &[Model]) -> anyhow::Result<()> {
    for (place, model) in models.iter().enumerate() {
        if let Some(other) = models[..place].iter().find(|other| other.name == model.name) {
            let (name, first, second) = (&model.name, other.path.display(), model.path.display());
            bail!("two models are called `{name}`, {first} and {second}; name them: --model NAME=DIRECTORY");
        }
        PolicyDir::open(model.name.as_str(), &model.path)?;
    }
    Ok(())
}

fn prompts(options: &Options, hub: &Hub) -> anyhow::Result<Option<Prompts>> {
    let Some(source) = &options.prompts.prompts else { return Ok(None) };
    let (split, column) = (&options.prompts.split, &options.prompts.reference_column);
    let mut rows = PromptRow::load(&hub.dataset(source)?, split, column)?;
    rows.truncate(options.prompts.num_prompts.unwrap_or(usize::MAX));
    let each = options.prompts.num_return_sequences.max(options.prompts.best_of_n.unwrap_or(1));
    check_completions(rows.len(), each).context("`num_return_sequences`, `best_of_n`")?;
    let mut sets = Vec::new();
    for (name, file) in
        [("safety", &options.prompts.safety_prompts), ("helpfulness", &options.prompts.helpfulness_prompts)]
    {
        if let Some(file) = file {
            let prompts = PromptRow::load_set(name, &hub.dataset(file)?, split, column)?;
            sets.push((name.to_owned(), prompts));
        }
    }
    let judge = options.judge_kind()?;
    if judge == JudgeKind::World {
        let added = sets.iter_mut().flat_map(|(_, rows)| rows);
        classify(rows.iter_mut().chain(added))?;
    }
    let rows = with_sets(rows, sets);
    let has_no_answer = |row: &&PromptRow| row.task.reference.is_none();
    let compares = matches!(judge, JudgeKind::ExactMatch | JudgeKind::NumericAnswer);
    if let (true, Some(row)) = (compares, rows.iter().find(has_no_answer)) {
        let origin = &row.task.prompt.origin;
        bail!(
            "{origin}: `judge` compares with the right answer, and the row has none in the column `{column}`"
        );
    }
    let text = match &options.prompts.text {
        Some(text) => load_text(&hub.dataset(text)?, split)?,
        None => Vec::new(),
    };
    Ok(Some(Prompts { rows, source: source.clone(), text, judge }))
}

/// Says of prompts what the rule of the fixtures' world, which judges them, knows: their kind, and what those that belong to
/// no set yet are for.
fn classify<'a>(rows: impl Iterator<Item = &'a mut PromptRow>) -> anyhow::Result<()> {
    for row in rows {
        let prompt = &row.task.prompt;
        WorldQuality::check([(&prompt.prompt, &prompt.origin)])?;
        let Some(class) = WorldQuality::classify(&prompt.prompt) else { continue };
        row.kind = Some(class.kind);
        if row.is_main {
            row.sets.push(class.category.to_owned());
        }
    }
    Ok(())
}
