//! Who decides, as the options say it.

use std::time::Duration;

use align_eval::{ChatClient, ChatOptions, Criteria, EndpointJudge, Judge, ReplyStore, RewardJudge};
use align_reward::{ExactMatch, NumericAnswer, Reward};
use align_world_judge::WorldQuality;
use anyhow::Context as _;

use crate::models::RewardSource;
use crate::options::{JudgeKind, Options};

/// The judge that was asked for.
pub(crate) fn judge<'a>(
    options: &Options,
    kind: JudgeKind,
    reward: Option<&'a RewardSource>,
) -> anyhow::Result<Box<dyn Judge + 'a>> {
    Ok(match kind {
        JudgeKind::RewardModel => {
            let source = reward.context("a reward model was named")?;
            Box::new(RewardJudge::model(&source.reward, source.name.as_str()))
        }
        JudgeKind::Endpoint => {
            let criteria = options.endpoint.judge_criteria.as_ref().map(|text| Criteria::new(text.as_str()));
            let client = client(options)?;
            let store = client.store();
            if !store.is_empty() {
                tracing::info!("{} replies are known from {}", store.len(), store.path().display());
            }
            Box::new(EndpointJudge::new(client, criteria.unwrap_or_default()))
        }
        JudgeKind::World | JudgeKind::ExactMatch | JudgeKind::NumericAnswer => {
            Box::new(RewardJudge::rule(rule(kind).context("a rule")?))
        }
    })
}

/// The rule that a judge is; none for models.
pub(crate) fn rule(kind: JudgeKind) -> Option<&'static dyn Reward> {
    match kind {
        JudgeKind::World => Some(&WorldQuality),
        JudgeKind::ExactMatch => Some(&ExactMatch),
        JudgeKind::NumericAnswer => Some(&NumericAnswer),
        JudgeKind::RewardModel | JudgeKind::Endpoint => None,
    }
}

/// A client of the endpoint, with what it said before.
pub(crate) fn client(options: &Options) -> anyhow::Result<ChatClient> {
    Ok(ChatClient::new(endpoint(options)?, replies(options)?)?)
}

/// What the endpoint said before; the file is made when it says something new.
pub(crate) fn replies(options: &Options) -> anyhow::Result<ReplyStore> {
    let usual = options.output.output_dir.join("judge-replies.jsonl");
    let path = options.endpoint.judge_replies.as_deref().unwrap_or(&usual);
    ReplyStore::open(path).context("judge_replies")
}

/// The endpoint as the options name it, checked. Makes nothing.
pub(crate) fn endpoint(options: &Options) -> anyhow::Result<ChatOptions> {
    let endpoint = &options.endpoint;
    let api_key = match &endpoint.judge_api_key_env {
        None => None,
        Some(variable) => {
            let key = std::env::var_os(variable).with_context(|| {
                format!(
                    "judge_api_key_env: the environment variable {variable} should hold the endpoint's key"
                )
            })?;
            // The system's own error would show the key.
            let wrong = |_| anyhow::anyhow!("judge_api_key_env {variable}: the key is not UTF-8 text");
            Some(key.into_string().map_err(wrong)?)
        }
    };
    let chat = ChatOptions {
        base_url: endpoint.judge_url.clone().context("judge_url: name the endpoint's address")?,
        model: endpoint.judge_model.clone().context("judge_model: name the model at the endpoint")?,
        api_key,
        timeout: Duration::from_secs_f64(endpoint.judge_timeout),
        attempts: u32::try_from(endpoint.judge_attempts).unwrap_or(u32::MAX),
        first_wait: Duration::from_secs_f64(endpoint.judge_wait),
        concurrency: endpoint.judge_concurrency,
        max_tokens: endpoint.judge_max_tokens,
    };
    // Without the key first, so that an error says which option it is about.
    ChatOptions { api_key: None, ..chat.clone() }.check().context("the endpoint (judge_url, judge_model)")?;
    chat.check().with_context(|| {
        format!("judge_api_key_env {}", endpoint.judge_api_key_env.as_deref().unwrap_or_default())
    })?;
    Ok(chat)
}
