//! A training loop of one's own: batches, updates and what is watched between them, over `Updater`, which makes one exact
//! parameter update from a window of micro-batches.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use align::candle::Device;
use align::data::{Records, Source, TokenizeOptions, Tokenizer, open_pairs, prepare_pairs};
use align::dpo::{PairBatch, PairMethod, Preference};
use align::engine::{Curve, OptimizerConfig, Schedule, Updater};
use align::models::{CausalLm, ModelDir, Reference};

fn main() -> align::Result<()> {
    let dir = ModelDir::open("fixtures/models/tiny-chat".as_ref())?;
    let tokenizer = Tokenizer::load(dir.path())?;
    let records =
        Records { train: open_pairs("fixtures/data/preference", "train")?, held_out: Source::default() };
    let rows = prepare_pairs(&records, &tokenizer, &TokenizeOptions::default())?.train;

    let (params, start) = dir.trainable(42, &Device::Cpu)?;
    let policy = CausalLm::new(dir.decoder_config(), &params)?;
    let reference = start.causal_lm()?;
    let method = PairMethod::dpo(0.5);
    let mut objective = Preference::new(policy, Some(Reference::Live(Box::new(reference))), method);

    let (warmup_steps, total_steps) = (2, 20);
    let schedule = Schedule { curve: Curve::Linear, learning_rate: 1e-4, warmup_steps, total_steps };
    let mut updater = Updater::new(&params, OptimizerConfig::default(), schedule, Some(1.0))?;
    for step in 0..total_steps.min(rows.len() / 16) {
        let micro_batch = |from: usize| PairBatch::new(&rows, &(from..from + 8).collect::<Vec<_>>());
        // Two micro-batches; their losses are weighted as if they were one.
        let window = [micro_batch(16 * step)?, micro_batch(16 * step + 8)?];
        let update = updater.update(&mut objective, &window)?;
        let accuracy = update.metrics.get("rewards/accuracies").unwrap_or_default();
        println!("step {step}: loss {:.4}, accuracy {accuracy:.2}", update.loss);
    }
    let output_dir = std::env::args().nth(1).unwrap_or("runs/example-own-loop".to_owned());
    std::fs::create_dir_all(&output_dir).map_err(align::Error::method)?;
    Ok(dir.save(&params, output_dir.as_ref())?)
}
