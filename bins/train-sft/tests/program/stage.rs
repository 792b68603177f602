//! What is this program's own in the tests that it shares with `train-dpo`.

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_train-sft");
/// Its part in the names of run directories and in reports.
pub(crate) const STAGE: &str = "sft";
/// Its counterparts in TRL.
pub(crate) const TRAINERS: &[&str] = &["SFTTrainer"];
/// Their runs that the project keeps, in order.
pub(crate) const GOLDEN: &[&str] = &["sft_dft", "sft_lora", "sft_prompt_completion", "sft_text"];
/// The data file of the golden runs that it trains on in the other tests.
pub(crate) const DATA: &str = "prompt_completion.jsonl";
/// The columns of that file that are learned.
pub(crate) const COMPLETIONS: &[&str] = &["completion"];
/// What TRL logs and this project does not.
pub(crate) const NOT_LOGGED: &[&str] = &[];
/// Makes an evaluation quick.
pub(crate) const QUICK_EVALUATION: &str = "";
/// The tests in which options are tried.
pub(crate) const TESTS: &[&str] = &[
    include_str!("accumulation.rs"),
    include_str!("adapters.rs"),
    include_str!("precision.rs"),
    include_str!("bad_input.rs"),
    include_str!("flags.rs"),
    include_str!("invocation.rs"),
    include_str!("resume.rs"),
    include_str!("vocabulary.rs"),
    include_str!("demonstrations.rs"),
    include_str!("packing.rs"),
];

/// The data file of a golden run.
pub(crate) fn data_of(_trainer: &str, run: &str) -> &'static str {
    if run.contains("text") { "text.jsonl" } else { DATA }
}

/// What a trainer's name says is an option here.
pub(crate) fn options_of(_trainer: &str) -> &'static str {
    ""
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
pub(crate) const WITHOUT_HEAD: bool = false;
/// Dropout of an adapter.
pub(crate) const DROPOUT: &str = "--lora-dropout 0.3";
