//! Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.

mod options;

use std::path::Path;
use std::process::ExitCode;

use align_cli::{Hub, Invocation, Program, Session};
use align_data::{
    BatchSize, MaskStyle, MicroBatches, Order, Tokenizer, inspect_example, prepare_demonstrations,
};
use align_kernels::Params;
use align_models::{CausalLm, ModelDir, random_weights};
use align_sft::{DEFAULT_LEARNING_RATE, ExampleBatch, HeldOut, Report, Supervised};
use align_stage::{RowBatches, RunFigures};
use align_train::{Batches, Error, Evaluate, Outcome, Run, fit};
use options::Options;

const PROGRAM: Program = Program {
    name: "train-sft",
    about: "Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.",
    recipe: Some(include_str!("../recipe.toml")),
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, train)
}

fn train(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    let config = options.train.check(DEFAULT_LEARNING_RATE)?;
    let data_config = options.data.clone().check()?;
    let resume = options.train.resume_from_checkpoint.as_deref().map(Path::new);
    let session = Session::open(invocation, &options.common, &options.output, resume)?;

    // Data: demonstrations as token ids, the part that is learned marked.
    let hub = Hub::from_env();
    let model =
        ModelDir::open(&hub.model(&options.common.model_name_or_path, &options.common.model_revision)?)?;
    let tokenizer = Tokenizer::load(model.path())?;
    let dataset = hub.dataset(&data_config.dataset_name)?;
    let eval_dataset = data_config.eval_dataset.as_ref().map(|name| hub.dataset(name)).transpose()?;
    let completion_only = options.demonstrations.completion_only_loss;
    let data =
        prepare_demonstrations(&dataset, eval_dataset.as_deref(), &data_config, completion_only, &tokenizer)?;
    model.check_data(tokenizer.vocab_size(), data.longest)?;
    Options::check_evaluation(&config, invocation, !data.held_out.is_empty())?;
    align_cli::print(&data.findings);
    let order = Order { strategy: data_config.train_sampling_strategy, seed: session.seed };
    let lengths = data.train.iter().map(|example| example.tokens.len()).collect();
    let mut order =
        MicroBatches::new(lengths, BatchSize::Examples(config.per_device_train_batch_size), order)?;
    if options.output.inspect {
        for index in order.next_batch().unwrap_or_default() {
            align_cli::print(inspect_example(&data.train[index], &tokenizer, MaskStyle::of_stdout())?);
        }
        return Ok(());
    }

    // Model: trainable parameters, and a view of them to measure with.
    let weights = if options.start.from_scratch {
        random_weights(model.decoder_config(), session.seed, &session.device)?
    } else {
        model.load(&session.device)?
    };
    let params = Params::tracked(&weights)?;
    drop(weights);
    let mut objective = Supervised::new(CausalLm::new(model.decoder_config(), &params)?);
    let view = Supervised::new(CausalLm::new(model.decoder_config(), &params.view())?);
    let mut held_out = HeldOut::new(&data.held_out, view, config.per_device_eval_batch_size);
    let mut batches = RowBatches::new(&data.train, order, ExampleBatch::new);
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
    let before = held_out.as_mut().map(|held_out| held_out.evaluate(0)).transpose()?;
    let evaluation = held_out.as_mut().map(|held_out| held_out as &mut dyn Evaluate);
    let outcome = fit(&mut objective, evaluation, &mut batches, &mut updater, &mut run)?;
    if let Outcome::Interrupted { signal, checkpoint } = &outcome {
        let go_on = format!("go on with --resume-from-checkpoint {}", checkpoint.display());
        return Err(align_cli::interrupted(*signal, go_on));
    }
    save(output_dir)?;

    // What changed.
    let after = held_out.as_mut().map(|held_out| held_out.evaluate(updater.step())).transpose()?;
    let run = RunFigures::new("sft", &outcome, &run, data.train.len(), align_cli::peak_memory_mb());
    let report = Report::new(run, before.zip(after));
    align_cli::write_json(&output_dir.join("report.json"), &report)?;
    align_cli::print(format_args!("\n{report}model written to {}", output_dir.display()));
    Ok(())
}
