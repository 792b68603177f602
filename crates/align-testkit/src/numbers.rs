//! Every number that a user may write has a range: checked over the schema of a program's options, so that an option which
//! is added later cannot be forgotten.

use std::any::TypeId;

use clap::error::ErrorKind;
use clap::{Arg, Command};

/// Beyond every count, length and number of steps; the first fits into 64 bits.
const WHOLE: [&str; 3] = ["18446744073709551615", "18446744073709551616", "-9223372036854775808"];
/// No numbers, or none that f32 has.
const REAL: [&str; 5] = ["nan", "inf", "-inf", "1e999", "-1e39"];

/// Checks that each option of `C` that takes a number refuses those without meaning or measure, and says what it expects.
/// `unbounded` are the names of options that may take any, each with the reason.
///
/// # Panics
/// With the first option that accepts one, or that is listed in vain; if there is no option with a number.
pub fn assert_numbers_are_bounded<C: clap::Args>(unbounded: &[(&str, &str)]) {
    let command = C::augment_args(Command::new("program").no_binary_name(true));
    let command = command.mut_args(|arg| arg.required(false));
    let mut checked = 0;
    for arg in command.get_arguments() {
        let (Some(long), Some(values)) = (arg.get_long(), without_measure(arg)) else { continue };
        checked += 1;
        let accepted = values.iter().find(|value| !is_refused(&command, long, value));
        let is_listed = unbounded.iter().any(|(name, _)| name == &arg.get_id().as_str());
        match accepted {
            Some(value) => {
                assert!(is_listed, "--{long} accepts {value}; give it a value parser of align-limits")
            }
            None => assert!(!is_listed, "--{long} is listed as one that takes any number, and does not"),
        }
    }
    assert!(checked > 0, "no option takes a number");
}

/// What an option must not take, where it takes numbers.
fn without_measure(arg: &Arg) -> Option<&'static [&'static str]> {
    let id = arg.get_value_parser().type_id();
    let whole = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
        TypeId::of::<isize>(),
    ];
    if whole.iter().any(|of| id == *of) {
        Some(&WHOLE)
    } else if id == TypeId::of::<f64>() || id == TypeId::of::<f32>() {
        Some(&REAL)
    } else {
        None
    }
}

fn is_refused(command: &Command, long: &str, value: &str) -> bool {
    match command.clone().try_get_matches_from([format!("--{long}={value}")]) {
        Err(error) if error.kind() == ErrorKind::ValueValidation => {
            let text = error.to_string();
            assert!(text.contains("expected a"), "--{long}={value} is refused without a range: {text}");
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Args)]
    struct Careless {
        #[arg(long)]
        batch_size: usize,
    }

    #[test]
    #[should_panic(expected = "--batch-size accepts 18446744073709551615")]
    fn an_option_without_a_range_is_found() {
        assert_numbers_are_bounded::<Careless>(&[]);
    }

    #[test]
    fn one_that_is_listed_is_left_alone() {
        assert_numbers_are_bounded::<Careless>(&[("batch_size", "of no account here")]);
    }
}
