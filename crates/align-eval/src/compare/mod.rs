//! Models against a baseline on held-out prompts: who wins how often, by how much, at what distance.
//!
//! Every model answers the same prompts with the same seeds, once or several times; its first answer to a prompt is held
//! against the baseline's first, the second against the second. Beside them stand answers that no model had to be good for:
//! another sample of the baseline (what a judge who likes length gives away, and what chance alone reaches) and one answer
//! for all prompts, the best of a few.

mod answering;
mod constant;
mod figures;
mod verdicts;
mod yardsticks;

use std::iter::repeat_n;

use align_data::Demonstration;
use align_models::generation::GenerationOptions;
use align_report::{Answer as ReportAnswer, Comparison, Judge as ReportJudge, Sample};
use align_reward::Reward;
use candle_core::Device;

use answering::{Said, fitting};
use constant::Constant;
use verdicts::Verdicts;

use crate::judge::{Judge, Slate};
use crate::policy::PolicyDir;
use crate::prompts::PromptRow;
use crate::{Error, Result};

/// What is compared, and how.
pub struct Comparing<'a> {
    /// The models, the baseline first; the others' KL is from it.
    pub models: Vec<PolicyDir>,
    /// What they are asked.
    pub prompts: Vec<PromptRow>,
    /// Where the prompts come from, for the report.
    pub prompt_source: String,
    /// Held-out text for the perplexity; may be empty.
    pub text: &'a [Demonstration],
    /// Who decides.
    pub judge: &'a dyn Judge,
    /// What answers are worth, and its name, where that is not what the judge goes by.
    pub reward: Option<(&'a dyn Reward, String)>,
    /// How answers are sampled.
    pub generation: GenerationOptions,
    /// How many answers each model gives to each prompt: the more, the less the luck of sampling decides. Intervals remain
    /// those of another choice of prompts.
    pub answers_per_prompt: usize,
    /// Seed of answers and intervals.
    pub seed: u64,
    /// Where models run.
    pub device: &'a Device,
}

/// Answers, verdicts and figures of all models; the notes are what a reader must know of them.
///
/// # Errors
/// Models that share a name; prompts that no model can be asked; several answers that would all be the same; a judge that
/// fails.
pub fn compare(comparing: Comparing<'_>) -> Result<(Comparison, Vec<String>)> {
    let Comparing { models, prompts, prompt_source, text, judge, reward, generation, seed, device, .. } =
        comparing;
    let count = comparing.answers_per_prompt;
    generation.check()?;
    check_count(count, &generation)?;
    check_names(&models)?;
    let (prompts, tokens, mut notes) = fitting(&models, prompts, generation.max_new_tokens)?;

    // Answers: the models', another sample of the baseline, and some that could be given to all.
    let mut models = models.into_iter().zip(&tokens);
    let Some((dir, own_tokens)) = models.next() else {
        return Err(Error::Config("nothing to compare: name at least one model".to_owned()));
    };
    let how = answering::How { count, generation: &generation, seed, text };
    let baseline = dir.load(device)?;
    let mut said = vec![Said::of(&baseline, None, own_tokens, &how)?];
    for (dir, tokens) in models {
        said.push(Said::of(&dir.load(device)?, Some(&baseline), tokens, &how)?);
    }
    // Greedy answers are the same with every seed: there is no other sample.
    let another = (generation.temperature > 0.0)
        .then(|| how.ask(&baseline, own_tokens, seed.wrapping_add(1)))
        .transpose()?;
    drop(baseline);
    let tried = constant::candidates(&said, !judge.is_asked_per_answer());
    // From here on an answer to a prompt has a place of its own.
    let prompts: Vec<PromptRow> = prompts.into_iter().flat_map(|row| repeat_n(row, count)).collect();

    // Verdicts and rewards.
    let slate = |(place, row): (usize, &PromptRow)| {
        let others = another.iter().map(|answers| answers[place].text.clone()).chain(tried.iter().cloned());
        let answers = said.iter().map(|said| said.answers[place].text.clone()).chain(others).collect();
        Slate { task: row.task.clone(), answers }
    };
    let slates: Vec<Slate> = prompts.iter().enumerate().map(slate).collect();
    let opinions = judge.judge(&slates)?;
    notes.extend(judge.notes());
    let rewards = match &reward {
        Some((reward, _)) => Some(crate::judge::scores(*reward, &slates)?),
        None => opinions.iter().map(|opinions| opinions.scores.clone()).collect(),
    };
    let reward_source =
        reward.map(|(_, name)| name).or_else(|| rewards.as_ref().map(|_| judge.name().to_owned()));
    let verdicts = Verdicts { prompts: &prompts, count, slates: &slates, opinions: &opinions, rewards, seed };

    let controlled = verdicts.length_controlled(said.len(), another.is_some());
    let constant = Constant::choose(&verdicts, said.len() + usize::from(another.is_some()), tried.len());
    let figures =
        |(model, said): (usize, &Said)| figures::of_model(said, model, &verdicts, &controlled, &constant);
    let comparison = Comparison {
        baseline: said[0].name.clone(),
        judge: ReportJudge {
            kind: judge.kind().to_owned(),
            name: judge.name().to_owned(),
            note: String::new(),
        },
        prompt_source,
        prompts: verdicts.places(None).len() / count,
        answers_per_prompt: count,
        sampling: sampling(&generation, seed),
        reward_source,
        models: said.iter().enumerate().map(figures).collect(),
        baselines: yardsticks::of(&verdicts, &said, another.is_some(), (&constant, &tried)),
        samples: prompts
            .iter()
            .enumerate()
            .map(|(place, row)| sample(row, place, &said, &verdicts))
            .collect(),
    };
    Ok((comparison, notes))
}

