//! What is this program's own in the tests that it shares with `train-sft`.

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_train-dpo");
/// Its part in the names of run directories and in reports.
pub(crate) const STAGE: &str = "dpo";
/// Its counterparts in TRL.
pub(crate) const TRAINERS: &[&str] = &["DPOTrainer", "CPOTrainer", "ORPOTrainer", "TPOTrainer", "KTOTrainer"];
/// Their runs that the project keeps, in order.
pub(crate) const GOLDEN: &[&str] = &[
    "cpo_hinge",
    "cpo_ipo",
    "cpo_sigmoid",
    "dpo_aot",
    "dpo_aot_unpaired",
    "dpo_apo_down",
    "dpo_apo_zero",
    "dpo_bco_pair",
    "dpo_discopop",
    "dpo_dora",
    "dpo_exo_pair",
    "dpo_fdiv",
    "dpo_fdiv_hinge",
    "dpo_hinge",
    "dpo_ipo",
    "dpo_ld",
    "dpo_ld_sft",
    "dpo_lora",
    "dpo_mpo",
    "dpo_nca_pair",
    "dpo_precompute",
    "dpo_robust",
    "dpo_sft",
    "dpo_sigmoid",
    "dpo_sigmoid_bs1_accum4",
    "dpo_sigmoid_norm",
    "dpo_sppo_hard",
    "dpo_sync_ref",
    "dpo_wpo",
    "kto",
    "kto_apo_zero_unpaired",
    "orpo",
    "simpo",
    "simpo_nll",
    "tpo",
    "tpo_hinge",
    "tpo_ipo",
];
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
    include_str!("../../../train-sft/tests/program/accumulation.rs"),
    include_str!("../../../train-sft/tests/program/adapters.rs"),
    include_str!("../../../train-sft/tests/program/precision.rs"),
    include_str!("../../../train-sft/tests/program/bad_input.rs"),
    include_str!("../../../train-sft/tests/program/flags.rs"),
    include_str!("../../../train-sft/tests/program/invocation.rs"),
    include_str!("../../../train-sft/tests/program/resume.rs"),
    include_str!("../../../train-sft/tests/program/vocabulary.rs"),
    include_str!("method_refusals.rs"),
    include_str!("method_state.rs"),
    include_str!("methods.rs"),
    include_str!("preference.rs"),
];

/// The data file of a golden run.
pub(crate) fn data_of(trainer: &str, _run: &str) -> &'static str {
    match trainer {
        "KTOTrainer" => "unpaired.jsonl",
        "TPOTrainer" => "pairs_reference.jsonl",
        _ => DATA,
    }
}

/// What a trainer does and is an option here: the older two put a BOS in front of each row.
pub(crate) fn options_of(trainer: &str) -> &'static str {
    match trainer {
        "CPOTrainer" | "ORPOTrainer" => "--add-bos-token true",
        _ => "",
    }
}

/// The loss that a trainer has where its arguments name none.
pub(crate) fn loss_of(trainer: &str) -> &'static str {
    match trainer {
        "CPOTrainer" => " --loss-type cpo_sigmoid",
        "ORPOTrainer" => " --loss-type orpo",
        "KTOTrainer" => " --loss-type kto",
        "TPOTrainer" => " --loss-type tpo_sigmoid",
        _ => "",
    }
}

/// An argument of a trainer under the same option here: losses carry the trainer's name.
pub(crate) fn value_of(trainer: &str, name: &str, value: &str) -> String {
    match (trainer, name, value) {
        ("CPOTrainer", "loss_type", "sigmoid" | "hinge" | "ipo") => format!("cpo_{value}"),
        ("TPOTrainer", "loss_type", "tpo-l") => "tpo_l".to_owned(),
        ("TPOTrainer", "loss_type", _) => format!("tpo_{value}"),
        _ => value.to_owned(),
    }
}

/// Makes an update of any small model.
pub(crate) const FAMILY: &str = "--learning-rate 1e-3 --max-length 60 --per-device-train-batch-size 2";
/// Whether what is saved has a head of its own in place of the language model's.
pub(crate) const WITHOUT_HEAD: bool = false;
/// Dropout of an adapter.
pub(crate) const DROPOUT: &str = "--lora-dropout 0.3";
