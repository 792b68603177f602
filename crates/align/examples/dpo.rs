//! Preference training by DPO: the shipped model on the shipped pairs, as a few lines of somebody's own program.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use align::dpo::{Job, train};

fn main() -> align::Result<()> {
    align::policy::keep_memory(); // twice as fast on Linux; first thing in the program
    let output_dir = std::env::args().nth(1).unwrap_or("runs/example-dpo".to_owned());
    let mut job = Job::new("fixtures/models/tiny-chat", "fixtures/data/preference/train.jsonl", output_dir);
    job.dpo.beta = Some(0.5);
    job.train.learning_rate = Some(1e-4);
    job.train.per_device_train_batch_size = 16;
    job.train.max_steps = 10;
    let trained = train(&job)?;
    println!("{}\nmodel in {}", trained.report, trained.output_dir.display());
    Ok(())
}
