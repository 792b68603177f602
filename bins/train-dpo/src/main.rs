//! Direct preference optimization: a model and preference pairs in, an aligned Hugging Face model out.

mod options;
mod reference;

use std::path::Path;
use std::process::ExitCode;

use align_cli::{Hub, Invocation, Program, Session};
use align_data::{
    BatchSize, MaskStyle, MicroBatches, Order, TokenizedPair, Tokenizer, inspect_pair, prepare_pairs,
};
use align_dpo::{DEFAULT_LEARNING_RATE, HeldOut, PairBatch, Preference, Report};
use align_kernels::Params;
use align_models::{CausalLm, ModelDir};
use align_stage::{RowBatches, RunFigures};
use align_train::{Batches, Error, Evaluate, Outcome, Run, fit};
use options::Options;

const PROGRAM: Program = Program {
    name: "train-dpo",
    about: "Direct preference optimization: a model and preference pairs in, an aligned model out.",
    recipe: Some(include_str!("../recipe.toml")),
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, train)
}

fn train(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    let (config, method) = (options.train.check(DEFAULT_LEARNING_RATE)?, options.dpo.method()?);
    let data_config = options.data.clone().check()?;
    let resume = options.train.resume_from_checkpoint.as_deref().map(Path::new);
    let session = Session::open(invocation, &options.common, &options.output, resume)?;

    // Data: prompts with a chosen and a rejected answer, as token ids.
    let hub = Hub::from_env();
    let model =
        ModelDir::open(&hub.model(&options.common.model_name_or_path, &options.common.model_revision)?)?;
    let tokenizer = Tokenizer::load(model.path())?;
    let dataset = hub.dataset(&data_config.dataset_name)?;
    let eval_dataset = data_config.eval_dataset.as_ref().map(|name| hub.dataset(name)).transpose()?;
    let data = prepare_pairs(&dataset, eval_dataset.as_deref(), &data_config, &tokenizer)?;
    model.check_data(tokenizer.vocab_size(), data.longest)?;
    Options::check_evaluation(&config, invocation, !data.held_out.is_empty())?;
    align_cli::print(&data.findings);
    let order = Order { strategy: data_config.train_sampling_strategy, seed: session.seed };
    let lengths = data.train.iter().map(TokenizedPair::token_count).collect();
    let mut order =
        MicroBatches::new(lengths, BatchSize::Examples(config.per_device_train_batch_size), order)?;
    if options.output.inspect {
        for index in order.next_batch().unwrap_or_default() {
            align_cli::print(inspect_pair(&data.train[index], &tokenizer, MaskStyle::of_stdout())?);
        }
        return Ok(());
    }

    // Models: the policy, what it is held to, and a view of it to measure with.
    let params = Params::tracked(&model.load(&session.device)?)?;
    let lm = |params: &Params| CausalLm::new(model.decoder_config(), params);
    let (reference_model, reference) = reference::load(options, &hub, &model, &params, &data.train)?;
    let mut objective = Preference::new(lm(&params)?, reference, method);
    if options.dpo.ref_model.is_none() {
        let first = order.clone().next_batch().unwrap_or_default();
        objective.check_start(&PairBatch::new(&data.train, &first))?;
    }
    let eos = [vec![tokenizer.eos_id()?], model.eos_token_ids()?].concat();
    let (models, batch_size) = ((lm(&params.view())?, reference_model), config.per_device_eval_batch_size);
    let mut held_out = HeldOut::new(&data.held_out, models, eos, &options.dpo, batch_size, session.seed)?;
    let mut batches = RowBatches::new(&data.train, order, PairBatch::new);
    let total_steps = config.total_steps(batches.batches_per_epoch()?);
    let mut updater = config.updater(&params, total_steps)?;
    if session.dry_run {
        align_cli::print(format_args!("{total_steps} steps would be made; nothing was written"));
        return Ok(());
    }

    // Training, from the beginning or from where a checkpoint stands.
    let output_dir = session.create_output_dir()?;
    let save = |dir: &Path| model.save(&params, dir).map_err(Error::stage);
    let settings = serde_json::json!({ "options": options, "training_rows": data.fingerprint });
    let mut run = Run::open(output_dir, true, &config, &settings, save)?;
    session.training_starts()?;
    let before = held_out.as_mut().map(|held_out| held_out.look(0, &tokenizer)).transpose()?;
    let evaluation = held_out.as_mut().map(|held_out| held_out as &mut dyn Evaluate);
    let outcome = fit(&mut objective, evaluation, &mut batches, &mut updater, &mut run)?;
    if let Outcome::Interrupted { signal, checkpoint } = &outcome {
        let go_on = format!("go on with --resume-from-checkpoint {}", checkpoint.display());
        return Err(align_cli::interrupted(*signal, go_on));
    }
    save(output_dir)?;

    // What changed.
    let after = held_out.as_mut().map(|held_out| held_out.look(updater.step(), &tokenizer)).transpose()?;
    let run = RunFigures::new("dpo", &outcome, &run, data.train.len(), align_cli::peak_memory_mb());
    let report = Report::new(run, before.zip(after));
    align_cli::write_json(&output_dir.join("report.json"), &report)?;
    align_cli::print(format_args!("\n{report}\nmodel written to {}", output_dir.display()));
    Ok(())
}
