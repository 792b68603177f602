//! Somebody beside training who says how good answers are.

use align_data::{Origin, Text};

use crate::{Error, Result};

/// Refuses a judge where there are no held-out rows.
///
/// # Errors
/// If there is one and `held_out` is 0.
pub fn check_judge(is_given: bool, held_out: usize) -> Result<()> {
    if is_given && held_out == 0 {
        return Err(Error::no_effect("judge", "there are no held-out rows (give `--eval-dataset`)"));
    }
    Ok(())
}

/// A judge's answer.
pub type Verdict<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A judge of answers to held-out prompts, which no training asks.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// The judge's name in reports.
    pub name: &'a str,
    /// Refuses a prompt that it knows nothing of.
    pub check: &'a dyn Fn(&Text, &Origin) -> Verdict<()>,
    /// The quality of an answer; larger is better.
    pub quality: &'a dyn Fn(&Text, &Text, &Origin) -> Verdict<f64>,
}
