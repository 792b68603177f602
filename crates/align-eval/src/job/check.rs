//! What options refuse before anything is read: what makes no sense together, and what would do nothing.

use std::path::Path;

use align_stage::{Error, Given, Result, ensure};

use super::judging;
use super::{Job, JudgeKind, PromptOptions};

impl Job {
    /// Refuses what makes no sense, and options that would do nothing, before anything is read.
    pub(super) fn check(&self, given: &Given) -> Result<()> {
        self.generation.check()?;
        let (has_models, has_prompts) = (self.has_models(), self.prompts.prompts.is_some());
        let hacking = !self.hacking.hacking.is_empty();
        ensure!(
            has_models && has_prompts
                || !self.preferences.preferences.is_empty()
                || hacking
                || !self.hacking.run.is_empty(),
            "nothing to evaluate: name models (`--model`) and prompts (`--prompts`), pairs (`--preferences`), or a run \
             (`--hacking`, `--run`)"
        );
        if !has_prompts {
            let names = [
                "num_prompts",
                "num_return_sequences",
                "safety_prompts",
                "helpfulness_prompts",
                "best_of_n",
                "principles",
                "judge",
                "text",
                "reference_column",
                "max_new_tokens",
                "min_new_tokens",
                "temperature",
                "top_k",
                "top_p",
                "repetition_penalty",
            ];
            given.refuse(&names, "without `--prompts` no model is asked anything")?;
        }
        if !has_prompts && self.preferences.preferences.is_empty() {
            let names =
                ["model", "models_in", "reward_model", "reward_command", "reward_url", "dtype", "bf16"];
            given.refuse(&names, "without `--prompts` and `--preferences` no model is used")?;
        }
        let named = usize::from(self.models.reward_model.is_some()) + self.outside.count();
        ensure!(
            named < 2,
            "`reward_model`, `reward_command` and `reward_url` each name the rewards that are reported; keep one of them"
        );
        self.outside.refuse_without_effect(given)?;
        let compares = matches!(self.judge.judge, Some(JudgeKind::ExactMatch | JudgeKind::NumericAnswer));
        if !compares && self.outside.count() == 0 {
            given.refuse(&["reference_column"], "no judge compares with a right answer")?;
        }
        ensure!(
            self.prompts.best_of_n.is_none() || self.generation.temperature > 0.0,
            "`best_of_n`: greedy answers (`temperature` 0) to a prompt are all the same; remove one"
        );
        let answers = self.prompts.num_return_sequences;
        ensure!(
            answers == 1 || self.generation.temperature > 0.0,
            "`num_return_sequences` {answers}: greedy answers (`temperature` 0) to a prompt are all the same; remove one"
        );
        ensure!(
            self.critique.critic.as_deref() != Some("endpoint") || self.endpoint.judge_url.is_some(),
            "`critic` endpoint: name its address with `--judge-url`"
        );
        if self.critique.principles.is_none() {
            given.refuse(&["critic", "critique_keep_better"], "without `--principles`")?;
        }
        if self.endpoint.judge_url.is_none() {
            let names = [
                "judge_model",
                "judge_api_key_env",
                "judge_criteria",
                "judge_replies",
                "judge_timeout",
                "judge_attempts",
                "judge_wait",
                "judge_concurrency",
                "judge_max_tokens",
            ];
            given.refuse(&names, "without `--judge-url` there is no endpoint")?;
        }
        let judges = self.judge.judge.is_none_or(|judge| judge == JudgeKind::Endpoint);
        let criticises = self.critique.critic.as_deref() == Some("endpoint");
        if !judges && !criticises {
            given.refuse(&["judge_url"], "neither `judge` nor `critic` is the endpoint")?;
        }
        if !judges {
            given.refuse(&["judge_criteria"], "`judge` is not the endpoint")?;
        }
        if self.hacking.quality.is_some() {
            given.refuse(&["quality_metric"], "true quality is named by `--quality` already")?;
            ensure!(
                self.hacking.hacking.len() < 2,
                "`quality`: holds the scores of one run, and {} are named by `--hacking`; analyse them one by one",
                self.hacking.hacking.len()
            );
        }
        if !hacking {
            given.refuse(&["proxy_metric", "quality_metric", "quality"], "without `--hacking`")?;
        }
        if !hacking && self.prompts.best_of_n.is_none() {
            given.refuse(&["gold_reward_model"], "without `--hacking` and `--best-of-n`")?;
        }
        if self.hacking.quality.is_some() || self.hacking.quality_metric.is_some() {
            ensure!(
                self.hacking.gold_reward_model.is_none() || self.prompts.best_of_n.is_some(),
                "`gold_reward_model`: true quality is named by `--quality` or `--quality-metric` already; remove one of them"
            );
        }
        if self.preferences.preferences.is_empty() {
            given.refuse(
                &["train_preferences", "num_pairs", "subset_column", "beta"],
                "without `--preferences`",
            )?;
        }
        if self.models.model.len() < 2 && self.models.models_in.is_none() {
            given.refuse(&["beta"], "the first model is the reference, and there is no other")?;
        }
        if self.data().all(|name| Path::new(name).is_file()) {
            given.refuse(&["split", "dataset_config"], "all data are files, which are read whole")?;
        }
        if self.prompts.best_of_n.is_some() || self.critique.critique_keep_better {
            ensure!(
                named > 0,
                "`best_of_n` and `critique_keep_better` need rewards; name a `--reward-model`, or who gives them with \
                 `--reward-command` or `--reward-url`"
            );
        }
        if self.endpoint.judge_url.is_some() {
            judging::endpoint(self)?;
        }
        Ok(())
    }

    /// The judge that was asked for, or the one that there is.
    pub(super) fn judge_kind(&self) -> Result<JudgeKind> {
        let has_rewards = self.models.reward_model.is_some() || self.outside.count() > 0;
        let kind = match (self.judge.judge, &self.endpoint.judge_url, has_rewards) {
            (Some(kind), ..) => kind,
            (None, Some(_), _) => JudgeKind::Endpoint,
            (None, None, true) => JudgeKind::RewardModel,
            (None, None, false) => {
                let who = "a `--reward-model` or `--reward-command`, an endpoint (`--judge-url`), or a rule (`--judge world`, \
                           `--judge numeric_answer`)";
                return Err(Error::Inputs(format!("nobody to judge: name {who}")));
            }
        };
        match kind {
            JudgeKind::RewardModel if !has_rewards => Err(Error::Inputs(
                "`judge` reward_model: name the model with `--reward-model`, or who gives rewards in its place".to_owned(),
            )),
            JudgeKind::Endpoint if self.endpoint.judge_url.is_none() => {
                Err(Error::Inputs("`judge` endpoint: name its address with `--judge-url`".to_owned()))
            }
            kind => Ok(kind),
        }
    }

    /// Data sets by their names.
    fn data(&self) -> impl Iterator<Item = &String> {
        let PromptOptions { prompts, safety_prompts, helpfulness_prompts, text, .. } = &self.prompts;
        let of_prompts = [prompts, safety_prompts, helpfulness_prompts, text].into_iter().flatten();
        of_prompts.chain(&self.preferences.preferences)
    }

    fn has_models(&self) -> bool {
        !self.models.model.is_empty() || self.models.models_in.is_some()
    }
}
