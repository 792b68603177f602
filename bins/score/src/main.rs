//! Rewards of answers by a reward model, as JSON lines: scores, comparisons, the best of many, preference files.

mod options;
mod output;
mod rows;

use std::process::ExitCode;
use std::time::Instant;

use align_cli::{Hub, Invocation, Program};
use align_data::{TokenizeOptions, Tokenizer, TruncationMode, load_candidates};
use align_kernels::Params;
use align_models::{ModelDir, RewardModel};
use align_reward::{ModelReward, RewardNormalization};
use anyhow::ensure;
use options::Options;
use output::Output;
use rows::Rows;

const PROGRAM: Program = Program {
    name: "score",
    about: "Rewards of answers by a reward model: scores, comparisons, the best of many, preference files.",
    recipe: None,
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, score)
}

fn score(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    let mut output = Output::open(options.output.as_deref())?;
    let device = options.common.device.open()?;

    // Answers, those to one prompt together where they are to be compared.
    let hub = Hub::from_env();
    let dataset = hub.dataset(&options.dataset)?;
    ensure!(
        options.split.is_none() || dataset.is_dir(),
        "`split`: has no effect, {} is a file, all of which is read; remove it",
        dataset.display()
    );
    let candidates = load_candidates(&dataset, options.split.as_deref().unwrap_or("test"))?;
    let mut rows = Rows::new(options.write);
    let candidates = rows.grouped(candidates)?;

    // The model, and what makes its rewards comparable with another's.
    let common = &options.common;
    let dir = ModelDir::open(&hub.model(&common.model_name_or_path, &common.model_revision)?)?;
    ensure!(
        dir.reward_head()?.is_some(),
        "model {}: is a language model; expected a reward model, which train-reward makes",
        dir.path().display()
    );
    let tokenizer = Tokenizer::load(dir.path())?;
    dir.check_vocabulary(tokenizer.vocab_size())?;
    let (head, weights) = dir.load_reward_model(None, common.seed, &device)?;
    let model = RewardModel::new(dir.decoder_config(), head, &Params::frozen(&weights))?;
    let reward = ModelReward::new(
        model,
        tokenizer,
        TokenizeOptions {
            max_length: Some(dir.decoder_config().max_positions),
            truncation_mode: TruncationMode::KeepEnd,
            add_bos_token: options.add_bos_token,
            ..TokenizeOptions::default()
        },
        options.normalize.then(|| normalization(&dir)).transpose()?,
        options.batch_size as usize,
    );

    // Rewards, in the order of the rows.
    invocation.work_starts();
    let (start, mut answers) = (Instant::now(), 0);
    for batch in candidates.chunks(options.batch_size as usize) {
        let rewards = reward.score(batch).map_err(align_cli::input_error)?;
        for (candidates, rewards) in batch.iter().zip(rewards) {
            answers += rewards.len();
            if let Some(row) = rows.of(candidates, &rewards) {
                output.write(&row)?;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    tracing::info!("{answers} answers in {seconds:.1} s, {:.0} a second", answers as f64 / seconds);
    rows.finish()?;
    output.finish()
}

fn normalization(dir: &ModelDir) -> anyhow::Result<RewardNormalization> {
    let found = RewardNormalization::read(dir.path())?;
    found.ok_or_else(|| {
        anyhow::anyhow!(
            "`normalize`: {} has no {}, which train-reward writes; remove the option",
            dir.path().display(),
            RewardNormalization::FILE
        )
    })
}
