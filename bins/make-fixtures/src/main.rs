//! Writes the fixtures again: the small world's data and its tokenizer. The same seed writes the same bytes, and
//! `--check` tells whether the files on disk are still those. The model that is trained on them is made by
//! `train-sft`, not here.

mod files;
mod tokenizer;

use std::path::PathBuf;

use align_world::World;
use align_world::split::SEED;
use anyhow::Result;
use clap::Parser;

/// Writes the small world's data and its tokenizer.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Folder that receives `data/` and `tokenizer/`.
    #[arg(long, default_value = "fixtures")]
    output_dir: PathBuf,
    /// Seed of the world.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Write nothing; fail if the files differ from what would be written.
    #[arg(long)]
    check: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let world = World::new(options.seed);
    let mut made = files::under("data", world.files());
    made.extend(files::under("tokenizer", tokenizer::files(&world)?));
    if options.check {
        files::check(&options.output_dir, &made)
    } else {
        files::write(&options.output_dir, &made)
    }
}
