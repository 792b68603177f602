//! A reward model as a whole: a model and ranked answers in, a scalar judge on disk and how far to trust it out.

mod model;
mod saved;

use std::borrow::Cow;

use align_data::{
    DataOptions, Dataset, MaskStyle, Prepared, Ranking, Records, RowSource, TokenizedRanking,
    inspect_ranking, open_rankings, prepare_rankings,
};
use align_models::RewardHead;
use align_models::footprint::PassSize;
use align_stage::{
    Error, Fixed, Host, LoraOptions, MemoryNeeds, ModelOptions, Opening, OutputOptions, Result, RowBatches,
    Trained, Training, publish,
};
use align_train::TrainOptions;
use serde::Serialize;

use crate::{
    DEFAULT_LEARNING_RATE, HeldOut, NORMALIZED_ON, Quality, Ranked, Report, RewardNormalization,
    RewardOptions, check_rows,
};
use model::Models;

/// A reward model job: all its options.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Job {
    /// The model, the device and the seed.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The adapter that is trained, if it is one.
    #[command(flatten)]
    pub lora: LoraOptions,
    /// Where it writes.
    #[command(flatten)]
    pub output: OutputOptions,
    /// The ranked answers, and how they are read.
    #[command(flatten, next_help_heading = "Data")]
    pub data: DataOptions,
    /// The head, the objective, and how it is reported.
    #[command(flatten)]
    pub reward: RewardOptions,
    /// How it is trained.
    #[command(flatten)]
    pub train: TrainOptions,
}

align_stage::job!(Job, "reward", "SEQ_CLS");

/// Options that only matter with held-out rows.
const FOR_EVALUATION: &[&str] = &["per_device_eval_batch_size", "source_column"];

/// Parts of a caller's own, in the place of what options name.
#[derive(Default)]
pub struct Parts {
    /// The ranked answers, in the place of data sets.
    pub rankings: Option<Records<Ranking>>,
}

