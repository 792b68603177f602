//! Writes the fixtures again: the small world's data and its tokenizer. The same seed writes the same bytes, and
//! `--check` tells whether the files on disk are still those. Either says what the held-out answers give away without their
//! questions. The model that is trained on the data is made by `train-sft`, not here.

mod files;
mod held_out;
mod tokenizer;

use std::path::PathBuf;
use std::process::ExitCode;

use align_cli::{Invocation, Program};
use align_world::World;
use align_world::split::SEED;
use anyhow::{Context as _, Result};

const PROGRAM: Program = Program::new("make-fixtures", "Writes the small world's data and its tokenizer.");

#[derive(clap::Args)]
struct Options {
    /// Folder that receives `data/` and `tokenizer/`.
    #[arg(long, default_value = "fixtures")]
    output_dir: PathBuf,
    /// Seed of the world.
    #[arg(long, default_value_t = SEED, value_parser = align_limits::seed())]
    seed: u64,
    /// Write nothing; fail if the files differ from what would be written.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    align_cli::main(&PROGRAM, std::env::args_os(), make)
}

fn make(options: &Options, invocation: &Invocation) -> Result<()> {
    let dir = &options.output_dir;
    if options.check { std::fs::read_dir(dir).map(drop) } else { std::fs::create_dir_all(dir) }
        .with_context(|| format!("output_dir {}", dir.display()))?;
    invocation.work_starts();
    let world = World::new(options.seed);
    let mut made = files::under("data", world.files());
    made.extend(files::under("tokenizer", tokenizer::files(&world)?));
    if options.check {
        files::check(dir, &made)?
    } else {
        files::write(dir, &made)?
    }
    for figures in held_out::giveaways(&world) {
        align_cli::print(figures)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
