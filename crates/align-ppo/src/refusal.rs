//! The error of an option that makes no sense, or has no effect beside the others.

use align_train::{Error, Result};

/// Refuses `option` with its value, for the rule it breaks.
#[expect(clippy::needless_pass_by_value, reason = "callers pass numbers, booleans and literals")]
pub(crate) fn refuse<T>(option: &'static str, value: impl ToString, problem: impl Into<String>) -> Result<T> {
    Err(Error::Option { option, value: value.to_string(), problem: problem.into() })
}

/// Refuses `option` with its value because it has no effect: `problem` says why, and what to do.
pub(crate) fn no_effect<T>(
    option: &'static str,
    value: impl ToString,
    problem: impl Into<String>,
) -> Result<T> {
    Err(Error::no_effect(option, value, problem))
}

/// Completions that a phase may have: they are held together, with all that is known of them.
const MOST_COMPLETIONS: usize = 1 << 20;

/// Refuses a phase of more completions than are held at once: the product of these options.
pub(crate) fn check_phase(factors: &[(&'static str, usize)]) -> Result<()> {
    let product = factors.iter().try_fold(1_usize, |product, (_, factor)| product.checked_mul(*factor));
    if product.is_some_and(|completions| completions <= MOST_COMPLETIONS) {
        return Ok(());
    }
    let factors: Vec<_> = factors.iter().filter(|factor| **factor != ("ranks", 1)).copied().collect();
    let names: Vec<&str> = factors.iter().map(|(name, _)| *name).collect();
    let values: Vec<String> = factors.iter().map(|(_, value)| value.to_string()).collect();
    let problem = format!(
        "a phase has {} = {} completions, more than the {MOST_COMPLETIONS} that are held at once",
        names.join(" × "),
        values.join(" × ")
    );
    let (name, value) = factors.iter().max_by_key(|(_, value)| *value).copied().unwrap_or_default();
    refuse(name, value, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_no_larger_than_what_is_held() {
        assert!(check_phase(&[("a", 1 << 10), ("b", 1 << 10)]).is_ok());
        let refused = |factors: &[(&'static str, usize)]| check_phase(factors).unwrap_err().to_string();
        assert_eq!(
            refused(&[("a", 1 << 10), ("b", 1025)]),
            "`b` = 1025: a phase has a × b = 1024 × 1025 completions, more than the 1048576 that are held at once"
        );
        assert!(
            refused(&[("a", 2), ("b", usize::MAX), ("c", 2)]).starts_with("`b` = 18446744073709551615: ")
        );
    }
}
