"""What a DPO step of this project costs against sequence length and batch size; it needs no peer and no PyTorch.

    python scaling.py --models FOLDER --model llama-15m [--lengths 128,256,…] [--batches 1,2,…]

Pairs are synthetic: half of a sequence is prompt, half completion, so a pair of length L has 1.5 L tokens once its prompt
is computed once. If memory is linear in tokens, the column KB/token does not rise; if time is linear but for attention,
ms/token rises only with attention's share of the work, which is printed beside it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import machine
import peak
import sides

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def numbers(text):
    return [int(number) for number in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="folder that models.py wrote")
    parser.add_argument("--model", default="llama-15m")
    lengths, batches = [2**n for n in range(7, 13)], [2**n for n in range(6)]
    parser.add_argument("--lengths", type=numbers, default=lengths, help="tokens (default: 128 … 4096)")
    parser.add_argument("--batches", type=numbers, default=batches, help="pairs (default: 1 … 32)")
    parser.add_argument("--batch-size", type=int, default=2, help="pairs per step while lengths vary (default: 2)")
    parser.add_argument("--length", type=int, default=256, help="tokens while batches vary (default: 256)")
    parser.add_argument("--steps", type=int, default=4, help="steps of each run; the first is not timed (default: 4)")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--binary-dir", type=Path, default=ROOT / "target" / "release")
    parser.add_argument("--out", type=Path, help="file to add a line of JSON to for each run")
    asked = parser.parse_args()
    if asked.steps < 2:
        parser.error("--steps must be at least 2: the first is not timed")
    return asked


def measure(asked, length, pairs):
    """One run: its tokens per step and what they cost."""
    prompt, completion = length // 2, length - length // 2
    model = asked.models / asked.model
    with tempfile.TemporaryDirectory(prefix="scaling-") as scratch:
        command = [sys.executable, HERE / "data.py", "--model", model, "--out", scratch, "--stage", "dpo"]
        command += ["--synthetic", f"{prompt},{completion}", "--max-length", length, "--rows", pairs * asked.steps]
        if (status := subprocess.run(list(map(str, command))).returncode) != 0:
            raise SystemExit(status)
        race = sides.Race(
            stage="dpo",
            mode="best",
            model=model,
            data=Path(scratch) / "rows.jsonl",
            counts=[],
            batch_size=pairs,
            our_batch_size=pairs,
            max_length=length,
            steps=asked.steps,
            repeats=0,
            new_tokens=0,
            group_size=1,
            threads=asked.threads,
            binary_dir=asked.binary_dir,
        )
        result = sides.ours(race)
    config = json.loads((model / "config.json").read_text())
    batch = [[prompt, completion, completion]] * pairs
    work = peak.dpo_step_gflops(config, batch)
    return dict(
        model=asked.model,
        length=length,
        pairs=pairs,
        tokens=sum(map(sum, batch)),
        step_seconds=median(step["step_time"] for step in result.steps[1:]),
        gflop=work,
        attention_share=1 - peak.dpo_step_gflops(config, batch, attention=False) / work,
        peak_rss_mb=result.usage.peak_rss_mb,
        other_cores=result.usage.other_cores,
    )


def show(runs):
    """The runs as a table; memory per token is what each run has over the first, per token that it has over it."""
    print(" length  pairs  tokens   s/step  ms/token  GFLOP/s  attention      MB  KB/token  other cores")
    first = runs[0]
    for run in runs:
        more = run["tokens"] - first["tokens"]
        memory = f"{1024 * (run['peak_rss_mb'] - first['peak_rss_mb']) / more:.0f}" if more else ""
        other = "" if run["other_cores"] is None else f"{run['other_cores']:.1f}"
        print(
            f"{run['length']:>7}{run['pairs']:>7}{run['tokens']:>8}{run['step_seconds']:>9.3f}"
            f"{1000 * run['step_seconds'] / run['tokens']:>10.2f}{run['gflop'] / run['step_seconds']:>9.1f}"
            f"{100 * run['attention_share']:>9.0f} %{run['peak_rss_mb']:>8.0f}{memory:>10}{other:>13}"
        )


def main():
    asked = arguments()
    for cases in (
        [(length, asked.batch_size) for length in asked.lengths],
        [(asked.length, pairs) for pairs in asked.batches],
    ):
        runs = []
        for length, pairs in cases:
            runs.append(measure(asked, length, pairs))
            print(json.dumps(runs[-1]), flush=True)
            if asked.out:
                with asked.out.open("a") as lines:
                    lines.write(json.dumps(runs[-1]) + "\n")
        show(runs)


if __name__ == "__main__":
    main()
