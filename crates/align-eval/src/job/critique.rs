//! Answers criticised and revised by principles, and the preference file that comes of it.

use align_data::{Candidates, PromptOnly};
use align_models::generation::GenerationOptions;
use align_report::Critique;
use align_reward::{Reward, Task};
use align_stage::{Error, Result};

use super::Job;
use super::inputs::{Inputs, Prompts};
use super::judging::client;
use crate::{
    Chat, ChatClient, ConstitutionalCritic, Criticised, EndpointChat, Policy, PolicyChat, RevisedPair, reply,
};

/// The preference file, in the output directory.
const FILE: &str = "critique.jsonl";

/// The last model's answers, held against the principles, if there are any.
pub(super) fn critique(job: &Job, inputs: &Inputs<'_>, prompts: &Prompts<'_>) -> Result<Option<Critique>> {
    let (false, Some(answering)) = (inputs.principles.is_empty(), inputs.models.last()) else {
        return Ok(None);
    };
    let policy = answering.load(&inputs.device)?;
    let (generation, seed) = (&job.generation, job.models.seed);

    let asked: Vec<PromptOnly> =
        prompts.rows.iter().filter(|row| row.is_main).map(|row| row.task.prompt.clone()).collect();
    let tokens = policy.dir().prompt_tokens(&asked, generation.max_new_tokens)?;
    let (asked, tokens): (Vec<PromptOnly>, Vec<Vec<u32>>) =
        asked.into_iter().zip(tokens).filter_map(|(prompt, tokens)| Some((prompt, tokens?))).unzip();
    let answers = policy.answers(&tokens, generation, seed)?;
    let answers = asked.into_iter().zip(answers).map(|(prompt, answer)| (prompt, answer.text)).collect();

    // Critics answer the most likely words: what they say should not depend on a die.
    let greedy = GenerationOptions::greedy(generation.max_new_tokens);
    let endpoint: ChatClient;
    let other: Policy;
    let chat: Box<dyn Chat + '_> = match job.critique.critic.as_deref() {
        Some("endpoint") => {
            endpoint = client(job)?;
            Box::new(EndpointChat::new(&endpoint))
        }
        Some(name) if name != answering.name => {
            let model = inputs.models.iter().find(|model| model.name == name).unwrap_or(answering);
            other = model.load(&inputs.device)?;
            Box::new(PolicyChat::new(&other, greedy, seed))
        }
        _ => Box::new(PolicyChat::new(&policy, greedy, seed)),
    };
    let critic = ConstitutionalCritic::new(chat.as_ref(), inputs.principles.clone());
    let criticised = critic.apply(answers)?;

    let rewards = inputs.reward.as_ref().map(|source| rewards(source.reward(), &criticised)).transpose()?;
    let mut section = critic.report(&answering.name, &criticised, rewards.as_deref());
    let is_kept = |place: usize| {
        let better = rewards.as_ref().is_none_or(|rewards| rewards[place].1 > rewards[place].0);
        better || !job.critique.critique_keep_better
    };
    let pairs: Vec<RevisedPair> = criticised
        .iter()
        .enumerate()
        .filter(|(place, _)| is_kept(*place))
        .filter_map(|(_, criticised)| critic.pair(criticised))
        .collect();
    section.pairs = pairs.len();
    section.preference_file = (!pairs.is_empty()).then(|| write(job, &pairs)).transpose()?;
    Ok(Some(section))
}

/// The reward of each answer before and after.
fn rewards(reward: &dyn Reward, criticised: &[Criticised]) -> Result<Vec<(f64, f64)>> {
    let some = |text: &str| if text.trim().is_empty() { " ".to_owned() } else { text.to_owned() };
    let task = |it: &Criticised| {
        let PromptOnly { prompt, template, origin } = it.prompt.clone();
        let completions = [&it.answer, &it.revision].map(|text| reply(&prompt, some(text))).to_vec();
        Task::from(Candidates { prompt, completions, template, origin })
    };
    let rewards = reward.rewards(&criticised.iter().map(task).collect::<Vec<_>>())?;
    Ok(rewards.iter().map(|rewards| (rewards[0], rewards[1])).collect())
}

fn write(job: &Job, pairs: &[RevisedPair]) -> Result<String> {
    let lines = pairs.iter().map(|pair| Ok(serde_json::to_string(pair).map_err(Error::method)? + "\n"));
    let text = lines.collect::<Result<String>>()?;
    align_files::create_dir_all(&job.output.output_dir)?;
    let path = job.output.output_dir.join(FILE);
    align_files::write(&path, text)?;
    Ok(path.display().to_string())
}
