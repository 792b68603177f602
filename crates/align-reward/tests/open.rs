//! A reward model is opened in one way, whoever asks.

use std::path::{Path, PathBuf};

use align_data::{Candidates, Origin, TemplateArguments};
use align_kernels::Precision;
use align_reward::{Normalize, Reading, RewardModelDir, RewardNormalization, Task, open_reward};
use candle_core::Device;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models").join(name)
}

#[test]
fn a_language_model_is_refused_by_the_name_it_was_called() {
    let error = RewardModelDir::open(&fixture("tiny-chat"), "reward_model chat").unwrap_err().to_string();
    assert_eq!(
        error,
        "reward_model chat: is a language model; expected a reward model, which train-reward makes"
    );
}

#[test]
fn the_stored_normalisation_has_three_meanings() {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture("tiny-reward")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let stored = RewardNormalization::read(dir.path()).unwrap();
    assert!(stored.is_some());
    assert_eq!(Normalize::Never.read(dir.path()).unwrap(), None);
    assert_eq!(Normalize::IfStored.read(dir.path()).unwrap(), stored);
    assert_eq!(Normalize::Always("normalize").read(dir.path()).unwrap(), stored);

    std::fs::remove_file(dir.path().join(RewardNormalization::FILE)).unwrap();
    assert_eq!(Normalize::IfStored.read(dir.path()).unwrap(), None);
    let error = Normalize::Always("normalize").read(dir.path()).unwrap_err().to_string();
    let end = "has no reward_normalization.json, which train-reward writes; remove the option";
    assert!(error.starts_with("`normalize`: ") && error.ends_with(end), "{error}");
}

#[test]
fn an_opened_model_is_a_reward_of_texts() {
    let reading =
        |normalize| Reading { normalize, add_bos_token: None, batch_size: 8, precision: Precision::F32 };
    let rewards = |normalize| {
        let open = open_reward(&fixture("tiny-reward"), "model", &Device::Cpu, &reading(normalize)).unwrap();
        let candidates = Candidates {
            prompt: "What is three plus four?".into(),
            completions: vec!["Three plus four is seven.".into(), "Go away.".into()],
            template: TemplateArguments::default(),
            origin: Origin::in_code(0),
        };
        open.reward.rewards(&[Task::from(candidates)]).unwrap().remove(0)
    };
    let (own, normal) = (rewards(Normalize::Never), rewards(Normalize::IfStored));
    let stored = RewardNormalization::read(&fixture("tiny-reward")).unwrap().unwrap();
    assert!(own.iter().zip(&normal).all(|(own, normal)| (stored.apply(*own) - normal).abs() < 1e-9));
}
