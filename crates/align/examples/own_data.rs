//! Data of one's own: pairs from wherever a program has them (a database, a generator, another format), in the place of files.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use align::Host;
use align::data::{Message, PreferencePair, Records, Text};
use align::dpo::{Job, Parts, train_with};

fn main() -> align::Result<()> {
    let output_dir = std::env::args().nth(1).unwrap_or("runs/example-own-data".to_owned());
    let mut job = Job::new("fixtures/models/tiny-chat", "", output_dir);
    job.dpo.num_kl_prompts = 4;
    job.dpo.max_new_tokens = 16;
    job.train.per_device_train_batch_size = 8;
    job.train.num_train_epochs = 2.0;

    let records = Records { train: pairs(0..32)?.into(), held_out: pairs(32..40)?.into() };
    let parts = Parts { preferences: Some(records.into()), ..Parts::default() };
    let trained = train_with(&job, &Host::default(), parts)?;
    println!("{}", trained.expect("it was asked to train").report);
    Ok(())
}

/// Sums whose right result is preferred: messages, which the model's chat template renders; strings are continued as they stand.
fn pairs(numbers: std::ops::Range<u32>) -> align::data::Result<Vec<PreferencePair>> {
    let say = |role: &str, text: String| Text::from(vec![Message::new(role, text)]);
    let sums = || numbers.clone().map(|number| (number / 8, number % 8));
    PreferencePair::from_lists(
        sums().map(|(a, b)| say("user", format!("How much is {a} plus {b}?"))).collect(),
        sums().map(|(a, b)| say("assistant", format!("That makes {}.", a + b))).collect(),
        sums().map(|(a, b)| say("assistant", format!("That makes {}.", a + b + 1))).collect(),
    )
}
