"""Reading and tokenizing preference pairs beside `datasets` with TRL's own tokenisation: rows per second and memory.

    python tokenization.py --model FOLDER --pairs hh.jsonl.gz [--rows 200000] [--rounds 3] [--ours-only]

Both sides read one Parquet file of the pairs, repeated with a number in front of each prompt so that no two rows are the same, and
take turns. The peer is `datasets.load_dataset` and what DPOTrainer does with it before training (`_prepare_dataset`) with as many
processes as `--threads`; `datasets`' cache is empty each time. Ours is `train-dpo --dry-run`, which also loads the model and checks the
data (duplicates, answers that are the same, …); its token cache is empty at first and full the second time. Times are of whole
processes less that of one that does the same with 64 rows, so that imports and models do not count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import data
import machine

ROOT = Path(__file__).resolve().parents[2]
PEER = """
import sys, types
from datasets import load_dataset
from transformers import AutoTokenizer
from trl import DPOConfig, DPOTrainer
file, model, out, processes = sys.argv[1:]
rows = load_dataset("parquet", data_files=file, split="train")
tokenizer = AutoTokenizer.from_pretrained(model)
args = DPOConfig(output_dir=out, max_length=1024, dataset_num_proc=int(processes), report_to="none", use_cpu=True)
trainer = types.SimpleNamespace(_tokenizer=tokenizer)
rows = DPOTrainer._prepare_dataset(trainer, rows, tokenizer, args, "train")
print(len(rows))
"""


def write(pairs, rows, path):
    """A Parquet file of so many pairs; it is written in parts, since it may be larger than memory."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, pyarrow.string()) for name in ("prompt", "chosen", "rejected")])
    with pyarrow.parquet.ParquetWriter(path, schema, compression="snappy") as writer:
        for start in range(0, rows, 20_000):
            part = [(number, pairs[number % len(pairs)]) for number in range(start, min(start + 20_000, rows))]
            part = [dict(pair, prompt=f"\n\nHuman: {number}. {pair['prompt'].lstrip().removeprefix('Human:').lstrip()}") for number, pair in part]
            writer.write_table(pyarrow.Table.from_pylist(part, schema=schema))


def run(command, threads, **environment):
    """Seconds that a process takes, and the most anonymous memory that it and its children have at once in MB."""
    env = os.environ | dict(OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
    begin, most = time.perf_counter(), 0
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(list(map(str, command)), env=env | environment, stdout=log, stderr=log)
        while process.poll() is None:
            most = max(most, anonymous(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - begin
        if process.returncode != 0:
            log.seek(0)
            raise SystemExit(log.read().decode(errors="replace")[-2000:])
    return seconds, most / 1024


def anonymous(pid):
    """Anonymous memory of a process and of those that it started, in kB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    own = sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
    return own + sum(anonymous(int(child)) for child in children)


def ours(asked, file, scratch):
    """The first run, and the second, which finds the token ids of the first."""
    command = [asked.binary_dir / "train-dpo", "--model", asked.model, "--dataset", file, "--dry-run", "--max-length", 1024]
    cache = dict(HF_DATASETS_CACHE=str(scratch / "tokens"))
    return run(command, asked.threads, **cache), run(command, asked.threads, **cache)


def peer(asked, file, scratch):
    command = [sys.executable, "-c", PEER, file, asked.model, scratch / "out", asked.threads]
    return run(command, asked.threads, HF_DATASETS_CACHE=str(scratch / "datasets"))


def fresh(side, asked, file):
    with tempfile.TemporaryDirectory(prefix="tokenization-", dir=asked.scratch) as scratch:
        return side(asked, file, Path(scratch))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a folder with a model and its tokenizer")
    parser.add_argument("--pairs", type=Path, required=True, help="pairs as race.py takes them")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--ours-only", action="store_true", help="without the peer: for more rows than it can take")
    parser.add_argument("--binary-dir", type=Path, default=ROOT / "target" / "release")
    parser.add_argument("--scratch", type=Path, help="folder for files and caches (default: the system's)")
    asked = parser.parse_args()
    pairs = data.read_pairs(asked.pairs)
    with tempfile.TemporaryDirectory(prefix="tokenization-", dir=asked.scratch) as folder:
        file, few = Path(folder) / "pairs.parquet", Path(folder) / "few.parquet"
        write(pairs, asked.rows, file)
        write(pairs, 64, few)
        rounds = []
        for number in range(asked.rounds):
            (first, memory), (second, _) = fresh(ours, asked, file)
            (idle, _), _ = fresh(ours, asked, few)
            found = dict(ours=asked.rows / (first - idle), seconds=first, second_start=second, our_memory_mb=memory)
            if not asked.ours_only:
                (theirs, memory), (idle, _) = fresh(peer, asked, file), fresh(peer, asked, few)
                found |= dict(peer=asked.rows / (theirs - idle), peer_memory_mb=memory)
                found["ratio"] = found["ours"] / found["peer"]
            rounds.append(found)
            print(f"round {number + 1}: " + ", ".join(f"{name} {value:,.4g}" for name, value in found.items()), flush=True)
    middle = {name: median(found[name] for found in rounds) for name in rounds[0]}
    print(json.dumps(dict(bench="tokenization", cpu=machine.cpu(), threads=asked.threads, rows=asked.rows, rounds=rounds, median=middle)))


if __name__ == "__main__":
    main()
