//! What is this program's own in the support that it shares with `train-sft`.

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_train-ppo");
/// Data with prompts.
pub(crate) const DATA: &str = "pairs.jsonl";
/// Makes an evaluation quick.
pub(crate) const QUICK_EVALUATION: &str = "--num-eval-prompts 4";

/// Quick phases with a rule as the reward: eight completions and four updates each.
pub(crate) const QUICK: &str = "--reward-funcs length:1..30 --max-new-tokens 12 --per-device-train-batch-size 4 \
    --num-mini-batches 2 --num-ppo-epochs 2 --learning-rate 1e-3 --logging-steps 1 --report-to none";

/// What differs between two runs of the same computation beside what all programs have.
pub(crate) const TIMINGS: &[&str] =
    &["time/generation", "time/scoring", "time/update", "time/generated_tokens_per_second"];

/// Makes an update of any small model.
pub(crate) const FAMILY: &str = QUICK;
/// Whether what is saved has a head of its own in place of the language model's.
pub(crate) const WITHOUT_HEAD: bool = false;
/// Dropout of an adapter: none, answers are sampled without it.
pub(crate) const DROPOUT: &str = "";
