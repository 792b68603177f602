//! The command line itself: words that are no options, values that are none, spellings, what does not go together.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::{row, row_with};
use crate::row::Row;

const PROGRAMS: [&str; 8] =
    ["train-sft", "train-dpo", "train-reward", "train-ppo", "generate", "score", "evaluate", "write-report"];

pub(super) fn rows() -> Vec<Row> {
    [everywhere(), words(), values()].into_iter().flatten().collect()
}

/// What every program is asked alike.
fn everywhere() -> Vec<Row> {
    let asked = |program: &'static str| {
        [
            row_with("an option that there is not", program, "--lerning-rate-of 3")
                .refused(&["--lerning-rate-of"]),
            row_with("an option without its value", program, "--seed-of").refused(&["--seed-of"]),
            row_with("a stray word", program, "stray").refused(&["stray"]),
            row("an argument that is not Unicode", program)
                .word(OsString::from_vec(b"--out\xff\xfeput".to_vec()))
                .refused(&[]),
            row("an option of 100,000 letters", program)
                .word(format!("--{}", "x".repeat(100_000)))
                .refused(&[]),
            row("an escape sequence for an option", program).word("--\u{1b}[31m\u{7}").refused(&[]),
            Row::new(
                format!("{program}: nothing but a config file that is not there"),
                program,
                "--config nowhere.toml",
            )
            .refused(&[if program == "write-report" { "--config" } else { "nowhere.toml" }]),
        ]
    };
    PROGRAMS.into_iter().flat_map(asked).collect()
}

/// Words of one program.
fn words() -> Vec<Row> {
    let sft = |name: &str, options: &str| row_with(name, "train-sft", options);
    vec![
        sft("an option twice", "--seed 1 --seed 2").refused(&["--seed"]),
        sft("an option under two names", "--num-train-epochs 1 --num_train_epochs 2")
            .refused(&["--num-train-epochs"]),
        sft("dashes alone", "-- --").refused(&[]),
        sft("an empty option", "--=3").refused(&[]),
        sft("a short option", "-q").refused(&["-q"]),
        sft("nothing to be said, in JSON", "--quiet --json").refused(&["--quiet", "--json"]),
        row("an empty word", "train-sft").word("").refused(&[]),
        row("a path with a line feed in it", "train-sft")
            .word("--eval-dataset")
            .word("a\nb\n")
            .refused(&["dataset"]),
        row("a model's name of 100,000 letters", "generate")
            .word("--prompts")
            .word("x".repeat(100_000))
            .refused(&[]),
        Row::new("train-sft: no model", "train-sft", "--dataset sft.jsonl")
            .refused(&["--model-name-or-path"]),
        Row::new("train-sft: no data", "train-sft", "--model model").refused(&["--dataset-name"]),
        Row::new("train-sft: an empty model", "train-sft", "--model= --dataset sft.jsonl --output-dir out")
            .refused(&["model"]),
        Row::new("train-sft: an empty data set", "train-sft", "--model model --dataset= --output-dir out")
            .refused(&["dataset"]),
        Row::new("generate: no model", "generate", "--prompt Hi.").refused(&["--model"]),
        Row::new("generate: no prompts", "generate", "--model model").refused(&["no prompts"]),
        Row::new(
            "generate: a system message without a conversation",
            "generate",
            "--model model --prompt Hi. --prompt-format raw --system Rhyme.",
        )
        .refused(&["--system"]),
        Row::new("score: no data", "score", "--model reward").refused(&["--dataset"]),
        Row::new("score: no model", "score", "--dataset pairs.jsonl").refused(&["model_name_or_path"]),
        Row::new("evaluate: nothing to do", "evaluate", "").refused(&["nothing to evaluate"]),
        Row::new("write-report: nothing to do", "write-report", "--output-dir out")
            .refused(&["nothing to report"]),
        Row::new("write-report: no directory", "write-report", "--run model").refused(&["--output-dir"]),
        Row::new("make-fixtures: an option that there is not", "make-fixtures", "--sed 3")
            .refused(&["--sed"]),
        Row::new("make-fixtures: a seed that is none", "make-fixtures", "--seed x").refused(&["--seed"]),
        Row::new("make-fixtures: a seed too large", "make-fixtures", "--seed 99999999999999999999")
            .refused(&["--seed"]),
        Row::new("make-fixtures: a file for a directory", "make-fixtures", "--output-dir sft.jsonl")
            .refused(&["sft.jsonl"]),
        Row::new("make-fixtures: a directory below a file", "make-fixtures", "--output-dir sft.jsonl/out")
            .refused(&["sft.jsonl"]),
        Row::new("make-fixtures: nothing to check", "make-fixtures", "--check --output-dir nowhere")
            .ends(&[1, 2], &["nowhere"]),
    ]
}