fn check_count(count: usize, generation: &GenerationOptions) -> Result<()> {
    let problem = match (count, generation.temperature) {
        (0, _) => "at least 1 answer per prompt is needed, but 0 were asked for".to_owned(),
        (2.., 0.0) => format!(
            "{count} answers per prompt at temperature 0 would all be the same; ask for 1, or sample at a temperature"
        ),
        _ => return Ok(()),
    };
    Err(Error::Config(problem))
}

fn check_names(models: &[PolicyDir]) -> Result<()> {
    for (index, model) in models.iter().enumerate() {
        if let Some(other) = models[..index].iter().find(|other| other.name() == model.name()) {
            let (name, first, second) = (model.name(), other.path().display(), model.path().display());
            return Err(Error::Config(format!(
                "two models are called `{name}`, {first} and {second}; name them: NAME=DIRECTORY"
            )));
        }
    }
    Ok(())
}

fn sampling(generation: &GenerationOptions, seed: u64) -> String {
    let GenerationOptions { max_new_tokens, temperature, top_k, top_p, .. } = *generation;
    let mut words = match temperature {
        0.0 => "greedy".to_owned(),
        temperature => format!("temperature {temperature}, seed {seed}"),
    };
    if top_k > 0 {
        words += &format!(", the {top_k} likeliest tokens");
    }
    if top_p < 1.0 {
        words += &format!(", top_p {top_p}");
    }
    format!("{words}, at most {max_new_tokens} tokens")
}

fn sample(row: &PromptRow, place: usize, said: &[Said], verdicts: &Verdicts<'_>) -> Sample {
    let answer = |(model, said): (usize, &Said)| {
        let opinion = verdicts.opinion(place, model);
        ReportAnswer {
            model: said.name.clone(),
            text: said.answers[place].text.trim().to_owned(),
            tokens: said.answers[place].tokens,
            reward: verdicts.reward(place, model),
            verdict: opinion.map(|opinion| verdicts::word(opinion.preference)),
            reason: opinion.and_then(|opinion| opinion.reason.clone()),
        }
    };
    Sample {
        prompt: row.task.prompt.prompt.readable(),
        tags: row.sets.iter().cloned().chain(row.kind.clone()).collect(),
        number: place % verdicts.count,
        answers: said.iter().enumerate().map(answer).collect(),
    }
}
