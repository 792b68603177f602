"""Races candle-align against TRL and transformers: same machine, model, rows, batch and updates, taking turns.

    python race.py dpo      --models FOLDER --model llama-15m --pairs hh.jsonl --batch-size 4 --max-length 256
    python race.py reward   --models FOLDER --model llama-15m --pairs hh.jsonl --batch-size 4 --max-length 256
    python race.py sft      --models FOLDER --model llama-15m --mode packing
    python race.py generate --models FOLDER --model smollm2-135m --batch-size 8 --new-tokens 64
    python race.py grpo     --models FOLDER --model llama-15m --batch-size 8 --group-size 4 --new-tokens 32

A round is one process of each side. A ratio is printed only where both did the same work. See README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import agreement
import machine
import report
import sides

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODES = {
    "dpo": ["best", "bf16", "bf16-8bit", "default", "lora", "qlora"],
    "reward": ["best", "bf16", "default"],
    "sft": ["best", "bf16", "default", "packing"],
    "grpo": ["best", "default"],
    "generate": ["best", "bf16", "llama.cpp"],
}
BINARIES = {
    "dpo": "train-dpo",
    "reward": "train-reward",
    "sft": "train-sft",
    "grpo": "train-ppo",
    "generate": "generate",
}
# Stages that complete prompts.
GENERATING = ("generate", "grpo")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=MODES)
    parser.add_argument("--models", type=Path, required=True, help="folder that models.py wrote")
    parser.add_argument("--model", default="llama-15m", help="a folder in it (default: %(default)s)")
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--pairs", type=Path, help="JSON lines with prompt, chosen, rejected (default: the fixtures)")
    rows.add_argument("--synthetic", metavar="PROMPT,COMPLETION", help="random pairs of exactly so many tokens")
    parser.add_argument("--mode", default="best", help="settings of both sides, see README.md (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=4, help="pairs, rows, packed rows or prompts (default: 4)")
    parser.add_argument("--max-length", type=int, default=256, help="tokens of prompt and answer (default: 256)")
    parser.add_argument("--max-prompt", type=int, default=64, help="tokens of a prompt to generate from (default: 64)")
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens to generate (default: 64)")
    parser.add_argument("--group-size", type=int, default=4, help="completions of a prompt, grpo (default: 4)")
    parser.add_argument("--steps", type=int, default=8, help="steps per round (default: 8)")
    parser.add_argument("--warmup", type=int, default=2, help="the first of them, not timed (default: 2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default: 5)")
    parser.add_argument(
        "--tries",
        type=int,
        help="turns at most, until so many rounds saw no other process at work; the quietest count (default: --rounds)",
    )
    parser.add_argument("--threads", type=int, default=machine.cores(), help="of each side (default: all cores)")
    parser.add_argument("--binary-dir", type=Path, default=ROOT / "target" / "release")
    parser.add_argument("--out", type=Path, help="file to add the result to, as a line of JSON")
    asked = parser.parse_args()
    if asked.mode not in MODES[asked.stage]:
        parser.error(f"--mode of {asked.stage} is {' or '.join(MODES[asked.stage])}, not {asked.mode}")
    if not 0 <= asked.warmup < asked.steps:
        parser.error(f"--warmup {asked.warmup} leaves nothing to time of --steps {asked.steps}")
    if not (asked.models / asked.model / "config.json").exists():
        parser.error(f"{asked.models / asked.model} is no model: run `python models.py {asked.models}`")
    binary = BINARIES[asked.stage]
    for binary, package in [(binary, binary)] + [("align", "candle-align-cli")] * (asked.mode == "llama.cpp"):
        if not (asked.binary_dir / binary).exists():
            parser.error(f"{asked.binary_dir / binary} is missing: run `cargo build --release -p {package}`")
    return asked


def prepared(asked, folder):
    """The race with its rows written below `folder`, by a process of its own."""
    generates, packs = asked.stage in GENERATING, asked.mode == "packing"
    command = [sys.executable, HERE / "data.py", "--model", asked.models / asked.model, "--out", folder]
    command += ["--stage", asked.stage, "--max-length", asked.max_prompt if generates else asked.max_length]
    command += ["--pairs", asked.pairs] if asked.pairs else []
    command += ["--synthetic", asked.synthetic] if asked.synthetic else []
    if packs:
        command += ["--tokens", asked.steps * asked.batch_size * asked.max_length]
    else:
        command += ["--rows", asked.batch_size * (1 if asked.stage == "generate" else asked.steps)]
    if (status := subprocess.run(list(map(str, command))).returncode) != 0:
        raise SystemExit(status)
    model = asked.models / asked.model
    if asked.stage == "reward":
        model = with_reward_head(model, folder / "model")
    counts = json.loads((folder / "counts.json").read_text())
    return sides.Race(
        stage=asked.stage,
        mode=asked.mode,
        model=model,
        data=folder / "rows.jsonl",
        counts=counts,
        batch_size=asked.batch_size,
        our_batch_size=round(len(counts) / asked.steps) if packs else asked.batch_size,
        max_length=asked.max_length,
        steps=None if packs else asked.steps,
        repeats=asked.steps - asked.warmup,
        new_tokens=asked.new_tokens,
        group_size=asked.group_size,
        threads=asked.threads,
        binary_dir=asked.binary_dir,
    )


def with_reward_head(model, folder):
    """`folder` with the model under an untrained head, the same for both sides."""
    command = [sys.executable, HERE / "models.py", folder, "--reward-head-on", model]
    if (status := subprocess.run(list(map(str, command))).returncode) != 0:
        raise SystemExit(status)
    return folder


def sgemm_peak(threads):
    command = [sys.executable, HERE / "peak.py", str(threads)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def run_rounds(asked, race):
    """Results of both sides in the quietest rounds, and the largest differences between them."""
    our_turn, their_turn = {
        "generate": (
            sides.our_generation,
            sides.llama_cpp_generation if race.mode == "llama.cpp" else sides.transformers_generation,
        ),
        "grpo": (sides.our_grpo, sides.trl_grpo),
    }.get(asked.stage, (sides.ours, sides.trl))
    rounds, differences = [], []
    for number in range(1, max(asked.tries or 0, asked.rounds) + 1):
        ours, theirs = our_turn(race), their_turn(race)
        rounds.append((ours, theirs))
        differences.append(agreement.alike(race, ours, theirs))
        print(f"round {number}: {report.round_line(race, asked.warmup, ours, theirs)}", flush=True)
        if sum(noise(round) <= machine.QUIET for round in rounds) >= asked.rounds:
            break
    quietest = sorted(sorted(range(len(rounds)), key=lambda number: noise(rounds[number]))[: asked.rounds])
    return [rounds[number] for number in quietest], [differences[number] for number in quietest]


def noise(round):
    """Cores that other processes kept busy during a round, on whichever side they kept more."""
    return max(result.usage.other_cores or 0.0 for result in round)


def main():
    asked = arguments()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="race-") as scratch:
        race = prepared(asked, Path(scratch))
        peak_before = sgemm_peak(asked.threads) if asked.stage in ("dpo", "reward") else None
        rounds, differences = run_rounds(asked, race)
        peaks = [peak_before, sgemm_peak(asked.threads)] if peak_before else []
        result = report.result(race, asked.warmup, rounds, differences, max(peaks, default=None))
    data = asked.synthetic or (asked.pairs.name if asked.pairs else "fixtures")
    result = dict(
        stage=asked.stage,
        model=asked.model,
        mode=asked.mode,
        data=data,
        batch_size=asked.batch_size,
        **(dict(group_size=asked.group_size) if asked.stage == "grpo" else {}),
        **(
            dict(max_prompt=asked.max_prompt, new_tokens=asked.new_tokens)
            if asked.stage in GENERATING
            else dict(max_length=asked.max_length)
        ),
        steps=asked.steps,
        warmup=asked.warmup,
        rounds=asked.rounds,
        threads=asked.threads,
        cores=machine.cores(),
        cpu=machine.cpu(),
        load_average=[load, os.getloadavg()[0]],
        **result,
    )
    report.show(result)
    print(json.dumps(result))
    if asked.out:
        with asked.out.open("a") as lines:
            lines.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
