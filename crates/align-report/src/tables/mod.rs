//! The sections as tables: one definition for all files and for the terminal.

mod comparison;
mod others;

pub(crate) use comparison::{baselines, behaviour, models, prompt_sets};
pub(crate) use others::{
    ANSWERS_ALONE, best_of, correlations, preferences, principles, runs, settings, subsets, sweep,
};

use crate::format::number;
use crate::table::Cell;

/// A cell of a figure that may not have been measured.
fn cell(value: Option<f64>, text: impl Fn(f64) -> String) -> Option<Cell> {
    value.map(|value| Cell::new(text(value)))
}

fn figure(value: Option<f64>) -> Option<Cell> {
    cell(value, number)
}

fn name(text: &str) -> Option<Cell> {
    Some(Cell::new(text))
}
