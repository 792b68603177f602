//! What each stage reads in a data set: `cargo run -p align-data --example read_as -- DATA MODEL [SPLIT]`.
//!
//! For each kind of record it prints as what the rows are read, which are left out, and a hash of the token ids that the
//! model's tokenizer makes of them; or why the stage cannot read them.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use align_data::{
    Dataset, Findings, LearnedPart, Loaded, Prepared, Records, Result, Source, TokenizeOptions, Tokenizer,
    load_demonstrations, load_pairs, load_rankings, load_tasks, load_unpaired, prepare_demonstrations,
    prepare_pairs, prepare_rankings, prepare_tasks, prepare_unpaired,
};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(data), Some(model)) = (words.next(), words.next()) else {
        return Err("expected DATA MODEL [SPLIT]".into());
    };
    let split = words.next().unwrap_or_else(|| "train".to_owned());
    let dataset = Dataset { max_bad_rows: 0.01, ..Dataset::from(data) };
    let tokenizer = Tokenizer::load(model)?;
    let options = TokenizeOptions { max_bad_rows: 0.01, ..TokenizeOptions::default() };
    let learned = LearnedPart::default();
    show(
        "demonstrations",
        read(load_demonstrations(&dataset, &split), |rows| {
            prepare_demonstrations(rows, &tokenizer, &options, &learned)
        }),
    );
    show("pairs", read(load_pairs(&dataset, &split), |rows| prepare_pairs(rows, &tokenizer, &options)));
    show(
        "labelled answers",
        read(load_unpaired(&dataset, &split), |rows| prepare_unpaired(rows, &tokenizer, &options)),
    );
    show(
        "rankings",
        read(load_rankings(&dataset, &split, "source"), |rows| prepare_rankings(rows, &tokenizer, &options)),
    );
    show(
        "prompts",
        read(load_tasks(&dataset, &split, "answer"), |rows| prepare_tasks(rows, &tokenizer, &options)),
    );
    Ok(())
}

fn read<R, T>(
    loaded: Result<Loaded<R>>,
    prepare: impl FnOnce(&Records<R>) -> Result<Prepared<T>>,
) -> Result<(String, Findings)> {
    let prepared = prepare(&Records { train: loaded?.into(), held_out: Source::default() })?;
    Ok((prepared.fingerprint, prepared.findings))
}

fn show(kind: &str, read: Result<(String, Findings)>) {
    match read {
        Ok((fingerprint, Findings { read, train, .. })) => {
            println!("{kind}: {read}\n  tokens: {train}\n  hash: {}\n", &fingerprint[..16]);
        }
        Err(error) => println!("{kind}: cannot be read: {error}\n"),
    }
}
