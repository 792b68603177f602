//! The error of an option that makes no sense, or has no effect beside the others.

use align_train::{Error, Result};

/// Refuses `option` with its value, for the rule it breaks.
#[expect(clippy::needless_pass_by_value, reason = "callers pass numbers, booleans and literals")]
pub(crate) fn refuse<T>(option: &'static str, value: impl ToString, problem: impl Into<String>) -> Result<T> {
    Err(Error::Option { option, value: value.to_string(), problem: problem.into() })
}
