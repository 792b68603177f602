"""Times benches/losses beside the same formulas in PyTorch (pytorch_losses.py), on the CPU.

    pip install torch numpy
    python crates/align-losses/benches/against_pytorch.py [--rounds 5] [--threads 1] [--filter pairs/] [--out table.md]

Both sides first compute every loss and the sum of its absolute gradients on the same inputs; a difference stops the script. Then
loss by loss and round by round the two take turns, so that what else the machine does falls on both. A time is the median of
forward and backward in one round, by criterion there and by the same plan here; the ratio ours/PyTorch is taken within a round,
and the table has the median and the range of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch

import pytorch_losses

ROOT = Path(__file__).resolve().parents[3]
WARM_UP, MEASURE, SAMPLES = 0.1, 0.3, 10


def bench_binary():
    """Builds the bench; its path."""
    command = ["cargo", "bench", "-p", "align-losses", "--bench", "losses", "--no-run", "--locked", "--message-format", "json"]
    messages = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    artifacts = (json.loads(message) for message in messages)
    return next(a["executable"] for a in artifacts if a.get("executable") and a["target"]["name"] == "losses")


def agree(binary, names):
    """Stops if a loss or a gradient is not the same on both sides."""
    lines = subprocess.run([binary, "--values"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    ours = {name: (float(value), float(slope)) for name, value, slope in map(str.split, lines)}
    if set(ours) != set(pytorch_losses.LOSSES):
        raise SystemExit(f"only on one side: {sorted(set(ours) ^ set(pytorch_losses.LOSSES))}")
    for name in names:
        variables, loss = pytorch_losses.LOSSES[name]
        value = loss()
        gradients = torch.autograd.grad(value, variables, allow_unused=True)
        theirs = (value.item(), sum(g.abs().sum().item() for g in gradients if g is not None))
        for kind, a, b in zip(("loss", "gradient"), ours[name], theirs):
            if abs(a - b) > 1e-5 + 2e-4 * abs(b):
                raise SystemExit(f"{name}: {kind} {a} here, {b} in PyTorch")


def time_ours(binary, name, threads):
    with tempfile.TemporaryDirectory() as home:
        plan = ["--warm-up-time", WARM_UP, "--measurement-time", MEASURE, "--sample-size", SAMPLES]
        command = [binary, "--bench", "--exact", name, "--noplot", *map(str, plan)]
        environment = os.environ | dict(CRITERION_HOME=home, RAYON_NUM_THREADS=str(threads))
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (estimates,) = Path(home).glob("**/new/estimates.json")
        return json.loads(estimates.read_text())["median"]["point_estimate"] / 1e3


def time_theirs(name):
    variables, loss = pytorch_losses.LOSSES[name]

    def once():
        torch.autograd.grad(loss(), variables, allow_unused=True)

    start, runs = time.perf_counter(), 0
    while time.perf_counter() - start < WARM_UP or runs < 3:
        once()
        runs += 1
    per_sample = max(1, round(runs / (time.perf_counter() - start) * MEASURE / SAMPLES))
    samples = []
    for _ in range(SAMPLES):
        start = time.perf_counter()
        for _ in range(per_sample):
            once()
        samples.append((time.perf_counter() - start) / per_sample * 1e6)
    return statistics.median(samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--filter", default="", help="only benches whose name contains this")
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    names = [name for name in pytorch_losses.LOSSES if options.filter in name]
    binary = bench_binary()
    agree(binary, names)
    print(f"{len(names)} losses and their gradients agree; torch {torch.__version__}, {options.threads} thread(s)")
    table = ["| Loss | ours, µs | PyTorch, µs | ratio | range |", "|---|---|---|---|---|"]
    print(*table, sep="\n")
    ratios = {}
    for name in names:
        rounds = [(time_ours(binary, name, options.threads), time_theirs(name)) for _ in range(options.rounds)]
        ours, theirs = (statistics.median(side) for side in zip(*rounds))
        of_rounds = sorted(a / b for a, b in rounds)
        ratio = statistics.median(of_rounds)
        ratios.setdefault(name.split("/")[0], []).append(ratio)
        table.append(f"| {name} | {ours:.0f} | {theirs:.0f} | {ratio:.2f} | {of_rounds[0]:.2f}–{of_rounds[-1]:.2f} |")
        print(table[-1], flush=True)
    for group, of_group in ratios.items():
        summary = f"{group}: median ratio {statistics.median(of_group):.2f}, from {min(of_group):.2f} to {max(of_group):.2f}"
        print(summary)
        table += ["", summary]
    if options.out:
        options.out.write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()
