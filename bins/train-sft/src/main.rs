//! Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.

mod options;

use std::process::ExitCode;

use align_cli::{Invocation, Program};
use align_data::{MaskStyle, inspect_example, prepare_demonstrations};
use align_kernels::Params;
use align_models::{CausalLm, random_weights};
use align_recipe::{Fixed, Opening, Training};
use align_sft::{DEFAULT_LEARNING_RATE, ExampleBatch, HeldOut, Report, Supervised};
use align_stage::RowBatches;
use align_train::Evaluate as _;
use options::{FOR_EVALUATION, Options};

const PROGRAM: Program = Program {
    name: "train-sft",
    about: "Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.",
    recipe: Some(include_str!("../recipe.toml")),
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, train)
}

fn train(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    let Options { common, output, data, demonstrations, sft, start, train } = options;
    let opening = Opening::new(invocation, common, output, data, train, DEFAULT_LEARNING_RATE)?;

    // Data: demonstrations as token ids, the part that is learned marked.
    let completion_only = demonstrations.completion_only_loss;
    let data = opening.rows(
        |dataset, eval_dataset, config, tokenizer| {
            prepare_demonstrations(dataset, eval_dataset, config, completion_only, tokenizer)
        },
        FOR_EVALUATION,
    )?;
    let order = opening.order(data.train.iter().map(|example| example.tokens.len()).collect())?;
    let show = |row: usize| inspect_example(&data.train[row], &opening.tokenizer, MaskStyle::of_stdout());
    if opening.inspected(&order, show)? {
        return Ok(());
    }

    // Model: trainable parameters, and a view of them to measure with.
    let (config, device) = (opening.model.decoder_config(), &opening.session.device);
    let weights = if start.from_scratch {
        random_weights(config, opening.session.seed, device)?
    } else {
        opening.model.load(device)?
    };
    let params = Params::tracked(&weights)?;
    drop(weights);
    let policy =
        CausalLm::new(config, &params)?.with_gradient_checkpointing(opening.config.gradient_checkpointing);
    let objective = Supervised::new(policy, sft.loss_type);
    let view = Supervised::new(CausalLm::new(config, &params.view())?, sft.loss_type);

    // Training, and what changed.
    let held_out = HeldOut::new(&data.held_out, view, opening.config.per_device_eval_batch_size);
    let batches = RowBatches::new(&data.train, order, ExampleBatch::new);
    let rows = data.train.len();
    let fixed = Fixed { rows: &data.fingerprint, ..Fixed::default() };
    let training = Training { params: &params, objective, batches, rows, fixed };
    let trained = training.run(&opening, options, held_out, |held_out, step| held_out.evaluate(step))?;
    trained.map_or(Ok(()), |trained| trained.report(Report::new))
}
