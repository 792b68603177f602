//! What this crate makes of a preference file with some model's tokenizer: the checks, the report, two rows.
//!
//! `cargo run --release -p align-data --example look_at_data -- DATA MODEL_DIR`
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::process::ExitCode;
use std::time::Instant;

use align_data::{
    MaskStyle, Result, TokenizeOptions, Tokenizer, check_pairs, inspect_pair, load_pairs, tokenize_pairs,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, model] = arguments.as_slice() else {
        println!("usage: look_at_data DATA MODEL_DIR");
        return ExitCode::from(2);
    };
    match look(data, model) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn look(data: &str, model: &str) -> Result<()> {
    let start = Instant::now();
    let pairs = load_pairs(data, "train")?;
    println!("read in {:.0?}: {}", start.elapsed(), check_pairs(&pairs, None));
    let tokenizer = Tokenizer::load(model)?;
    let start = Instant::now();
    let (pairs, report) = tokenize_pairs(&pairs, &tokenizer, &TokenizeOptions::default())?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "tokenized at {:.0} rows/s, {:.0} tokens/s: {report}",
        report.rows as f64 / seconds,
        report.tokens as f64 / seconds
    );
    for pair in pairs.iter().take(2) {
        println!("{}", inspect_pair(pair, &tokenizer, MaskStyle::Ansi)?);
    }
    Ok(())
}
