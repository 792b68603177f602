//! Who decides, as the options say it.

use std::time::Duration;

use align_data::Text;
use align_reward::{ExactMatch, NumericAnswer, Reward};
use align_stage::{Error, Result};

use super::inputs::Prompts;
use super::models::RewardSource;
use super::{Job, JudgeKind};
use crate::{ChatClient, ChatOptions, Criteria, EndpointJudge, Judge, ReplyStore, RewardJudge};

/// A rule that knows the truth about the prompts of its own world: [`JudgeKind::World`], for whoever has one.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// How good an answer is. Refuses prompts of other worlds ([`Reward::knows`]).
    pub rule: &'a dyn Reward,
    /// What a prompt is, where it knows.
    pub classify: &'a dyn Fn(&Text) -> Option<PromptClass>,
}

/// What a world knows of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptClass {
    /// The kind of request: something to filter by.
    pub kind: String,
    /// What it tests: `helpfulness` or `safety`.
    pub category: String,
}

/// The judge that was asked for.
pub(super) fn judge<'a>(
    job: &Job,
    prompts: &Prompts<'a>,
    reward: Option<&'a RewardSource>,
) -> Result<Box<dyn Judge + 'a>> {
    Ok(match (prompts.rule, reward) {
        (Some(rule), _) => Box::new(RewardJudge::rule(rule)),
        (None, Some(source)) if prompts.judge == JudgeKind::RewardModel => {
            Box::new(RewardJudge::model(source.reward(), source.name.as_str()))
        }
        (None, _) => {
            let criteria = job.endpoint.judge_criteria.as_ref().map(|text| Criteria::new(text.as_str()));
            let client = client(job)?;
            let store = client.store();
            if !store.is_empty() {
                tracing::info!("{} replies are known from {}", store.len(), store.path().display());
            }
            Box::new(EndpointJudge::new(client, criteria.unwrap_or_default()))
        }
    })
}

/// The rule that a judge is; none for models.
///
/// # Errors
/// If it is a world's and there is none.
pub(super) fn rule<'a>(kind: JudgeKind, world: Option<World<'a>>) -> Result<Option<&'a dyn Reward>> {
    match (kind, world) {
        (JudgeKind::World, Some(world)) => Ok(Some(world.rule)),
        (JudgeKind::World, None) => Err(Error::option("judge", "there is no world here; name another judge")),
        (JudgeKind::ExactMatch, _) => Ok(Some(&ExactMatch)),
        (JudgeKind::NumericAnswer, _) => Ok(Some(&NumericAnswer)),
        (JudgeKind::RewardModel | JudgeKind::Endpoint, _) => Ok(None),
    }
}

/// A client of the endpoint, with what it said before.
pub(super) fn client(job: &Job) -> Result<ChatClient> {
    Ok(ChatClient::new(endpoint(job)?, replies(job)?).map_err(crate::Error::from)?)
}

/// What the endpoint said before; the file is made when it says something new.
pub(super) fn replies(job: &Job) -> Result<ReplyStore> {
    let usual = job.output.output_dir.join("judge-replies.jsonl");
    let path = job.endpoint.judge_replies.as_deref().unwrap_or(&usual);
    ReplyStore::open(path).map_err(about("judge_replies"))
}

/// The endpoint as the options name it, checked. Makes nothing.
pub(super) fn endpoint(job: &Job) -> Result<ChatOptions> {
    let endpoint = &job.endpoint;
    let missing = |problem: &str| Error::Inputs(problem.to_owned());
    let api_key = endpoint.judge_api_key_env.as_deref().map(key).transpose()?;
    let chat = ChatOptions {
        base_url: endpoint
            .judge_url
            .clone()
            .ok_or_else(|| missing("judge_url: name the endpoint's address"))?,
        model: endpoint
            .judge_model
            .clone()
            .ok_or_else(|| missing("judge_model: name the model at the endpoint"))?,
        api_key,
        timeout: Duration::from_secs_f64(endpoint.judge_timeout),
        attempts: u32::try_from(endpoint.judge_attempts).unwrap_or(u32::MAX),
        first_wait: Duration::from_secs_f64(endpoint.judge_wait),
        concurrency: endpoint.judge_concurrency,
        max_tokens: endpoint.judge_max_tokens,
    };
    // Without the key first, so that an error says which option it is about.
    let keyless = ChatOptions { api_key: None, ..chat.clone() };
    keyless.check().map_err(about("the endpoint (judge_url, judge_model)"))?;
    let variable = endpoint.judge_api_key_env.as_deref().unwrap_or_default();
    chat.check().map_err(about(&format!("judge_api_key_env {variable}")))?;
    Ok(chat)
}

/// The key in an environment variable.
fn key(variable: &str) -> Result<String> {
    let key = std::env::var_os(variable).ok_or_else(|| {
        Error::Inputs(format!(
            "judge_api_key_env: the environment variable {variable} should hold the endpoint's key"
        ))
    })?;
    // The system's own error would show the key.
    let wrong = |_| Error::Inputs(format!("judge_api_key_env {variable}: the key is not UTF-8 text"));
    key.into_string().map_err(wrong)
}

/// An error with what it is about.
fn about<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> Error {
    move |error| Error::Inputs(format!("{what}: {error}"))
}
