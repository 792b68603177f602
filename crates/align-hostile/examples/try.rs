//! Runs the rows whose name or program contains a word, or all, with the programs of a folder.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use align_hostile::{Row, run_all, table};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (folder, word) =
        (words.next().map_or_else(|| PathBuf::from("target/debug"), PathBuf::from), words.next());
    let is_meant =
        |row: &Row| word.as_ref().is_none_or(|word| row.name.contains(word) || row.program == word);
    let rows: Vec<Row> = table::rows().into_iter().filter(is_meant).collect();
    let start = Instant::now();
    let failed = run_all(
        &rows,
        // A row runs in a directory of its own.
        |program| std::path::absolute(&folder).unwrap_or_default().join(program),
        |row, outcome| {
            let _ = writeln!(std::io::stderr(), "{:5.1} s  {}", outcome.time.as_secs_f64(), row.name);
        },
    );
    let seconds = start.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", failed.join("\n\n"));
    let _ = writeln!(out, "\n{} of {} rows failed, {seconds:.1} s", failed.len(), rows.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
