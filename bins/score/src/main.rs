//! Scores of answers by reward models and rules, as JSON lines: scores, comparisons, the best of many, preference files.

mod answers;
mod options;
mod rewards;
mod rows;

use std::process::ExitCode;
use std::time::Instant;

use align_cli::{Invocation, JsonLines, Program};
use align_hub::Hub;
use align_reward::{Reward as _, RewardError};
use answers::Answers;
use options::Options;
use rows::Rows;

const PROGRAM: Program = Program {
    name: "score",
    about: "Scores of answers by reward models and rules: scores, comparisons, the best of many, preference files.",
    recipe: None,
};

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, score)
}

fn score(options: &Options, invocation: &Invocation) -> anyhow::Result<()> {
    options.check(invocation)?;
    let output = options.output.as_deref();
    let mut output = output.map_or(Ok(JsonLines::Printed), JsonLines::to_new_file)?;
    let hub = Hub::from_env();
    let mut answers = Answers::open(options, &hub)?;
    let reward = rewards::open(options, &hub)?;

    // Scores, in the order of the rows, a batch of which is in memory at a time.
    invocation.work_starts();
    let (start, mut scored, mut rows) = (Instant::now(), 0, Rows::new(options.write));
    loop {
        let batch = answers.batch(options.batch_size).map_err(align_cli::input_error)?;
        if batch.is_empty() {
            break;
        }
        let scores = reward.rewards(&batch).map_err(|error| complaint(error, options))?;
        for (task, scores) in batch.iter().zip(scores) {
            scored += scores.len();
            if let Some(row) = rows.of(&task.candidates, &scores) {
                output.write(&row)?;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    tracing::info!("{scored} answers in {seconds:.1} s, {:.0} a second", scored as f64 / seconds);
    rows.finish()?;
    output.finish()
}

/// What the user can do about it.
fn complaint(error: RewardError, options: &Options) -> anyhow::Error {
    let column = &options.reference_column;
    align_cli::input_error(match error {
        error @ RewardError::NoReference { .. } => anyhow::anyhow!(
            "{error}; `reference_column` = {column} names no column of it: name the one with the right answer"
        ),
        error => error.into(),
    })
}
