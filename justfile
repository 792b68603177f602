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

# Supervised fine-tuning, on the shipped demonstrations or yours.
train-sft *args:
    cargo train-sft {{args}}

# Complete prompts: `just generate --model DIR --prompt "…"`.
generate *args:
    cargo generate {{args}}

# Rewards of answers: `just score --model DIR --dataset FILE` (scores, comparisons, best of N, preference files).
score *args:
    cargo score {{args}}

# All tests; no network, no GPU.
test:
    cargo test --workspace

# Format and lints, as CI has them.
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings

# What each loss costs, forward and backward at batch 64; a part of it: `just bench-losses tokens/`.
bench-losses *args:
    cargo bench -p align-losses --bench losses -- {{args}}

# Race TRL or transformers on this machine: benches/peer/README.md says how to set it up.
race *args:
    python3 benches/peer/race.py {{args}}

# Build and run a project of its own that takes its losses from align-losses.
embed:
    cargo run --locked --manifest-path examples/embed/Cargo.toml --target-dir target/embed

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

# Type-check the CUDA build (needs the CUDA toolkit, not a GPU).
check-cuda:
    cargo check --workspace --features align-cli/cuda
