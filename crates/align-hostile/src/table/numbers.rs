//! Every option that is a number, with numbers that nobody means.
//!
//! Words that are no number of the kind are refused by the option's name. What is a number and makes sense for one option
//! and none for another must be answered, one way or the other: quickly, in one line, and without taking the memory that
//! it asks for.

use super::row_with;
use crate::row::Row;

/// Of counts: no number of the kind, then numbers at the borders.
const NO_COUNT: [&str; 3] = ["x", "1e300", "99999999999999999999"];
const COUNTS: [&str; 4] = ["0", "-1", "4294967295", "18446744073709551615"];
/// Of real numbers.
const NO_NUMBER: [&str; 1] = ["x"];
const NUMBERS: [&str; 5] = ["nan", "inf", "-1", "1e300", "1e-320"];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = together();
    for (program, options, beside) in COUNTED {
        for option in options.split_whitespace() {
            rows.extend(NO_COUNT.map(|value| with(program, option, value, beside).refused(&[option])));
            rows.extend(COUNTS.map(|value| with(program, option, value, beside).ends(&[0, 1, 2], &[])));
        }
    }
    for (program, options, beside) in REAL {
        for option in options.split_whitespace() {
            rows.extend(NO_NUMBER.map(|value| with(program, option, value, beside).refused(&[option])));
            rows.extend(NUMBERS.map(|value| with(program, option, value, beside).ends(&[0, 1, 2], &[])));
        }
    }
    rows
}

fn with(program: &'static str, option: &str, value: &str, beside: &str) -> Row {
    row_with(&format!("--{option} {value}"), program, &format!("{beside} --{option} {value}")).makes("out")
}

/// Numbers that are in order one by one.
fn together() -> Vec<Row> {
    let ppo = |name: &str, options: &str| row_with(name, "train-ppo", options).refused(&[]);
    vec![
        ppo(
            "a product of counts above 2^64",
            "--per-device-train-batch-size 4294967296 --steps-per-generation 4294967296 --method grpo",
        ),
        ppo(
            "mini-batches times accumulation above 2^64",
            "--num-mini-batches 9223372036854775808 --gradient-accumulation-steps 2",
        ),
        ppo("generations above memory", "--method grpo --num-generations 100000000000"),
        ppo("2^64 − 1 completions", "--total-episodes 18446744073709551615"),
        ppo("no completions", "--total-episodes 0"),
        row_with("no steps", "train-sft", "--max-steps 0").refused(&["max_steps"]),
        row_with("2^64 steps", "train-sft", "--max-steps 18446744073709551616").refused(&["max-steps"]),
        row_with("accumulation above memory", "train-sft", "--gradient-accumulation-steps 1000000000000")
            .refused(&[]),
        row_with("a size without a unit", "train-sft", "--max-memory 8").refused(&["max_memory", "8GiB"]),
        row_with("a size below 0", "train-sft", "--max-memory=-8GiB").refused(&["max_memory"]),
        row_with("a size of a number that is none", "train-sft", "--max-memory nanGiB")
            .refused(&["max_memory"]),
        row_with("a size above all memory", "train-sft", "--max-memory 99999999TiB").refused(&["max_memory"]),
        row_with("less memory than a run takes", "train-sft", "--max-memory 2MB --dry-run")
            .refused(&["`max_memory`: 2 MB is below the least that the run takes"]),
        row_with("less memory than a reward model takes", "train-reward", "--max-memory 2MB")
            .refused(&["`max_memory`: 2 MB is below the least that the run takes"]),
        row_with("memory for a loss of micro-batches", "train-dpo", "--max-memory 8GiB --loss-type aot")
            .refused(&["`max_memory`: cannot choose", "loss_type aot compares"]),
        row_with("memory for phases", "train-ppo", "--max-memory 8GiB")
            .refused(&["`max_memory`: cannot choose"]),
        row_with("two who cut", "train-sft", "--max-memory 8GiB --max-tokens-per-micro-batch 100")
            .refused(&["max_memory", "max_tokens_per_micro_batch"]),
        row_with("shares of one rank", "train-sft", "--shard optimizer").refused(&["`shard`", "one rank"]),
        row_with("ranks that are one", "train-sft", "--dry-run --ranks 1").refused(&["`--ranks`", "from 2"]),
        row_with("ranks above all machines", "train-sft", "--dry-run --ranks 18446744073709551615")
            .refused(&["`--ranks`"]),
        row_with("ranks of a run that trains", "train-sft", "--ranks 4").refused(&["`--dry-run`"]),
        row_with("a bandwidth without a unit", "train-sft", "--dry-run --ranks 4 --bandwidth 10")
            .refused(&["`--bandwidth`", "12.5GB/s"]),
        row_with("a bandwidth of nothing", "train-sft", "--dry-run --ranks 4 --bandwidth 0GB/s")
            .refused(&["`--bandwidth`"]),
        row_with("a bandwidth between nobody", "train-sft", "--dry-run --bandwidth 1GB/s")
            .refused(&["`--ranks`"]),
        row_with(
            "ranks that a dry run is asked about",
            "train-sft",
            "--dry-run --ranks 64 --bandwidth 1MB/s",
        )
        .accepted(),
        row_with("more rows than a number holds", "train-sft", "--num-train-epochs 1e18 --dry-run")
            .ends(&[0, 2], &[]),
        row_with("a batch above memory", "score", "--batch-size 4294967295 --reward model")
            .ends(&[0, 2], &[]),
    ]
}