/// Values of options that are neither numbers nor paths.
fn values() -> Vec<Row> {
    let refused = |program: &'static str, option: &str, value: &str| {
        row(
            &format!("--{option} {}", value.escape_debug().to_string().chars().take(30).collect::<String>()),
            program,
        )
        .word(format!("--{option}={value}"))
        .refused(&[&option.replace('-', "_")])
    };
    let mut rows = Vec::new();
    for (program, options) in [
        (
            "train-sft",
            &[
                "device",
                "dtype",
                "bf16",
                "save-dtype",
                "resize-token-embeddings",
                "truncation-mode",
                "add-bos-token",
                "train-sampling-strategy",
                "completion-only-loss",
                "assistant-only-loss",
                "last-turn-only",
                "packing",
                "packing-strategy",
                "train-on-reasoning",
                "loss-type",
                "gradient-checkpointing",
                "lr-scheduler-type",
                "optim",
                "shard",
                "logging-first-step",
                "eval-strategy",
                "eval-on-start",
                "load-best-model-at-end",
                "greater-is-better",
                "overwrite-output-dir",
                "from-scratch",
                "dry-run",
                "inspect",
                "quiet",
                "json",
            ][..],
        ),
        (
            "train-dpo",
            &[
                "loss-type",
                "loss-weights",
                "reference-free",
                "f-divergence-type",
                "use-weighting",
                "precompute-ref-log-probs",
                "sync-ref-model",
                "judge",
            ],
        ),
        ("train-reward", &["head", "ranking-loss", "freeze-backbone"]),
        (
            "train-ppo",
            &[
                "judge",
                "method",
                "reward-from-text",
                "normalize-scores",
                "reward-funcs",
                "reward-weights",
                "value-model",
                "adap-kl-ctrl",
                "kl-estimator",
                "score-position",
                "whiten-rewards",
                "whiten-advantages",
                "scale-rewards",
                "normalize-advantages",
                "importance-sampling-level",
                "mask-truncated-completions",
                "use-bias-correction-kl",
                "on-reward-level",
                "on-reward-jump",
                "on-kl-level",
                "on-kl-limit",
                "on-kl-acceleration",
                "on-entropy-collapse",
                "on-clip-fraction",
                "on-value-loss",
                "on-ratio-drift",
                "on-length-change",
                "on-duplicates",
                "on-degenerate",
                "on-reward-length-correlation",
                "on-not-finite",
            ],
        ),
        ("score", &["write", "add-bos-token", "dtype", "bf16"]),
        ("generate", &["prompt-format", "bf16"]),
        ("evaluate", &["judge", "critique-keep-better", "dtype", "bf16"]),
    ] {
        for option in options {
            rows.push(refused(program, option, "nonsense").ends(&[2], &[option]));
        }
    }
    rows.extend(columns());
    rows.extend(arguments_within_options());
    rows.push(refused("train-sft", "column-mapping", "nonsense"));
    rows.push(refused("train-ppo", "train-sampling-strategy", "group_by_length"));
    rows.push(refused("train-sft", "loss-type", "").ends(&[2], &["loss-type"]));
    rows.push(refused("train-dpo", "loss-type", "sigmoid,,").ends(&[2], &["loss-type"]));
    rows.push(refused("train-dpo", "loss-type", "sigmoid,sigmoid"));
    rows.push(refused("train-dpo", "loss-type", "sigmoid,orpo"));
    rows.push(refused("train-dpo", "loss-type", &"x".repeat(50_000)).ends(&[2], &["loss-type"]));
    rows.push(refused("train-dpo", "loss-type", "\u{1b}]0;title\u{7}").ends(&[2], &["loss-type"]));
    rows.push(refused("train-dpo", "loss-weights", "nan").ends(&[2], &["loss"]));
    rows.push(refused("train-dpo", "loss-weights", "-1"));
    rows.push(refused("train-dpo", "loss-weights", "0"));
    rows.push(refused("train-dpo", "loss-weights", "1,2,3"));
    rows.push(refused("train-ppo", "reward-weights", "nan").ends(&[2], &["weight"]));
    rows.push(refused("train-ppo", "reward-weights", "inf").ends(&[2], &["weight"]));
    rows
}

