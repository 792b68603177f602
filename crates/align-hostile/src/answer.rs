//! Whether an answer is right: what the row asks for, and what is asked of every program.

use std::path::Path;

use crate::row::Expected;
use crate::run::Outcome;

/// Longest error line, in characters.
const LONGEST: usize = 2_000;

/// Everything that is wrong with how a row was answered.
pub fn faults(expected: &Expected, outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    match outcome.code {
        Some(code) if expected.codes.contains(&code) => {}
        Some(code) => faults.push(format!("expected exit code {:?}, found {code}", expected.codes)),
        None => faults.push(format!("expected exit code {:?}, found {}", expected.codes, outcome.ended)),
    }
    faults.extend(wrong_error(expected, outcome));
    for (stream, text) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
        if let Some(control) = text.chars().find(|it| it.is_control() && !"\n\t".contains(*it)) {
            faults.push(format!("{stream} holds the control character {control:?}"));
        }
    }
    if ["panicked", "this is a bug"].iter().any(|word| outcome.stderr.contains(word)) {
        faults.push("the program takes the input for its own mistake".to_owned());
    }
    faults.extend(outcome.changed.iter().filter(|change| !is_allowed(expected, change)).cloned());
    let left = outcome.changed.iter().filter(|change| is_temporary(change));
    faults.extend(left.map(|change| format!("{change}, and left it")));
    faults
}

/// A file or directory that was to get another name.
fn is_temporary(change: &str) -> bool {
    change.starts_with("created") && (change.ends_with(".tmp") || change.contains(".align/tmp/"))
}

fn wrong_error(expected: &Expected, outcome: &Outcome) -> Option<String> {
    let errors: Vec<&str> = outcome.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let error = match (outcome.code, errors.as_slice()) {
        (Some(0), []) => return None,
        (Some(0), _) => return Some("an error, and exit code 0".to_owned()),
        (None, _) => return None,
        (_, [error]) => error,
        (_, errors) => return Some(format!("expected one line `error: …`, found {}", errors.len())),
    };
    if outcome.stderr.lines().last() != Some(error) {
        return Some("something follows the error".to_owned());
    }
    let length = error.chars().count();
    if length > LONGEST {
        return Some(format!("an error of {length} characters"));
    }
    let missing = expected.says.iter().find(|word| !error.contains(*word))?;
    Some(format!("the error does not say `{missing}`"))
}

fn is_allowed(expected: &Expected, change: &str) -> bool {
    let path = change.split_once(' ').map_or(change, |(_, path)| path);
    let below = |paths: &[String]| paths.iter().any(|allowed| Path::new(path).starts_with(allowed));
    below(&expected.makes) && !below(&expected.keeps)
}
