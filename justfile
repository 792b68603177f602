# Every command that a person or CI runs. Each is a thin name for a cargo command: `just` is a convenience.

# List what there is.
default:
    @just --list

# Align the shipped model on the shipped preference pairs, or yours: `just train-dpo --model … --dataset …`.
train-dpo *args:
    cargo train-dpo {{args}}

# Train a reward model on the shipped preference pairs, or yours: `just train-reward --model … --dataset …`.
train-reward *args:
    cargo train-reward {{args}}

# Reinforcement learning from a reward: please the shipped reward model on the shipped prompts, or yours.
train-ppo *args:
    cargo train-ppo {{args}}

# Reinforcement learning without a critic: sums in words, whose answers a rule can check.
train-grpo *args:
    cargo train-grpo {{args}}

# Supervised fine-tuning, on the shipped demonstrations or yours.
train-sft *args:
    cargo train-sft {{args}}

# Complete prompts: `just generate --model DIR --prompt "…"`.
generate *args:
    cargo generate {{args}}

# Rewards of answers: `just score --model DIR --dataset FILE` (scores, comparisons, best of N, preference files).
score *args:
    cargo score {{args}}

# Compare what is there, the shipped model and what `just pipeline` made of it: runs/evaluation/report.html. Or yours:
# `cargo evaluate --model a=DIR --model b=DIR --prompts FILE …`.
eval *args:
    cargo evaluate --config fixtures/recipes/evaluate.toml {{args}}

# The whole story on the fixtures, in minutes: a reward model, DPO, PPO, and what they changed: runs/pipeline/report.html.
pipeline:
    rm -rf runs/pipeline
    cargo train-reward --output-dir runs/pipeline/reward
    cargo train-dpo --output-dir runs/pipeline/dpo
    cargo train-ppo --reward-model-path runs/pipeline/reward --output-dir runs/pipeline/ppo --save-strategy steps --save-steps 96
    cargo evaluate --config fixtures/recipes/evaluate.toml --reward-model runs/pipeline/reward --run reward=runs/pipeline/reward --run dpo=runs/pipeline/dpo --run ppo=runs/pipeline/ppo --hacking ppo=runs/pipeline/ppo --title "SFT, DPO and PPO" --output-dir runs/pipeline

# DPO at several beta and learning rates: accuracy against KL in runs/hyper/report.html. Runs that are done are kept.
hyper betas="0.1 0.5 2.0" rates="3e-5 1e-4 3e-4" *args:
    #!/usr/bin/env bash
    set -euo pipefail
    for beta in {{betas}}; do
        for rate in {{rates}}; do
            run=runs/hyper/beta-$beta-lr-$rate
            [ -e "$run/report.json" ] || cargo train-dpo --beta "$beta" --learning-rate "$rate" --max-steps 80 --output-dir "$run" --overwrite-output-dir {{args}}
        done
    done
    cargo write-report --sweep runs/hyper --title "DPO: beta and learning rate" --output-dir runs/hyper

# Evaluations, runs and sweeps on one page: `just write-report --run dpo=DIR --output-dir DIR`.
write-report *args:
    cargo write-report {{args}}

# All tests; no network, no GPU.
test:
    cargo test --workspace

# Everything that reads, on inputs that nobody wrote: `just fuzz template --executions 100000`.
fuzz *args:
    cargo run -p align-fuzz -- {{args}}

# Format and lints, as CI has them.
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, sources, duplicates and known vulnerabilities of all dependencies, by deny.toml (needs cargo-deny, and GitHub for
# the vulnerabilities; the first two are among the tests as well).
deny:
    cargo deny check

# What each loss costs, forward and backward at batch 64; a part of it: `just bench-losses tokens/`.
bench-losses *args:
    cargo bench -p align-losses --bench losses -- {{args}}

# Race TRL or transformers on this machine: benches/peer/README.md says how to set it up.
race *args:
    python3 benches/peer/race.py {{args}}

# Build and run a project of its own that takes its losses from align-losses.
embed:
    cargo run --locked --manifest-path examples/embed/Cargo.toml --target-dir target/embed

# The program as a Python wheel (target/wheel), tried in an empty virtual environment.
wheel:
    #!/usr/bin/env bash
    set -euo pipefail
    python3 -m venv target/wheel/tools
    target/wheel/tools/bin/pip install --quiet 'maturin>=1.9,<2'
    rm -f target/wheel/*.whl
    target/wheel/tools/bin/maturin build --release --locked --manifest-path bins/align/Cargo.toml --out target/wheel
    python3 -m venv --clear target/wheel/empty
    target/wheel/empty/bin/pip install --quiet --no-index target/wheel/*.whl
    align=$PWD/target/wheel/empty/bin/align
    cd "$(mktemp -d)"
    "$align" dpo --max-steps 20 --eval-strategy no
    "$align" generate --model runs/dpo-1 --prompt "How do I bake bread?" --temperature 0

# Every crate as it would be published (nothing is).
package:
    cargo package --workspace --no-verify --target-dir target/package

# What CI runs.
ci:
    .ci/run

# Write the fixtures' data and tokenizer again (the same bytes).
fixtures:
    cargo run --release -p make-fixtures

# Train tiny-chat again (the same metrics; not the same bytes on another machine).
tiny-chat:
    rm -rf runs/tiny-chat
    cargo train-sft --config fixtures/recipes/tiny-chat.toml --output-dir runs/tiny-chat
    mkdir -p fixtures/models/tiny-chat
    for file in config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json special_tokens_map.json chat_template.jinja; do cp runs/tiny-chat/$file fixtures/models/tiny-chat/; done

# Train tiny-reward again (the same metrics; not the same bytes on another machine).
tiny-reward:
    rm -rf runs/tiny-reward
    cargo train-reward --output-dir runs/tiny-reward
    mkdir -p fixtures/models/tiny-reward
    for file in config.json generation_config.json model.safetensors reward_normalization.json tokenizer.json tokenizer_config.json special_tokens_map.json chat_template.jinja; do cp runs/tiny-reward/$file fixtures/models/tiny-reward/; done

# Type-check the CUDA build (needs the CUDA toolkit, not a GPU).
check-cuda:
    cargo check --workspace --features align-cli/cuda
