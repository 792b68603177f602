//! Supervised fine-tuning as a whole: a model and demonstrations in, a trained model on disk out.

use align_data::{
    DataOptions, Demonstration, DemonstrationOptions, MaskStyle, PackingStrategy, Prepared, Records, Source,
    TokenizedExample, inspect_example, open_demonstrations, prepare_demonstrations,
};
use align_kernels::Params;
use align_models::footprint::PassSize;
use align_models::{CausalLm, Neftune, random_weights};
use align_stage::{
    Fixed, Host, LoraOptions, MemoryNeeds, ModelOptions, Opening, OutputOptions, Result, RowBatches, Trained,
    Training, publish,
};
use align_train::{Evaluate as _, TrainOptions};
use serde::Serialize;

use crate::{DEFAULT_LEARNING_RATE, ExampleBatch, HeldOut, Report, SftOptions, Supervised};

/// A supervised fine-tuning job: all its options.
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
    /// The demonstrations, and how they are read.
    #[command(flatten, next_help_heading = "Data")]
    pub data: DataOptions,
    /// Which part of them is learned.
    #[command(flatten, next_help_heading = "Data")]
    pub demonstrations: DemonstrationOptions,
    /// The objective.
    #[command(flatten)]
    pub sft: SftOptions,
    /// Where the weights and the chat template come from.
    #[command(flatten)]
    pub start: StartOptions,
    /// How it is trained.
    #[command(flatten)]
    pub train: TrainOptions,
}

/// Where the weights and the chat template come from.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Model and device")]
pub struct StartOptions {
    /// Start from random weights of the model's config.json instead of its weights
    #[arg(long)]
    pub from_scratch: bool,

    /// Chat template in the place of the model's, saved with what is trained: a file, or the model (a directory or a hub id)
    /// whose it is
    #[arg(long, value_name = "FILE|DIR|ID")]
    pub chat_template_path: Option<String>,
}

align_stage::job!(Job, "sft");

/// Options that only matter with held-out rows.
const FOR_EVALUATION: &[&str] = &["per_device_eval_batch_size"];

/// Parts of a caller's own, in the place of what options name.
#[derive(Default)]
pub struct Parts {
    /// The demonstrations, in the place of data sets.
    pub demonstrations: Option<Records<Demonstration>>,
}

/// Trains, and saves the model with its report. None if `host` only looks.
///
/// # Errors
/// Options, data or a model that are wrong, before anything is written; a loss that is not finite; files that cannot be
/// written; somebody who asked to stop.
pub fn train(job: &Job, host: &Host<'_>, parts: Parts) -> Result<Option<Trained<Report>>> {
    job.sft.check()?;
    let opening = Opening::new(host, job, DEFAULT_LEARNING_RATE)?;
    let mut opening = match &job.start.chat_template_path {
        Some(path) => opening.with_chat_template(path)?,
        None => opening,
    };

    // Data: demonstrations as token ids, the part that is learned marked.
    let (learned, packing) = (job.demonstrations.check()?, job.demonstrations.packing()?);
    if packing.is_some() {
        opening.given.refuse(&["dataset_streaming"], "with `packing`, which fills bins from all rows")?;
    }
    let records = opening.records(parts.demonstrations, |path, split| open_demonstrations(path, split))?;
    let reasoned = |source: Source<Demonstration>| {
        let learned = learned.clone();
        source.map(move |rows| learned.of_reasoning(rows))
    };
    let records = Records { train: reasoned(records.train), held_out: reasoned(records.held_out) };
    let (tokenizer, tokenize) = (&opening.tokenizer, &opening.data.tokenize);
    let data = prepare_demonstrations(&records, tokenizer, tokenize, &learned)?;
    drop(records);
    opening.check_rows(&data, FOR_EVALUATION)?;
    opening.plan_memory(&job.memory_needs(&opening, &data)?)?;
    let lengths = data.train.lengths();
    let order = match packing {
        Some(PackingStrategy::Bfd) => opening.packed_order(lengths)?,
        None => opening.order(lengths)?,
    };
    let packing = order.packing();
    let show = |row: usize, style: MaskStyle| {
        inspect_example(data.train.get(row)?.as_ref(), &opening.tokenizer, style)
    };
    if opening.looked(&order, show)? {
        return Ok(None);
    }

    // Model: trainable parameters, and a view of them to measure with.
    let (config, device) = (opening.model.decoder_config(), &opening.place.device);
    let params = if job.start.from_scratch {
        opening
            .given
            .refuse(&["use_peft"], "an adapter over random weights would be of no use to anybody")?;
        Params::tracked(&random_weights(config, opening.place.seed, device)?)?
    } else {
        opening.model.trainable(opening.place.seed, device)?.0
    };
    let neftune = job.sft.neftune_noise_alpha.map(|alpha| Neftune { alpha, seed: opening.place.seed });
    let policy = CausalLm::new(config, &params)?
        .with_gradient_checkpointing(opening.config.gradient_checkpointing)
        .with_neftune(neftune);
    let objective = |policy| {
        Supervised::new(policy, job.sft.loss_type).with_label_smoothing(job.sft.label_smoothing_factor)
    };
    let view = objective(CausalLm::new(config, &params.view())?);
    let objective = objective(policy);

    // Training, and what changed.
    let batch_size = opening.config.per_device_eval_batch_size;
    let held_out = HeldOut::new(&data.held_out, view, batch_size, host.ranks.clone());
    let batches = RowBatches::new(&data.train, order, ExampleBatch::new);
    let fixed = Fixed { rows: &data.fingerprint, ..Fixed::default() };
    let training = Training { params: &params, objective, batches, rows: data.train.len(), fixed };
    let ended = training.run(&opening, held_out, |held_out, step, stop| held_out.evaluate(step, stop))?;
    ended
        .map(|ended| {
            let report = Report { packing, ..Report::new(ended.figures, ended.looks) };
            publish(host, ended.output_dir, report)
        })
        .transpose()
}

impl Job {
    /// What takes memory in the run: every learned token predicts a label.
    fn memory_needs(&self, opening: &Opening<'_>, data: &Prepared<TokenizedExample>) -> Result<MemoryNeeds> {
        let size = |row: &TokenizedExample| PassSize {
            tokens: row.tokens.len(),
            rows: row.mask.iter().filter(|is_learned| **is_learned).count(),
        };
        let noise = self
            .sft
            .neftune_noise_alpha
            .map(|_| "`neftune_noise_alpha` draws noise by micro-batch".to_owned());
        let train = data.train.iter().map(|row| Ok(size(row?.as_ref())));
        Ok(MemoryNeeds {
            train: train.collect::<align_data::Result<_>>()?,
            held_out: data.held_out.iter().map(size).collect(),
            bins: self.demonstrations.packing_strategy.and(opening.data.tokenize.max_length),
            from_scratch: self.start.from_scratch,
            of_micro_batch: noise.or_else(|| self.lora.drawn_by_micro_batch()),
            ..MemoryNeeds::default()
        })
    }
}
