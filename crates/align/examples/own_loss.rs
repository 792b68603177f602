//! A loss of one's own in preference training: a closure from the log-ratios of a batch of pairs to a loss per pair.
//! Everything around it (the reference, accumulation, checkpoints, evaluation, the report) is as for the losses by name.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use align::dpo::{Job, OwnLoss, Parts, train_with};
use align::{Event, Host};

fn main() -> align::Result<()> {
    let output_dir = std::env::args().nth(1).unwrap_or("runs/example-own-loss".to_owned());
    let mut job = Job::new("fixtures/models/tiny-chat", "fixtures/data/preference/train.jsonl", output_dir);
    job.train.learning_rate = Some(1e-4);
    job.train.per_device_train_batch_size = 16;
    job.train.max_steps = 10;

    // Log-ratios a and b of the chosen and the rejected answer: (β(a − b) − 1)², and the chosen answer must not get less likely.
    let beta = 0.5;
    let loss = OwnLoss::new(move |pairs| {
        let margin = ((pairs.ratios.difference()? * beta)? - 1.0)?.sqr()?;
        margin + pairs.ratios.chosen.neg()?.relu()?
    });

    let listener = |event: Event<'_>| {
        if let Event::Logged(entry) = event {
            println!("{entry:?}");
        }
        Ok(())
    };
    let host = Host { listener: Some(&listener), ..Host::default() };
    let trained = train_with(&job, &host, Parts { loss: Some(loss), ..Parts::default() })?;
    println!("{}", trained.expect("it was asked to train").report);
    Ok(())
}
