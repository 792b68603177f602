#![doc = include_str!("../README.md")]

mod answer;
mod make;
mod place;
mod row;
mod run;
pub mod table;

pub use answer::faults;
pub use row::{Content, Expected, Row};
pub use run::{Outcome, run};

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Rows that are run at the same time: each is one program with one thread.
const AT_ONCE: usize = 2;

/// Runs all rows of a program and expects every one to be answered as the table says.
///
/// # Panics
/// With every row that is not, and how it was answered instead.
pub fn assert_answered(program: &str, path: &Path) {
    let table = table::rows();
    let left_out: Vec<Vec<String>> =
        options(path).into_iter().filter(|names| !is_given(&table, names)).collect();
    assert!(left_out.is_empty(), "options of {program} that no row gives: {left_out:?}");
    let rows: Vec<Row> = table.into_iter().filter(|row| row.program == program).collect();
    assert!(!rows.is_empty(), "the table has no row for {program}");
    let (start, count) = (Instant::now(), rows.len());
    let failed = run_all(&rows, |_| path.to_owned(), |_, _| {});
    let seconds = start.elapsed().as_secs_f64();
    assert!(failed.is_empty(), "{} of {count} rows of {program}:\n\n{}", failed.len(), failed.join("\n\n"));
    // Seen with `--nocapture`.
    let report = format!("{program}: {count} rows answered in {seconds:.1} s\n");
    let _ = std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes());
}

/// The options that the program's help lists, each with its other names.
fn options(path: &Path) -> Vec<Vec<String>> {
    let help = Command::new(path).arg("--help").output().map(|output| output.stdout).unwrap_or_default();
    let mut options: Vec<Vec<String>> = Vec::new();
    for line in String::from_utf8_lossy(&help).lines().map(str::trim) {
        let name = line.split_whitespace().find(|word| !is_short(word)).unwrap_or_default();
        let name = name.split(['=', '[', '<']).next().filter(|name| name.starts_with("--"));
        options.extend(name.map(|name| vec![name.to_owned()]));
        let aliases = line.split_once("[alias: ").or_else(|| line.split_once("[aliases: "));
        if let (Some((_, aliases)), Some(option)) = (aliases, options.last_mut()) {
            let aliases = aliases.split(']').next().unwrap_or_default();
            option.extend(aliases.split(", ").map(str::to_owned));
        }
    }
    options.retain(|option| !["--help", "--version"].contains(&option[0].as_str()));
    options
}

/// `-h,` before `--help`.
fn is_short(word: &str) -> bool {
    word.len() <= 3 && word.starts_with('-') && !word.starts_with("--")
}

fn is_given(rows: &[Row], names: &[String]) -> bool {
    let mut words = rows.iter().flat_map(|row| &row.words).filter_map(|word| word.to_str());
    words.any(|word| names.iter().any(|name| word.split('=').next() == Some(name)))
}

/// Runs rows, a few at a time, each with the program that `path` gives for its name; tells `done` of each as it ends.
/// What is wrong, one text per row, in the order of the rows.
pub fn run_all(
    rows: &[Row],
    path: impl Fn(&str) -> std::path::PathBuf + Sync,
    done: impl Fn(&Row, &Outcome) + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some((number, row)) = next_of(rows, &next) {
            let outcome = run(row, &path(row.program));
            done(row, &outcome);
            let faults = faults(&row.expected, &outcome);
            if let (false, Ok(mut failed)) = (faults.is_empty(), failed.lock()) {
                failed.push((number, format!("{row}\n  {}\n{outcome}", faults.join("\n  "))));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let mut failed = failed.into_inner().unwrap_or_default();
    failed.sort();
    failed.into_iter().map(|(_, text)| text).collect()
}

fn next_of<'a>(rows: &'a [Row], next: &AtomicUsize) -> Option<(usize, &'a Row)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, rows.get(number)?))
}