/// Options that hold arguments of their own.
fn arguments_within_options() -> Vec<Row> {
    let plateau = "--lr-scheduler-type reduce_lr_on_plateau --eval-strategy steps --eval-dataset sft.jsonl";
    let cases = [
        ("optim-args", "--optim sgd", "momentum"),
        ("optim-args", "--optim muon", "ns_steps"),
        ("lr-scheduler-kwargs", "--lr-scheduler-type polynomial", "power"),
        ("lr-scheduler-kwargs", "--lr-scheduler-type cosine_with_restarts", "num_cycles"),
        ("lr-scheduler-kwargs", plateau, "patience"),
    ];
    let hostile = ["nan", "inf", "-1", "1e999", "99999999999999999999", "x", "", "[1]", "\u{1b}[31m\u{7}"];
    let of = |(option, beside, key): (&'static str, &'static str, &'static str)| {
        let given = move |value: String| {
            let name = format!(
                "{beside} --{option} {}",
                value.escape_debug().to_string().chars().take(40).collect::<String>()
            );
            row_with(&name, "train-sft", beside).word(format!("--{option}={value}"))
        };
        let refused = move |value: String| given(value).refused(&[&option.replace('-', "_")]);
        let numbers = hostile.into_iter().map(move |value| refused(format!("{key}={value}")));
        let others =
            ["nonsense", "", "{", "{}x", "{\"a\":{\"b\":1}}", "a=1,a=2", "=", ",,,", "\u{1b}]0;t\u{7}"];
        let twice = format!("{{\"{key}\": 1, \"{key}\": 1}}");
        let others = others.into_iter().map(str::to_owned).chain([twice]).map(refused);
        let long = [format!("{key}={}", "9".repeat(50_000)), "{".repeat(50_000), "a=1,".repeat(20_000)];
        numbers.chain(others).chain(long.map(refused)).collect::<Vec<_>>()
    };
    cases.into_iter().flat_map(of).collect()
}

/// Names that may be any text: of columns and metrics.
fn columns() -> Vec<Row> {
    let named = |program: &'static str, options: &str, option: &str, codes: &[i32]| {
        ["", "no such name", "\u{1b}[31m\u{7}"].map(|name| {
            row_with(&format!("--{option} {}", name.escape_debug()), program, options)
                .word(format!("--{option}={name}"))
                .makes("out")
                .ends(codes, &[])
        })
    };
    let held_out = "--eval-dataset sft.jsonl --eval-strategy steps --eval-steps 1 --load-best-model-at-end \
                    --save-strategy steps --save-steps 1";
    [
        named("train-sft", held_out, "metric-for-best-model", &[1, 2]),
        named("train-reward", "--eval-dataset pairs.jsonl", "source-column", &[0, 2]),
        named("train-ppo", "--reward-funcs exact_match", "reference-column", &[2]),
        named("score", "--reward model exact_match", "reference-column", &[2]),
        named("evaluate", "--judge exact_match", "reference-column", &[1, 2]),
        named("evaluate", "--preferences pairs.jsonl", "subset-column", &[0, 2]),
        named("evaluate", "--preferences pairs.jsonl", "split", &[0, 2]),
    ]
    .into_iter()
    .flatten()
    .collect()
}
