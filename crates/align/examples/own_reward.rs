//! A reward of one's own in GRPO: a closure over the task and an answer to it. Any number of them are added up, beside reward
//! models and rules that the job names.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use align::Host;
use align::ppo::{Job, MethodName, Parts, train_with};
use align::reward::RewardFn;

fn main() -> align::Result<()> {
    let output_dir = std::env::args().nth(1).unwrap_or("runs/example-own-reward".to_owned());
    let mut job = Job::new("fixtures/models/tiny-chat", "fixtures/data/sums", output_dir);
    job.rollout.method = MethodName::Grpo;
    job.rollout.total_episodes = Some(256);
    job.rollout.num_eval_prompts = 16;
    job.generation.max_new_tokens = 16;
    job.group.num_generations = Some(8);
    job.train.per_device_train_batch_size = 64;
    job.train.learning_rate = Some(5e-4);

    // The right answer stands in the task; this reward wants it in few words.
    let right = RewardFn::new("right", |task, answer| {
        let answer = answer.readable();
        f64::from(task.reference.as_ref().is_some_and(|right| answer.contains(right.as_str())))
    });
    let short = RewardFn::new("short", |_, answer| 1.0 / (1.0 + answer.chars() as f64));

    let parts = Parts { rewards: vec![(1.0, Box::new(right)), (0.1, Box::new(short))], ..Parts::default() };
    let trained = train_with(&job, &Host::default(), parts)?;
    println!("{}", trained.expect("it was asked to train").report);
    Ok(())
}
