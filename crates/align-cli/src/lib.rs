#![doc = include_str!("../README.md")]

mod arguments;
mod audience;
mod call;
mod entry;
mod logging;
mod moot;
mod ranks;
mod rows;
mod run;
mod signals;
mod stdout;

pub use align_files::write_json;
pub use arguments::{ArgumentError, Parsed, Program, Recipe, nearest, parse};
pub use call::answered;
pub use entry::{Entry, Trains, Words, Works};
pub use rows::JsonLines;
pub use run::{Invocation, input_error, internal_error, interrupted, main, one_line, refuse};
pub use signals::end_tidily;
pub use stdout::{print, print_coloured, print_place, print_row};