/// Trains, and saves the model with its report. None if `host` only looks.
///
/// # Errors
/// Options, data or a model that are wrong, before anything is written; a loss that is not finite; a saved model that does
/// not score as the trained one; pairs that were to be learned by heart and are not; files that cannot be written; somebody
/// who asked to stop.
pub fn train(job: &Job, host: &Host<'_>, parts: Parts) -> Result<Option<Trained<Report>>> {
    let reward = &job.reward;
    let mut opening = Opening::new(host, job, DEFAULT_LEARNING_RATE)?;
    let (method, head) = (reward.method()?, reward.head()?);
    if reward.freeze_backbone {
        let because = "`freeze_backbone` computes the backbone's states once, without a gradient";
        opening.given.refuse(&["gradient_checkpointing"], because)?;
    }

    // Data: prompts and their answers, the best first, as token ids.
    let open = |dataset: &Dataset, split: &str| open_rankings(dataset, split, &reward.source_column);
    let records = opening.records(parts.rankings, open)?;
    let mut data = prepare_rankings(&records, &opening.tokenizer, &opening.data.tokenize)?;
    drop(records);
    opening.check_rows(&data, if reward.overfit_pairs.is_some() { &[] } else { FOR_EVALUATION })?;
    if let Some(rows) = reward.overfit_pairs {
        let learned = data.train.iter().take(rows).map(|row| row.map(Cow::into_owned));
        data.held_out = learned.collect::<align_data::Result<_>>()?;
        data.train = data.held_out.clone().into();
    }
    let (train, held_out) = (RowSource::from(&data.train), RowSource::from(&data.held_out));
    check_rows(reward, train)?;
    if data.held_out.iter().all(|row| row.source.is_none()) {
        opening.given.refuse(&["source_column"], "no held-out row has such a column")?;
    }
    opening.plan_memory(&job.memory_needs(&opening, head, &data)?)?;
    let order = opening.order(data.train.lengths())?;
    let show = |row: usize, style: MaskStyle| {
        inspect_ranking(data.train.get(row)?.as_ref(), &opening.tokenizer, style)
    };
    if opening.looked(&order, show)? {
        return Ok(None);
    }

    // Model: a backbone, trainable or not, under a trainable head; and a view of them to measure with.
    let models = Models::open(&mut opening, head, reward.freeze_backbone)?;
    let pack = models.pack(train)?;
    let objective = Ranked::new(models.trained(train)?, method);
    objective.check_start(&pack(train, &order.clone().next_batch().unwrap_or_default())?)?;
    let view = || Ok::<_, Error>(Ranked::new(models.view(held_out)?, method));
    let batch_size = opening.config.per_device_eval_batch_size;
    let held_out =
        HeldOut::new(&data.held_out, models.pack(held_out)?, view()?, batch_size, host.ranks.clone());

    // Training, and what became of it.
    opening.announce(RewardNormalization::FILE)?;
    let batches = RowBatches::new(train, order, pack);
    let (params, rows) = (models.params(), data.train.len());
    let fixed = Fixed { rows: &data.fingerprint, models: models.frozen()?.into_iter().collect() };
    let training = Training { params, objective, batches, rows, fixed };
    let ended = training.run(&opening, held_out, |held_out, _step, _stop| held_out.judge())?;
    let Some(ended) = ended else { return Ok(None) };
    let saved = saved::verified(&opening, &models, method, train)?;
    let (before, after) = ended.looks.as_ref().map(|(before, after)| (&before[..], &after[..])).unzip();
    let quality = |judged| Quality::new(judged, train, &opening.tokenizer, opening.place.seed);
    let quality = after.map(quality).transpose()?;
    let accuracy_before = before.map(crate::accuracy);
    let overfit = reward.overfit_pairs.and(after).map(crate::Overfit::of);
    let failed = overfit.filter(|overfit| !overfit.passed);
    // Rows to be learned by heart are not held out.
    let known_answers = data.findings.known_answers().filter(|_| reward.overfit_pairs.is_none());
    let report = Report {
        run: ended.figures,
        known_answers,
        accuracy_before,
        quality,
        normalization: saved.normalization,
        normalized_on: NORMALIZED_ON,
        reload_difference: saved.difference,
        overfit,
    };
    let trained = publish(host, ended.output_dir, report)?;
    match failed {
        None => Ok(Some(trained)),
        Some(overfit) => Err(Error::Outcome(format!(
            "overfit_pairs: {overfit}; train longer or with a larger learning rate, and suspect the data's answers or the \
             head if that does not help"
        ))),
    }
}

impl Job {
    /// What takes memory in the run: the head reads the last token of each answer, and the saved model is read again.
    fn memory_needs(
        &self,
        opening: &Opening<'_>,
        asked: Option<RewardHead>,
        data: &Prepared<TokenizedRanking>,
    ) -> Result<MemoryNeeds> {
        let size = |row: &TokenizedRanking| PassSize {
            tokens: row.answers.token_count(),
            rows: row.answers.completions.len(),
        };
        let train = data.train.iter().map(|row| Ok(size(row?.as_ref())));
        let train = train.collect::<align_data::Result<Vec<_>>>()?;
        let held_out: Vec<_> = data.held_out.iter().map(size).collect();
        let answers: usize = train.iter().chain(&held_out).map(|row| row.rows).sum();
        let features = 4 * (answers * opening.model.decoder_config().hidden) as u64;
        Ok(MemoryNeeds {
            head: Some(opening.model.reward_head()?.or(asked).unwrap_or(RewardHead::Linear)),
            frozen_backbone: self.reward.freeze_backbone,
            others: if self.reward.freeze_backbone { features } else { 0 },
            reads_again: true,
            of_micro_batch: self.lora.drawn_by_micro_batch(),
            train,
            held_out,
            ..MemoryNeeds::default()
        })
    }
}
