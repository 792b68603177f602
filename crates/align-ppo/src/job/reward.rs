//! What gives scores: a reward model, a program or server outside, rules on the text, or a weighted sum of them.

use align_data::{Candidates, Message, PromptTask, Text};
use align_models::weights_hash;
use align_reward::{
    LoadedRewardModel, Normalize, OutsideOptions, Reward, RewardModelDir, RewardNormalization, RewardSpec,
    Task,
};
use align_stage::{Error, Event, Host, Look, Opening, Result, ensure};
use serde::Serialize;

use super::Job;
use super::encoder::{self, EncoderModel};
use crate::{ScoreSource, Scorer};

/// Prompts per pass of a reward model that reads texts.
const TEXTS_PER_PASS: usize = 16;

/// Where scores come from.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Reward")]
pub struct RewardOptions {
    /// Reward model: a directory that train-reward wrote, or a hub id
    #[arg(long, visible_alias = "reward-model", value_name = "DIR|ID")]
    pub reward_model_path: Option<String>,
    /// Whether the reward model reads texts, tokenized by its own tokenizer, instead of the policy's tokens: for reward
    /// models with another vocabulary
    #[arg(long)]
    pub reward_from_text: bool,
    /// Whether scores of the reward model get mean 0 and deviation 1 on the reference set of its training [default: true
    /// if that is stored beside it]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub normalize_scores: Option<bool>,
    /// Rules, 1 where they hold: exact_match, numeric_answer (both against `reference_column`), format:REGEX,
    /// length:MIN..MAX in characters, with a weight before it as in 0.5*exact_match
    #[arg(long, value_delimiter = ',', value_name = "[WEIGHT*]RULE", allow_hyphen_values = true)]
    pub reward_funcs: Vec<RewardSpec>,
    /// Weights of the reward model, of `reward_command`, of `reward_url`, as far as they are given, and of the rules, in that
    /// order [default: 1, and those written with the rules]
    #[arg(long, value_parser = align_limits::finite(), value_delimiter = ',', value_name = "W", allow_negative_numbers = true)]
    pub reward_weights: Vec<f64>,
}

/// The reward model as it was loaded, once: the critic starts from the same tensors, unless it is an encoder.
pub(super) struct Rewards {
    model: Option<LoadedModel>,
    encoder: Option<EncoderModel>,
}

pub(super) struct LoadedModel {
    pub(super) own: LoadedRewardModel,
    /// What is done to its output before it is a score.
    normalization: Option<RewardNormalization>,
    /// Whether it knows the policy's token ids.
    pub(super) shares_tokenizer: bool,
}

impl Rewards {
    /// Finds and loads what the options name; they may name nothing where the caller `has_own` rewards.
    pub(super) fn open(opening: &Opening<'_>, job: &Job, has_own: bool) -> Result<Self> {
        let RewardOptions { reward_from_text, normalize_scores, reward_funcs, reward_weights, .. } =
            &job.reward;
        let Some(name) = &job.reward.reward_model_path else {
            ensure!(
                has_own || !reward_funcs.is_empty() || job.outside.count() > 0,
                "nothing gives scores: name a reward model with `--reward-model-path`, rules with `--reward-funcs`, or a \
                 program with `--reward-command`"
            );
            let without = "without `--reward-model-path`; remove it";
            ensure!(!reward_from_text, "`reward_from_text`: has no effect {without}");
            ensure!(normalize_scores.is_none(), "`normalize_scores`: has no effect {without}");
            return Ok(Self { model: None, encoder: None });
        };
        check_weights(reward_weights, 1 + job.outside.count() + reward_funcs.len())?;
        let path = opening.hub.model(name, "main")?;
        if let Some(encoder) = encoder::open(&path, opening, &job.reward)? {
            return Ok(Self { model: None, encoder: Some(encoder) });
        }
        let dir = RewardModelDir::open(&path, &format!("reward_model_path {name}"))?
            .in_precision(opening.model.decoder_config().precision);
        let fits = opening.tokenizer.check_same(&format!("reward_model_path {name}"), dir.tokenizer());
        let fits = fits.map_err(Error::from).and_then(|()| {
            let (found, expected) = (dir.decoder_config().vocab, opening.model.decoder_config().vocab);
            ensure!(
                found >= opening.tokenizer.vocab_size(),
                "reward_model_path {name}: has a vocabulary of {found}, the model one of {expected}"
            );
            Ok(())
        });
        let shares_tokenizer = fits.is_ok();
        if !reward_from_text {
            let instead = "`--reward-from-text` would have it read texts instead of the policy's tokens";
            fits.map_err(|error| Error::Inputs(format!("{instead}: {error}")))?;
        }
        let normalization = normalize(*normalize_scores).read(&path)?;
        let own = dir.load(&opening.place.device)?;
        Ok(Self { model: Some(LoadedModel { own, normalization, shares_tokenizer }), encoder: None })
    }

    /// The reward model, if there is one.
    pub(super) fn model(&self) -> Option<&LoadedModel> {
        self.model.as_ref()
    }

    /// The same, to share what it has in common with another.
    pub(super) fn model_mut(&mut self) -> Option<&mut LoadedModel> {
        self.model.as_mut()
    }