/// Counts by program, with what must be there for them to have an effect. What several programs have stands under one.
const COUNTED: [(&str, &str, &str); 25] = [
    ("train-sft", "lora-r", "--use-peft"),
    (
        "train-sft",
        "max-length max-prompt-length max-completion-length gradient-accumulation-steps logging-steps seed",
        "",
    ),
    ("train-sft", "per-device-train-batch-size", ""),
    ("train-sft", "max-tokens-per-micro-batch", ""),
    ("train-sft", "num-decay-steps", "--lr-scheduler-type warmup_stable_decay"),
    ("train-sft", "save-steps save-total-limit", "--save-strategy steps"),
    ("train-sft", "eval-steps per-device-eval-batch-size", "--eval-strategy steps --eval-dataset sft.jsonl"),
    (
        "train-sft",
        "early-stopping-patience",
        "--eval-strategy steps --eval-steps 1 --eval-dataset sft.jsonl --load-best-model-at-end --save-strategy steps --save-steps 1",
    ),
    ("train-dpo", "ref-model-sync-steps", "--sync-ref-model"),
    ("train-dpo", "num-kl-prompts max-new-tokens", "--eval-dataset pairs.jsonl"),
    ("train-reward", "head-hidden-size", "--head mlp"),
    ("train-reward", "overfit-pairs", ""),
    ("train-ppo", "per-device-train-batch-size max-new-tokens min-new-tokens top-k max-prompt-length", ""),
    ("train-ppo", "num-ppo-epochs num-mini-batches gradient-accumulation-steps", ""),
    ("train-ppo", "num-eval-prompts num-generations-eval", "--eval-dataset sft.jsonl"),
    ("train-ppo", "num-generations num-iterations steps-per-generation", "--method grpo"),
    ("train-ppo", "max-num-gen-batches soft-punish-cache", "--method dapo --num-generations 2"),
    ("train-ppo", "supervisor-window max-roll-backs", ""),
    ("train-ppo", "reward-batch-size", "--reward-command cat"),
    ("generate", "max-new-tokens min-new-tokens top-k seed num-return-sequences", ""),
    ("score", "batch-size", ""),
    ("evaluate", "num-prompts num-return-sequences max-new-tokens seed", ""),
    ("evaluate", "best-of-n", ""),
    ("evaluate", "num-pairs", "--preferences pairs.jsonl"),
    ("evaluate", "judge-attempts judge-concurrency judge-max-tokens", ENDPOINT),
];

const ENDPOINT: &str =
    "--judge-url http://127.0.0.1:9/v1 --judge-model judge --judge-attempts 1 --judge-wait 0.01";

const REAL: [(&str, &str, &str); 32] = [
    ("train-sft", "max-bad-rows", ""),
    ("train-sft", "lora-alpha lora-dropout loraplus-lr-ratio", "--use-peft"),
    ("train-sft", "num-train-epochs learning-rate warmup-steps warmup-ratio weight-decay adam-beta1", ""),
    ("train-sft", "adam-beta2 adam-epsilon max-grad-norm label-smoothing-factor neftune-noise-alpha", ""),
    (
        "train-sft",
        "early-stopping-threshold",
        "--eval-strategy steps --eval-steps 1 --eval-dataset sft.jsonl --load-best-model-at-end --save-strategy steps \
         --save-steps 1 --early-stopping-patience 2",
    ),
    ("train-dpo", "beta label-smoothing ld-alpha", ""),
    ("train-dpo", "f-alpha-divergence-coef", "--f-divergence-type alpha_divergence"),
    ("train-dpo", "discopop-tau", "--loss-type discopop"),
    ("train-dpo", "dpop-lambda", "--loss-type dpop"),
    ("train-dpo", "length-alpha", "--loss-type rdpo"),
    ("train-dpo", "cpo-alpha", "--loss-type cpo_sigmoid"),
    ("train-dpo", "simpo-gamma alpha", "--loss-type simpo"),
    ("train-dpo", "slic-delta slic-reg", "--loss-type slic"),
    ("train-dpo", "desirable-weight undesirable-weight", "--loss-type kto"),
    ("train-dpo", "ref-model-mixup-alpha", "--sync-ref-model"),
    ("train-reward", "center-rewards-coefficient sft-coefficient", ""),
    ("train-dpo", "tpo-alpha", "--loss-type tpo_sigmoid"),
    ("train-dpo", "tpo-l-gamma", "--loss-type tpo_l"),
    ("train-ppo", "missing-eos-penalty temperature top-p cliprange cliprange-value vf-coef entropy-coef", ""),
    ("train-ppo", "early-stop-kl kl-coef score-clip gamma lam learning-rate", ""),
    ("train-ppo", "target-kl horizon", "--adap-kl-ctrl"),
    ("train-ppo", "beta epsilon epsilon-high delta top-entropy-quantile off-policy-mask-threshold", GROUP),
    (
        "train-ppo",
        "sapo-temperature-pos sapo-temperature-neg",
        "--method grpo --num-generations 2 --loss-type sapo",
    ),
    (
        "train-ppo",
        "vespo-k-pos vespo-lambda-pos vespo-k-neg vespo-lambda-neg",
        "--method grpo --num-generations 2 --loss-type vespo",
    ),
    (
        "train-ppo",
        "reward-level reward-jump kl-level kl-limit kl-acceleration entropy-collapse clip-fraction",
        "",
    ),
    ("train-ppo", "value-loss ratio-drift length-change duplicates degenerate reward-length-correlation", ""),
    ("train-ppo", "kl-factor learning-rate-factor", ""),
    ("train-ppo", "reward-timeout", "--reward-command cat"),
    ("generate", "temperature top-p repetition-penalty", ""),
    ("evaluate", "temperature top-p repetition-penalty", ""),
    ("evaluate", "judge-timeout judge-wait", ENDPOINT),
    ("evaluate", "beta", "--preferences pairs.jsonl"),
];

const GROUP: &str = "--method grpo --num-generations 2";
