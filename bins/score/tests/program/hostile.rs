//! Hostile input: the rows of the table of align-hostile that call this program.

use std::path::Path;

#[test]
fn hostile_input_is_answered() {
    align_hostile::assert_answered("score", Path::new(env!("CARGO_BIN_EXE_score")));
}
