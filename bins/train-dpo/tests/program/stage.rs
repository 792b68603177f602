//! What is this program's own in the tests that it shares with `train-sft`.

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_train-dpo");
/// Its part in the names of run directories and in reports.
pub(crate) const STAGE: &str = "dpo";
/// Its counterpart in TRL.
pub(crate) const TRAINER: &str = "DPOTrainer";
/// The data file of the golden runs.
pub(crate) const DATA: &str = "pairs.jsonl";
/// The columns of that file that are learned.
pub(crate) const COMPLETIONS: &[&str] = &["chosen", "rejected"];
/// What TRL logs and this project does not: figures about the logits, which are never all there at once.
pub(crate) const NOT_LOGGED: &[&str] =
    &["logits/chosen", "logits/rejected", "entropy", "mean_token_accuracy"];
/// Makes an evaluation quick.
pub(crate) const QUICK_EVALUATION: &str = "--num-kl-prompts 2 --max-new-tokens 4";
/// The tests in which options are tried.
pub(crate) const TESTS: &[&str] = &[
    include_str!("../../../train-sft/tests/program/bad_input.rs"),
    include_str!("../../../train-sft/tests/program/flags.rs"),
    include_str!("../../../train-sft/tests/program/invocation.rs"),
    include_str!("../../../train-sft/tests/program/resume.rs"),
    include_str!("preference.rs"),
];

/// The data file of a golden run.
pub(crate) fn data_of(_run: &str) -> &'static str {
    DATA
}
