//! What whoever is asked for rewards replies, and the config of a reward model with an encoder.

use std::sync::OnceLock;

use align_data::{Candidates, Origin, TemplateArguments};
use align_encoders::Encoder;
use align_reward::{Questions, Task};
use candle_core::Device;

use crate::{Scratch, bounded};

/// The reply to a question about two answers.
pub(crate) fn replies(bytes: &[u8], _: &Scratch) {
    static TASKS: OnceLock<[Task; 1]> = OnceLock::new();
    let tasks = TASKS.get_or_init(|| {
        let candidates = Candidates {
            prompt: "which?".into(),
            completions: vec!["this".into(), "that".into()],
            template: TemplateArguments::default(),
            origin: Origin::in_code(0),
        };
        [Task::from(candidates)]
    });
    let questions = Questions::new("answer", 2).expect("the column is free");
    match questions.rewards(tasks, "fuzz", |_| Ok(String::from_utf8_lossy(bytes).into_owned())) {
        Ok(rewards) => assert!(rewards[0].len() == 2 && rewards[0].iter().all(|reward| reward.is_finite())),
        Err(error) => bounded(error),
    }
}

/// A `config.json` beside the weights and the tokenizer of a tiny encoder.
pub(crate) fn encoder(bytes: &[u8], scratch: &Scratch) {
    macro_rules! golden {
        ($name:literal) => {
            scratch.file($name, include_bytes!(concat!("../../../fixtures/golden/encoders/v3/", $name)))
        };
    }
    scratch.file("config.json", bytes);
    golden!("model.safetensors");
    golden!("tokenizer.json");
    golden!("tokenizer_config.json");
    match Encoder::open(scratch.path(), &Device::Cpu) {
        Ok(encoder) => {
            if let Err(error) = encoder.scores(&[("which?".to_owned(), "this".to_owned())]) {
                bounded(error);
            }
        }
        Err(error) => bounded(error),
    }
}
