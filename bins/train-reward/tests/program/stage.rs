//! What is this program's own in the tests that it shares with `train-sft`.

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_train-reward");
/// Its part in the names of run directories and in reports.
pub(crate) const STAGE: &str = "reward";
/// Its counterpart in TRL.
pub(crate) const TRAINERS: &[&str] = &["RewardTrainer"];
/// Their runs that the project keeps, in order.
pub(crate) const GOLDEN: &[&str] = &["reward_bt", "reward_center_margin", "reward_lora"];
/// The data file of the golden runs.
pub(crate) const DATA: &str = "pairs.jsonl";
/// The columns of that file that are learned.
pub(crate) const COMPLETIONS: &[&str] = &["chosen", "rejected"];
/// What TRL logs and this project does not.
pub(crate) const NOT_LOGGED: &[&str] = &[];
/// Makes an evaluation quick.
pub(crate) const QUICK_EVALUATION: &str = "";
/// The tests in which options are tried.
pub(crate) const TESTS: &[&str] = &[
    include_str!("../../../train-sft/tests/program/accumulation.rs"),
    include_str!("../../../train-sft/tests/program/adapters.rs"),
    include_str!("../../../train-sft/tests/program/precision.rs"),
    include_str!("../../../train-sft/tests/program/bad_input.rs"),
    include_str!("../../../train-sft/tests/program/flags.rs"),
    include_str!("../../../train-sft/tests/program/invocation.rs"),
    include_str!("../../../train-sft/tests/program/resume.rs"),
    include_str!("../../../train-sft/tests/program/vocabulary.rs"),
    include_str!("reward.rs"),
];

/// The data file of a golden run.
pub(crate) fn data_of(_trainer: &str, run: &str) -> &'static str {
    if run.contains("margin") { "pairs_margin.jsonl" } else { DATA }
}

/// What the trainer does and is an option here: it leaves out rows over max_length.
pub(crate) fn options_of(_trainer: &str) -> &'static str {
    "--truncation-mode drop"
}

/// The loss that a trainer has where its arguments name none.
pub(crate) fn loss_of(_trainer: &str) -> &'static str {
    ""
}

/// An argument of a trainer under the same option here.
pub(crate) fn value_of(_trainer: &str, _name: &str, value: &str) -> String {
    value.to_owned()
}

/// Makes an update of any small model.
pub(crate) const FAMILY: &str = "--learning-rate 1e-3 --max-length 60 --per-device-train-batch-size 2";
/// Whether what is saved has a head of its own in place of the language model's.
pub(crate) const WITHOUT_HEAD: bool = true;
/// Dropout of an adapter.
pub(crate) const DROPOUT: &str = "--lora-dropout 0.3";