    /// Which reward model it is, and what is done to its output.
    pub(super) fn hashes(&self) -> Result<Vec<(&'static str, String)>> {
        let (hash, normalization) = match (&self.model, &self.encoder) {
            (Some(model), _) => {
                let LoadedRewardModel { config, params, .. } = &model.own;
                (weights_hash(config, params)?, model.normalization)
            }
            (None, Some(encoder)) => (encoder.hash.clone(), encoder.normalization),
            (None, None) => return Ok(Vec::new()),
        };
        let mut hashes = vec![("reward_model", hash)];
        if let Some(normalization) = &normalization {
            hashes
                .push(("reward_normalization", serde_json::to_string(normalization).map_err(Error::method)?));
        }
        Ok(hashes)
    }

    /// What scores completions, the caller's own rewards last: asked for once, as it starts the program that gives rewards and
    /// has the encoder. The tensors are shared with whoever else has them.
    /// A dry run asks those outside about the `sample`, and tells what they say.
    pub(super) fn scorer(
        &mut self,
        job: &Job,
        own: Vec<(f64, Box<dyn Reward>)>,
        host: &Host<'_>,
        sample: Option<&PromptTask>,
    ) -> Result<Scorer> {
        let RewardOptions { reward_funcs, reward_weights, .. } = &job.reward;
        let mut sources = Vec::new();
        if let Some(model) = &self.model {
            sources.push((1.0, model.source(&job.reward)?));
        }
        sources.extend(self.encoder.as_mut().and_then(EncoderModel::source).map(|source| (1.0, source)));
        let outside = job.outside.open(&job.rollout.reference_column).map_err(Error::method)?;
        if let (Look::DryRun, true, Some(sample)) = (host.look, host.ranks.leads(), sample) {
            let said = OutsideOptions::tried(&outside, &sample_answer(sample)).map_err(Error::method)?;
            said.iter().try_for_each(|said| host.tell(Event::Advice(said)))?;
        }
        sources.extend(outside.into_iter().map(|reward| (1.0, ScoreSource::Texts(reward))));
        for spec in reward_funcs {
            let Some(rule) = spec.rule() else {
                let problem = format!("`{spec}` is no rule; name a reward model with `--reward-model-path`");
                return Err(Error::option("reward_funcs", problem));
            };
            ensure!(
                spec.weight == 1.0 || reward_weights.is_empty(),
                "`reward_weights`: `{spec}` has a weight of its own; give weights in one of the two"
            );
            sources.push((spec.weight, ScoreSource::Texts(rule)));
        }
        check_weights(reward_weights, sources.len())?;
        if !reward_weights.is_empty() {
            sources.iter_mut().zip(reward_weights).for_each(|(source, weight)| source.0 = *weight);
        }
        sources.extend(own.into_iter().map(|(weight, reward)| (weight, ScoreSource::Texts(reward))));
        let penalty = job.rollout.missing_eos_penalty.unwrap_or(0.0);
        Ok(Scorer::new(sources, penalty)?)
    }
}

impl RewardOptions {
    /// Whether a rule compares with the right answer, so that every row must have one.
    pub(super) fn compares(&self) -> bool {
        self.reward_funcs.iter().any(RewardSpec::needs_reference)
    }
}

/// A task with the right answer, or any words, for an answer: in messages where the prompt has them.
fn sample_answer(task: &PromptTask) -> Task {
    let PromptTask { prompt, reference } = task;
    let words = reference.clone().unwrap_or_else(|| "A sample answer.".to_owned());
    let answer = match &prompt.prompt {
        Text::Messages(_) => Text::Messages(vec![Message::new("assistant", words)]),
        Text::Plain(_) => Text::Plain(words),
    };
    let (prompt, template, origin) = (prompt.prompt.clone(), prompt.template.clone(), prompt.origin.clone());
    let candidates = Candidates { prompt, completions: vec![answer], template, origin };
    Task { candidates, reference: reference.clone() }
}

/// Refuses weights that are not one for each of `count` rewards.
fn check_weights(weights: &[f64], count: usize) -> Result<()> {
    ensure!(
        weights.is_empty() || weights.len() == count,
        "`reward_weights`: expected {count} of them, one for each reward (model, command, url, rules), found {}",
        weights.len()
    );
    Ok(())
}

/// What is asked for of the stored normalisation.
pub(super) fn normalize(wanted: Option<bool>) -> Normalize<'static> {
    match wanted {
        None => Normalize::IfStored,
        Some(true) => Normalize::Always("normalize_scores"),
        Some(false) => Normalize::Never,
    }
}

impl LoadedModel {
    /// Scale and shift that make a score of the model's output.
    pub(super) fn score_units(&self, options: &RewardOptions) -> (f64, f64) {
        let weight = options.reward_weights.first().copied().unwrap_or(1.0);
        let (mean, std) = self.normalization.map_or((0.0, 1.0), |normal| (normal.mean, normal.std));
        (weight / std, -weight * mean / std)
    }

    fn source(&self, options: &RewardOptions) -> Result<ScoreSource> {
        let normalization = self.normalization;
        if !options.reward_from_text {
            return Ok(ScoreSource::Model { model: Box::new(self.own.model()?), normalization });
        }
        Ok(ScoreSource::TextModel(Box::new(self.own.reward(normalization, None, TEXTS_PER_PASS)?)))
    }
}
