//! Completions of prompts, on the terminal or as JSON lines.

mod options;
mod output;
mod prompts;

use std::iter::{repeat_n, zip};
use std::process::ExitCode;
use std::time::Instant;

use align_cli::{Invocation, Program};
use align_data::Tokenizer;
use align_hub::Hub;
use align_kernels::Params;
use align_models::generation::generate_in_batches;
use align_models::{CausalLm, ModelDir};
use options::Options;
use output::{Output, Row};

const PROGRAM: Program = Program {
    name: "generate",
    about: "Completions of prompts, on the terminal or as JSON lines.",
    recipe: None,
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, complete)
}

fn complete(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    options.check()?;
    invocation.refuse_revision_of_directory(&options.model.model_name_or_path)?;
    let mut output = Output::open(options.output.as_deref())?;
    let device = options.model.device.open()?;

    // Prompts, as records and as token ids.
    let hub = Hub::from_env();
    let model =
        ModelDir::open(&hub.model(&options.model.model_name_or_path, &options.model.model_revision)?)?;
    let tokenizer = Tokenizer::load(model.path())?;
    let model = match options.model.resize_token_embeddings {
        true => model.with_vocabulary(tokenizer.vocab_size())?,
        false => model,
    };
    model.check_vocabulary(tokenizer.vocab_size())?;
    let prompts = options.prompts.read(&hub, &tokenizer)?;
    let (longest, room) = (options.generation.max_new_tokens, model.decoder_config().max_positions);
    let tokens = options.prompts.tokenize(&prompts, &tokenizer, longest, room)?;

    // The model, and each prompt as often as it is to be completed.
    let weights = model.load(&device)?;
    let lm = CausalLm::new(model.decoder_config(), &Params::frozen(&weights))?;
    let eos = [vec![tokenizer.eos_id()?], model.eos_token_ids()?].concat();
    let times = options.num_return_sequences;
    let mut batches =
        generate_in_batches(&lm, &tokens, times, &eos, &options.generation, options.model.seed)?;

    // Completions, in the order of the prompts.
    invocation.work_starts();
    let (start, mut generated) = (Instant::now(), 0);
    let mut sequences = zip(&prompts, &tokens).flat_map(|prompt| repeat_n(prompt, times));
    while let Some(completions) = batches.next().transpose()? {
        generated += completions.iter().map(|completion| completion.tokens.len()).sum::<usize>();
        for (completion, (prompt, tokens)) in zip(&completions, &mut sequences) {
            output.write(&Row::new(prompt, tokens, completion, &tokenizer)?)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    tracing::info!("{generated} tokens in {seconds:.1} s, {:.0} a second", generated as f64 / seconds);
    output.finish()
}
