//! The rows, a file per topic.

mod adapters;
mod arguments;
mod config_files;
mod data;
mod data_shapes;
mod data_sources;
mod directories;
mod evaluations;
mod files;
mod gguf;
mod hub;
mod model_configs;
mod numbers;
mod one_program;
mod outside;
mod reports;
mod resume;
mod surroundings;
mod templates;
mod tokenizers;
mod weights;

use crate::row::Row;

/// All rows.
pub fn rows() -> Vec<Row> {
    [
        arguments::rows(),
        adapters::rows(),
        one_program::rows(),
        numbers::rows(),
        outside::rows(),
        config_files::rows(),
        model_configs::rows(),
        tokenizers::rows(),
        templates::rows(),
        weights::rows(),
        data::rows(),
        data_shapes::rows(),
        data_sources::rows(),
        files::rows(),
        gguf::rows(),
        directories::rows(),
        resume::rows(),
        reports::rows(),
        evaluations::rows(),
        hub::rows(),
        surroundings::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// One step, quickly.
const STEP: &str = "--max-steps 1 --report-to none --save-strategy no --max-length 40";

/// A call of a training program that would take one step into `out`.
fn training(program: &str) -> String {
    let own = match program {
        "train-sft" => "--dataset sft.jsonl",
        "train-ppo" => {
            "--dataset sft.jsonl --reward-funcs length:1..30 --max-new-tokens 4 --total-episodes 2 --report-to none \
             --save-strategy no --per-device-train-batch-size 2"
        }
        _ => "--dataset pairs.jsonl",
    };
    let step = if program == "train-ppo" { "" } else { STEP };
    format!("--model model --output-dir out {own} {step}")
}

/// A call of any program that goes well: the hostile thing is added.
fn call(program: &'static str) -> String {
    match program {
        "generate" => "--model model --prompt Hi. --max-new-tokens 2".to_owned(),
        "score" => "--model reward --dataset pairs.jsonl".to_owned(),
        "evaluate" => {
            "--model model --reward-model reward --prompts pairs.jsonl --num-prompts 2 --max-new-tokens 2 --output-dir out"
                .to_owned()
        }
        "write-report" => "--run run --output-dir out".to_owned(),
        "make-fixtures" => "--output-dir out".to_owned(),
        program => training(program),
    }
}

/// A program that is called as it should be, but for what comes.
fn row(name: &str, program: &'static str) -> Row {
    Row::new(format!("{program}: {name}"), program, &call(program))
}

/// The same with more options, which take the place of those of the same name.
fn row_with(name: &str, program: &'static str, options: &str) -> Row {
    Row::new(format!("{program}: {name}"), program, &replaced(&call(program), options))
}

/// The words of a call without the options that others give again, and then those.
fn replaced(call: &str, options: &str) -> String {
    let given: Vec<&str> = options.split_whitespace().filter(|word| word.starts_with("--")).collect();
    let (mut words, mut is_dropped) = (Vec::new(), false);
    for word in call.split_whitespace() {
        is_dropped = if word.starts_with("--") { given.contains(&word) } else { is_dropped };
        if !is_dropped {
            words.push(word);
        }
    }
    words.extend(options.split_whitespace());
    words.join(" ")
}
