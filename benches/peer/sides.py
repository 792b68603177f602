"""The two sides of a race as one call each: what every step was, and what the process took.

Both train on the same file of rows in its order, with the same batch, constant learning rate, AdamW without decay, and
clipping at 1, on weights read as float32. What differs is in `ours` below and in MODES of trl_side.py, nowhere else.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from machine import Usage, run

HERE = Path(__file__).resolve().parent
BETA = 0.1
LEARNING_RATE = 1e-4
# In bf16 a side's own rounding moves the weights another way, by the fifth update by 5 % of the loss at the rate above.
BF16_LEARNING_RATE = 1e-5
# Packed batches hold other rows together: with weights that hardly move, the loss over all rows is the same again.
STANDSTILL = 1e-9


@dataclass(frozen=True)
class Race:
    stage: str
    mode: str
    model: Path
    data: Path
    counts: list  # per row of the data: tokens of prompt and answers
    batch_size: int  # rows per step; for TRL with packing: packed rows of max_length
    our_batch_size: int
    max_length: int
    steps: int | None  # None: one epoch
    repeats: int  # of a generation that is timed
    new_tokens: int
    group_size: int  # completions of a prompt
    threads: int
    binary_dir: Path

    @property
    def learning_rate(self):
        return {"packing": STANDSTILL, "bf16": BF16_LEARNING_RATE, "bf16-8bit": BF16_LEARNING_RATE}.get(self.mode, LEARNING_RATE)


@dataclass(frozen=True)
class Result:
    """What one process did: entries of its log, step by step, or seconds of each generation."""

    steps: list
    usage: Usage
    seconds: list = ()
    log_probs: list = ()
    tokens: int = 0


def ours(race):
    """Trains with train-dpo, train-reward or train-sft; `mode` best precomputes the reference, default leaves all as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        command = [race.binary_dir / f"train-{race.stage}", "--model", race.model, "--dataset", race.data]
        command += ["--output-dir", out, "--per-device-train-batch-size", race.our_batch_size]
        command += ["--max-length", race.max_length, "--learning-rate", race.learning_rate]
        command += "--lr-scheduler-type constant --weight-decay 0 --max-grad-norm 1".split()
        command += "--train-sampling-strategy sequential --seed 0".split()
        command += "--logging-steps 1 --report-to none --save-strategy no".split()
        command += ["--max-steps", race.steps] if race.steps else ["--num-train-epochs", 1]
        if race.stage == "dpo":
            command += ["--beta", BETA]
            if race.mode != "default":
                command += ["--precompute-ref-log-probs", "--ref-log-probs-cache", Path(scratch) / "reference"]
        if race.mode in ("lora", "qlora"):
            command += ["--use-peft"]  # rank 16, all linear layers
        if race.mode == "qlora":
            command += ["--load-in-4bit"]
        if race.mode.startswith("bf16"):
            command += ["--dtype", "bfloat16"]
        if race.mode == "bf16-8bit":
            command += ["--optim", "adamw_8bit"]
        usage = run(command, race.threads)
        log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return Result([entry for entry in log if "step_time" in entry], usage)


def trl(race):
    names = ("stage", "mode", "model", "data", "batch_size", "max_length", "steps", "learning_rate", "threads")
    settings = dict({name: getattr(race, name) for name in names}, beta=BETA)
    answer, usage = python("trl_side.py", settings, race.threads)
    return Result(answer["steps"], usage)


# The reward of both sides: whether this is found in the completion. About half of random text has it.
PATTERN = "a[^e]*o"


def our_grpo(race):
    """Trains with train-ppo on groups of own completions; both modes leave all else as it is."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        command = [race.binary_dir / "train-ppo", "--method", "grpo", "--model", race.model, "--dataset", race.data]
        command += ["--output-dir", out, "--reward-funcs", f"format:{PATTERN}"]
        command += ["--num-generations", race.group_size, "--max-new-tokens", race.new_tokens]
        command += ["--per-device-train-batch-size", race.batch_size * race.group_size, "--max-steps", race.steps]
        command += ["--learning-rate", race.learning_rate, "--seed", 0]
        command += "--lr-scheduler-type constant --weight-decay 0 --max-grad-norm 1".split()
        command += "--train-sampling-strategy sequential".split()
        command += "--logging-steps 1 --report-to none --save-strategy no --max-roll-backs 0".split()
        usage = run(command, race.threads)
        log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [entry for entry in log if "step_time" in entry]
    for step in steps:
        step["generation_seconds"] = step["time/generation"]
    return Result(steps, usage)


def trl_grpo(race):
    names = ("stage", "mode", "model", "data", "batch_size", "steps", "learning_rate", "threads")
    names += ("group_size", "new_tokens")
    settings = dict({name: getattr(race, name) for name in names}, pattern=PATTERN)
    answer, usage = python("trl_grpo_side.py", settings, race.threads)
    return Result(answer["steps"], usage)


def our_generation(race):
    """Runs `generate` on the prompts, and for each time on one prompt of one token: the difference is what generating
    took, prefill, tokenising and writing the rows included; loading is not. A first small run warms the file cache."""
    with tempfile.TemporaryDirectory() as scratch:
        small = Path(scratch) / "small.jsonl"
        small.write_text(json.dumps(dict(prompt="a")) + "\n")

        def timed(prompts, tokens, name):
            out = Path(scratch) / f"{name}.jsonl"
            command = [race.binary_dir / "generate", "--model", race.model, "--prompts", prompts, "--output", out]
            command += ["--temperature", 0, "--max-new-tokens", tokens, "--min-new-tokens", tokens]
            command += ["--dtype", "bfloat16"] if race.mode != "best" else []
            return run(command, race.threads), out

        timed(small, 1, "warm")
        seconds = []
        for repeat in range(race.repeats):
            loading, _ = timed(small, 1, f"loading-{repeat}")
            usage, out = timed(race.data, race.new_tokens, f"whole-{repeat}")
            seconds.append(usage.seconds - loading.seconds)
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    if min(seconds) <= 0:
        raise SystemExit("generating took less than the machine's noise: pass more --new-tokens or a larger model")
    return Result([], usage, seconds, [row["log_prob"] for row in rows], sum(row["tokens"] for row in rows))


def transformers_generation(race):
    settings = {name: getattr(race, name) for name in ("model", "data", "new_tokens", "repeats", "threads")}
    settings["dtype"] = "float32" if race.mode == "best" else "bfloat16"
    answer, usage = python("transformers_side.py", settings, race.threads)
    return Result([], usage, answer["seconds"], answer["log_probs"], answer["tokens"])


def llama_cpp_generation(race):
    """On a file of bf16 weights that `align export` wrote, and the token ids that the tokenizer of both other sides gives."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(race.model / "tokenizer.json"))
    rows = race.data.read_text(encoding="utf-8").splitlines()
    settings = {name: getattr(race, name) for name in ("new_tokens", "repeats", "threads")}
    settings["prompts"] = [tokenizer.encode(json.loads(row)["prompt"]).ids for row in rows]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "file"
        run([race.binary_dir / "align", "export", "--model", race.model, "--output-dir", out, "--gguf", "bf16"], race.threads)
        answer, usage = python("llamacpp_side.py", dict(settings, model=out / "model.gguf"), race.threads)
    return Result([], usage, answer["seconds"], tokens=answer["tokens"])


def python(script, settings, threads):
    """What a script of this folder writes, run by the Python that runs this one."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "answer.json"
        asked = json.dumps(dict(settings, out=out), default=str)
        usage = run([sys.executable, HERE / script, asked], threads)
        return json.loads(out.read_text()), usage
